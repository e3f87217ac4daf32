"""chDB in this process. The parts that it writes are checked, see `part_files.py`.

When a part is incomplete, its table is closed and opened. The engine then detaches the part, and
uses the sources of a broken merge again, which it keeps for a while (`schema.EMBEDDED`). A part
that a read finds damaged later is detached in the same way.
"""

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import clickhouse_connect
import pyarrow as pa
import structlog
from clickhouse_connect.driver.client import Client

from lakebed.kinds import TABLES
from lakebed.stores.series.clickhouse import schema
from lakebed.stores.series.clickhouse.client import ClickHouseSeries
from lakebed.stores.series.clickhouse.layout import OneServer
from lakebed.stores.series.clickhouse.part_files import PartFiles
from lakebed.stores.series.clickhouse.schema import DATABASE
from lakebed.system.threads import name_this_thread
from lakebed.vocabulary.errors import StoreUnavailable

log = structlog.get_logger(__name__)

_ROOM = 64 << 20
"""Bytes that must be free on the disk before a write."""
_MEMORY_FILES = hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir()
"""Whether files in memory can be used, as on Linux."""
_LOOK_EVERY = 5.0
"""Seconds between checks of merged parts; their sources are kept for three times as long."""
_OTHERS = """
SELECT name FROM system.tables
WHERE database = {database:String} AND engine LIKE '%MergeTree'
      AND arrayExists(setting -> position(engine_full, setting) = 0, {settings:Array(String)})
"""
"""Tables that an earlier version made."""
_FOLDER = """
SELECT data_paths[1] AS folder FROM system.tables
WHERE database = {database:String} AND name = {table:String}
"""
"""The folder of a table. The links in `data` are not used, because a power loss may remove them."""
_DETACHED_PREFIX = "broken-on-start_"
"""The prefix of parts that the engine has detached as damaged; it reports them when it opens."""
_DROP = {"allow_drop_detached": 1}


_MEMORY = """
SELECT sumIf(value, metric = 'MemoryTracking') AS memory,
       sumIf(value, metric LIKE '%CacheBytes') AS caches
FROM system.metrics
"""
_PIECES = 64
"""A write takes at most 1/64 of the memory. During merges of long texts writes of 1/16 were often
refused, and tried again later; writes of 1/64 seldom are."""
_ALLOCATOR = "narenas:1,dirty_decay_ms:0,muzzy_decay_ms:0"
"""For jemalloc: one arena for all threads, and freed memory returns to the system at once."""


class EmbeddedSeries(ClickHouseSeries):
    """A series in chDB.

    Args:
        path: the folder of the engine.
        memory: bytes that the engine may use; None for most of the machine's memory.
    """

    _remedy = "they are detached, and filled again from backup and journal"

    def __init__(self, path: Path, memory: int | None = None) -> None:
        self._path = path.resolve()
        self._memory = memory
        if memory is not None:
            os.environ.setdefault("JE_MALLOC_CONF", _ALLOCATOR)  # read when the engine is loaded
        self._parts: dict[str, PartFiles] = {}
        self._repair_lock = threading.Lock()
        self._repairs = 0
        self._left_closed: set[str] = set()
        self._closed = threading.Event()
        options = {} if memory is None else _options(memory)
        settings = {} if memory is None else {"max_block_size": _block_rows(memory)}
        super().__init__(
            lambda: clickhouse_connect.get_client(
                dsn=f"chdb://{self._path}", chdb_options=options, settings=settings
            ),
            f"chDB in {path}",
            layout=OneServer(schema.EMBEDDED),
        )

    def migrate(self) -> None:
        super().migrate()
        asked = {"database": DATABASE, "settings": list(schema.EMBEDDED)}
        others = self.query(_OTHERS, asked)["name"].to_pylist()
        change = f"MODIFY SETTING {', '.join(schema.EMBEDDED)}"
        self.command("set up tables", *(f"ALTER TABLE {DATABASE}.{t} {change}" for t in others))
        self.repair()  # from now on new parts are checked
        threading.Thread(target=self._check_merges, name="series parts", daemon=True).start()

    def write(self, table: str, rows: pa.Table) -> None:
        for piece in self._pieces(rows):
            self._begin(table)
            before = self._repairs
            super().write(table, piece)
            self._require_whole(table, before)

    def _pieces(self, rows: pa.Table) -> Iterator[pa.Table]:
        """Divide rows that need much of the memory, because running merges need memory too."""
        most = len(rows)
        if self._memory is not None and rows.nbytes > (size := self._memory // _PIECES):
            most = max(1, len(rows) * size // rows.nbytes)
        for start in range(0, len(rows), most):
            yield rows.slice(start, most)

    def _insert(self, client: Client, table: str, rows: pa.Table) -> None:
        """Insert through a file in memory.

        The client would copy the rows twice more, and write them to a file on the disk.
        """
        if not _MEMORY_FILES:
            super()._insert(client, table, rows)
            return
        with self._os_errors_translated(), open(os.memfd_create("rows"), "wb") as memory:
            path = f"/proc/self/fd/{memory.fileno()}"
            with pa.OSFile(path, "wb") as sink, pa.ipc.new_file(sink, rows.schema) as writer:
                writer.write_table(rows)
            names = ", ".join(f"`{name}`" for name in rows.column_names)
            client.command(
                f"INSERT INTO {DATABASE}.{table} ({names}) FROM INFILE '{path}' FORMAT Arrow"
            )

    def _query(self, sql: str, parameters: Mapping[str, Any]) -> pa.Table:
        before = self._repairs
        try:
            return super()._query(sql, parameters)
        except StoreUnavailable:
            self.repair()
            if self._repairs == before:
                raise
            return super()._query(sql, parameters)

    def _damaged(self, table: str, parts: list[str]) -> None:
        self._repair_table(table, parts)
        super()._damaged(table, parts)

    def delete(self, table: str, where: str, parameters: Mapping[str, Any]) -> None:
        self._begin(table)
        before = self._repairs
        super().delete(table, where, parameters)
        self._require_whole(table, before)

    def _figures(self) -> dict[str, Any]:
        (figures,) = self.query(_MEMORY, {}).to_pylist()
        return {name: int(figures[name]) for name in ("memory", "caches")}

    def repair(self) -> None:
        """Detach incomplete parts that merges have written since the last check."""
        for table in TABLES:
            self._repair_table(table)

    def close(self) -> None:
        self._closed.set()
        with self._repair_lock:
            super().close()

    def _begin(self, table: str) -> None:
        self._require_room()
        with self._repair_lock, self._os_errors_translated():
            self._parts_of(table)  # notes the parts that exist before the write

    def _require_room(self) -> None:
        with self._os_errors_translated():
            disk = os.statvfs(self._path)
        free = disk.f_bavail * disk.f_frsize
        if free < _ROOM:
            needs = f"{free >> 20} MiB are free on its disk, it needs {_ROOM >> 20} MiB to write"
            raise StoreUnavailable(f"{self.name}: {needs}")

    def _require_whole(self, table: str, before: int) -> None:
        self._repair_table(table)
        # Another thread's check may have detached the parts that this call wrote.
        if self._repairs != before:
            what = f"not all that was written to {table} reached the disk; is it full or failing?"
            raise StoreUnavailable(f"{self.name}: {what}")

    def _repair_table(self, table: str, damaged: Sequence[str] = ()) -> None:
        """Detach new parts that are incomplete, and those that are known to be damaged.

        The names of the others are durable afterwards.
        """
        with self._repair_lock:
            with self._os_errors_translated():
                broken = self._parts_of(table).broken()
                try:
                    self._parts_of(table).sync_names()
                except OSError:
                    self._repairs += 1  # whichever write they are of is refused
                    raise
            if broken:
                log.warning("parts did not reach the disk", table=table, parts=broken)
            if broken or damaged:
                self._repairs += 1
                self._left_closed.add(table)
                self.command(f"close {table}", f"DETACH TABLE IF EXISTS {DATABASE}.{table}")
            with self._os_errors_translated():
                for part in damaged:
                    self._parts_of(table).detach(part, _DETACHED_PREFIX)
            if table in self._left_closed:
                self.command(f"open {table}", f"ATTACH TABLE IF NOT EXISTS {DATABASE}.{table}")
                self._left_closed.remove(table)
            self._parts_of(table).forget([*broken, *damaged])
            if broken:
                self._drop_detached(table, broken)

    def _drop_detached(self, table: str, broken: list[str]) -> None:
        """Delete detached parts, which have empty files of inserts that were refused."""
        aside = self._parts_of(table).folder / "detached"
        drops = [
            f"ALTER TABLE {DATABASE}.{table} DROP DETACHED PART '{_DETACHED_PREFIX}{part}'"
            for part in broken
            if (aside / f"{_DETACHED_PREFIX}{part}").exists()
        ]
        self.command("drop broken parts", *drops, settings=_DROP)

    def _parts_of(self, table: str) -> PartFiles:
        if table not in self._parts:
            found = super()._query(_FOLDER, {"database": DATABASE, "table": table})
            if not len(found):
                raise StoreUnavailable(f"{self.name}: the table {table} is not there")
            self._parts[table] = PartFiles(Path(found["folder"][0].as_py()))
        return self._parts[table]

    @contextmanager
    def _os_errors_translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreUnavailable(f"{self.name}: {error}") from error

    def _check_merges(self) -> None:
        name_this_thread("series parts")
        while not self._closed.wait(_LOOK_EVERY):
            try:
                self.repair()
            except StoreUnavailable as error:
                log.warning("cannot look at parts", error=str(error))


def _block_rows(memory: int) -> int:
    """Rows that a query reads at a time: a column of texts of 8 kB takes 1/16 of the memory."""
    return max(1024, min(memory // 2**17, 65_409))  # the most is what the engine has by itself


def _options(memory: int) -> dict[str, int]:
    """Settings of the engine that limit its memory to this number of bytes."""
    return {
        "max_server_memory_usage": memory,
        "merges_mutations_memory_usage_soft_limit": memory // 2,
        "mark_cache_size": memory // 8,
        "primary_index_cache_size": memory // 8,
        "index_mark_cache_size": memory // 16,
        "query_condition_cache_size": memory // 16,
        "compiled_expression_cache_size": memory // 16,
    }
