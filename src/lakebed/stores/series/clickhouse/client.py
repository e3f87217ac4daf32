"""The series store through clickhouse-connect: a ClickHouse server, or chDB in this process.

SQL and client are the same for both; `embedded.py` adds what only chDB needs.
"""

import re
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from queue import Empty, LifoQueue
from typing import Any

import pyarrow as pa
import structlog
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from lakebed.kinds import TABLES
from lakebed.ports.erasure import Erasure
from lakebed.ports.events import CountQuestion, Counts, EventPage, EventQuestion
from lakebed.ports.health import Health
from lakebed.ports.metrics import GaugeMetric, HistogramMetric, measured
from lakebed.ports.question import Page, Question
from lakebed.ports.series import Contents, Missing, Usage
from lakebed.stores.series.clickhouse import copying, damaged, erasing, reading
from lakebed.stores.series.clickhouse.indexed_fields import IndexedFields
from lakebed.stores.series.clickhouse.layout import Layout, OneServer
from lakebed.stores.series.clickhouse.reading import event_counts, events
from lakebed.stores.series.clickhouse.schema import DATABASE
from lakebed.stores.series.clickhouse.snapshot import DROP, ClonedTables, statements
from lakebed.stores.series.clickhouse.suspects import Suspect, damaged_parts, suspect_in
from lakebed.vocabulary.errors import StoreDamaged, StoreUnavailable, Unsupported
from lakebed.vocabulary.times import Micros

log = structlog.get_logger(__name__)

_METRICS = {
    "query_ms": GaugeMetric(
        "lakebed_series_probe_seconds", "How long the series took to answer just now.", per=1000
    ),
    "bytes": GaugeMetric(
        "lakebed_series_size_bytes", "Bytes of the tables on the disk of the server that was asked."
    ),
    "memory": GaugeMetric("lakebed_series_memory_bytes", "Bytes that chDB takes in memory."),
    "caches": GaugeMetric("lakebed_series_cache_bytes", "Bytes of them that are its caches."),
}

READ = HistogramMetric(
    "lakebed_series_read_seconds", "How long the series took to answer questions for a reader."
)

DELETE_TIMEOUT = 3600.0
"""Seconds that a deletion may take: it rewrites parts, and the server reports no progress."""
_SETTINGS = {
    "async_insert": 0,  # the call returns when the part is written
    "max_partitions_per_insert_block": 0,  # late data may belong to any number of days or months
    "optimize_on_insert": 0,  # FINAL and merges replace rows of equal keys
    "insert_deduplicate": 0,  # rows replace themselves by key; see schema.py
    "do_not_merge_across_partitions_select_final": 1,
    "output_format_arrow_string_as_string": 1,
    "compile_expressions": 0,  # for a page compiling takes longer than it saves
}
"""Settings of every session. Passed with a query, chDB would set and reset them around it, which
takes ten times as long as a small query."""
_DELETE = {
    "mutations_sync": 2,  # wait, on all replicas
    "distributed_ddl_task_timeout": int(DELETE_TIMEOUT),
}
_ALONE = OneServer()

_LAZY = """
SELECT DISTINCT name FROM {tables}
WHERE database = {{database:String}} AND engine LIKE '%MergeTree'
      AND engine_full NOT LIKE '%fsync_after_insert = 1%'
ORDER BY name
SETTINGS skip_unavailable_shards = 1
"""
_NODES = "one"  # a table that each node has
_SIZE = (
    "SELECT sum(bytes_on_disk) AS size FROM system.parts WHERE active AND database ="
    " {database:String}"
)
_COLUMNS = "SELECT table, name FROM system.columns WHERE database = {database:String}"
_HERE = "SELECT name FROM system.tables WHERE database = {database:String}"
_THERE = f"""
SELECT name, count() AS nodes FROM {{tables}}
WHERE database = {{{{database:String}}}} OR database = 'system' AND name = '{_NODES}'
GROUP BY name
SETTINGS skip_unavailable_shards = 1
"""
_OLDEST = """
SELECT if(count() = 0, NULL, toUnixTimestamp64Micro(min({begin}))) AS oldest
FROM {table}
SETTINGS skip_unavailable_shards = 1, max_execution_time = 1, timeout_overflow_mode = 'break'
"""
"""Answered from the parts' indexes. Where a server reads rows instead, it may stop early."""
_ACTIVE = "SELECT table, name FROM system.parts WHERE database = {database:String} AND active"
_OLDEST_FOR = 60.0  # seconds


class ClickHouseSeries:
    """Implements `ports.series.Series`. A session runs one query at a time: each call borrows one.

    Args:
        connect: opens a session.
        name: the store's name in messages.
        connect_slow: opens a session that waits long for an answer; None if all do.
        layout: how the tables are spread over servers.

    Attributes:
        damages: the number of damaged parts that were found since it was opened.
    """

    _remedy = "stop the keepers, drop the table, and start one: it fills it from backup and journal"
    """What is done about damaged parts, or must be done."""

    def __init__(
        self,
        connect: Callable[[], Client],
        name: str,
        connect_slow: Callable[[], Client] | None = None,
        layout: Layout = _ALONE,
    ) -> None:
        self._connect, self._connect_slow = connect, connect_slow or connect
        self._layout = layout
        self._idle: LifoQueue[Client] = LifoQueue()
        self._all: list[Client] = []
        self._lock = threading.Lock()
        self._known_damaged: set[tuple[str, str]] = set()
        self.damages = 0
        self._fsync = "unknown"
        self._reads = READ.distribution()
        self._oldest: dict[str, tuple[float, Micros | None]] = {}
        self._indexed = IndexedFields(self, layout)
        self.name = name

    def migrate(self) -> None:
        """Create the database and the tables that are missing."""
        there = self._tables()
        wanted = self._layout.names(list(TABLES.values()))
        # A statement for all nodes fails while one is down: none is made that is not needed.
        if any(there.get(name) != there[_NODES] for name in wanted):
            made = self._layout.statements(DATABASE, list(TABLES.values()))
            self.command("create tables", *made)
        self._add_columns()
        self._look_at_fsync()

    def _add_columns(self) -> None:
        """Add the columns that tables of an earlier version do not have."""
        rows = self.query(_COLUMNS, {"database": DATABASE}).to_pylist()
        have = {(row["table"], row["name"]) for row in rows}
        for table in TABLES.values():
            names = self._layout.names([table])
            new = [c for c in table.columns if any((name, c) not in have for name in names)]
            if new:
                self.command("add columns", *self._layout.additions(DATABASE, table, new))
                log.info("columns added to a table", table=table.name, columns=new)

    def _look_at_fsync(self) -> None:
        lazy = self._everywhere(_LAZY)["name"].to_pylist()
        self._fsync = f"off for {', '.join(lazy)}" if lazy else "on"

    def write(self, table: str, rows: pa.Table) -> None:
        with self._session(f"insert into {table}") as client:
            self._insert(client, table, rows)

    def _insert(self, client: Client, table: str, rows: pa.Table) -> None:
        client.insert_arrow(f"{DATABASE}.{table}", rows)

    def read(self, question: Question) -> Page:
        started = time.monotonic()
        page = reading.read(self, question)
        self._reads.observe(time.monotonic() - started)
        return page

    def events(self, question: EventQuestion) -> EventPage:
        return self._indexed.using(lambda columns: events.read(self, question, columns))

    def count_events(self, question: CountQuestion) -> Counts:
        return self._indexed.using(lambda columns: event_counts.count(self, question, columns))

    def index(self, fields: Collection[tuple[str, ...]]) -> None:
        self._indexed.index(fields)

    def usage(self, owner: str) -> Iterator[Usage]:
        return reading.usage(self, owner)

    def erase(self, wanted: Erasure, below: Mapping[int, int]) -> int:
        return erasing.erase(self, wanted, below)

    def counts(self) -> dict[str, int]:
        return copying.counts(self)

    def clear(self) -> None:
        for table in TABLES:
            self.delete(table, "1", {})

    def contents(self, alive: Micros) -> Contents:
        return copying.contents(self, alive)

    def query(self, sql: str, parameters: Mapping[str, Any]) -> pa.Table:
        """Run a SELECT with bound parameters (`{name:Type}`).

        Raises:
            StoreUnavailable: the store does not answer.
            StoreDamaged: a part that it reads is damaged.
        """
        try:
            return self._query(sql, parameters)
        except _BrokenOff as error:
            self._examine(suspect_in(self._reason(sql, parameters)), error)
            raise
        except StoreUnavailable as error:
            self._examine(suspect_in(str(error)), error)
            raise

    def _query(self, sql: str, parameters: Mapping[str, Any]) -> pa.Table:
        with self._session("query") as client:
            try:
                return client.query_arrow(sql, parameters=dict(parameters))
            except pa.ArrowInvalid as error:
                raise _BrokenOff(f"{self.name}: cannot query: {error}") from error

    def _reason(self, sql: str, parameters: Mapping[str, Any]) -> str:
        """Why an answer breaks off in the middle: an answer without rows has room for the error."""
        try:
            with self._session("query") as client:
                client.command(f"{sql} FORMAT Null", parameters=dict(parameters))
        except StoreUnavailable as error:
            return str(error)
        return ""

    def _examine(self, suspect: Suspect | None, error: StoreUnavailable) -> None:
        """Raise `StoreDamaged` if the part that a failed call names is damaged."""
        if suspect is None or self._layout.cluster is not None:
            return  # a replica gets its damaged parts from another
        parts = damaged_parts(self._query, suspect)
        if not parts:
            return
        log.error("parts of the series are damaged", table=suspect.table, parts=parts)
        self._damaged(suspect.table, parts)
        names = ", ".join(f"{suspect.table}/{part}" for part in parts)
        raise StoreDamaged(f"{self.name}: damaged on its disk: {names}; {self._remedy}") from error

    def _damaged(self, table: str, parts: list[str]) -> None:
        """Take note of damaged parts that were not known before."""
        with self._lock:
            self._known_damaged |= {(table, part) for part in parts}
        self.damages += len(parts)

    def _still_damaged(self) -> list[str]:
        """Damaged parts that are in force."""
        if not self._known_damaged:
            return []
        rows = self._query(_ACTIVE, {"database": DATABASE}).to_pylist()
        active = {(row["table"], row["name"]) for row in rows}
        with self._lock:
            self._known_damaged &= active
        return [f"{table}/{part}" for table, part in sorted(self._known_damaged)]

    def oldest(self, table: str) -> Micros | None:
        """About the event time of the oldest row of a table; None if that is unknown.

        The answer may be a minute old, and older rows may exist. Use it for planning only.
        """
        known = self._oldest.get(table)
        if known is None or known[0] < time.monotonic() - _OLDEST_FOR:
            found = None
            if (begin := TABLES[table].begin) is not None:
                sql = _OLDEST.format(begin=begin, table=f"{DATABASE}.{table}")
                found = self.query(sql, {})["oldest"][0].as_py()
            known = self._oldest[table] = time.monotonic(), found
        return known[1]

    def delete(self, table: str, where: str, parameters: Mapping[str, Any]) -> None:
        """Delete the rows for which a condition with bound parameters is true; returns afterwards.

        Rows inserted meanwhile may stay. If it fails, some rows may be deleted: repeat the call.
        """
        try:
            with self._slow_session(f"delete from {table}") as client:
                client.command(
                    f"ALTER TABLE {self._layout.stored(DATABASE, table)} DELETE WHERE {where}",
                    parameters=dict(parameters),
                    settings=_DELETE,
                )
        except StoreUnavailable as error:
            self._examine(suspect_in(str(error), table), error)
            raise

    def missing(self) -> Missing:
        """What is missing. The store detaches damaged parts by itself when it opens."""
        there = self._tables()
        gone = tuple(name for name in TABLES if not there.get(self._layout.local(name)))
        everything = len(gone) == len(TABLES)
        if everything or self._layout.cluster is not None:
            # a replica gets its damaged parts from another
            return Missing(everything, tables=gone)
        return replace(damaged.look(self, DATABASE), tables=gone)

    def _tables(self) -> dict[str, int]:
        """On how many of the nodes that answer a table is."""
        rows = self._everywhere(_THERE).to_pylist()
        return {row["name"]: row["nodes"] for row in rows}

    def _everywhere(self, query: str) -> pa.Table:
        tables = self._layout.everywhere("tables")
        return self.query(query.format(tables=tables), {"database": DATABASE})

    def snapshot(self) -> ClonedTables:
        if self._layout.cluster is not None:
            what = "no moment is the same on all nodes of a cluster; use BACKUP ... ON CLUSTER"
            raise Unsupported(f"{self.name} cannot be backed up by Lakebed: {what}")
        self.command("clone the tables", *statements(DATABASE))
        return ClonedTables(self, self.drop_clones)

    def drop_clones(self) -> None:
        """Drop the tables of a snapshot, also one that a killed process has left."""
        self.command("drop the clones", DROP)

    def command(
        self, doing: str, *commands: str, settings: Mapping[str, Any] | None = None
    ) -> None:
        with self._session(doing) as client:
            for command in commands:
                client.command(command, settings=dict(settings or {}))

    def health(self) -> Health:
        started = time.monotonic()
        try:
            here = set(self.query(_HERE, {"database": DATABASE})["name"].to_pylist())
            milliseconds = (time.monotonic() - started) * 1000
            (size,) = self.query(_SIZE, {"database": DATABASE})["size"].to_pylist()
            figures = {"bytes": size, **self._figures()}
            if self._fsync == "unknown" and here:  # its tables were not made by this process
                self._look_at_fsync()
            damaged = self._still_damaged()
        except StoreUnavailable as error:
            return Health(False, str(error))
        detail = {"query_ms": round(milliseconds, 1), "fsync": self._fsync, **figures}
        troubles = []
        gone = [name for name in self._layout.names(list(TABLES.values())) if name not in here]
        if gone:
            troubles.append(
                f"{self.name}: tables are missing ({', '.join(gone)}): restart a keeper, which"
                " creates them again and fills them from the journal"
            )
        if damaged:
            troubles.append(f"damaged on its disk: {', '.join(damaged)}; {self._remedy}")
        samples = (*measured(_METRICS, detail), self._reads.sample())
        return Health(not troubles, "; ".join(troubles), detail, samples)

    def _figures(self) -> dict[str, Any]:
        """Figures of this kind of store."""
        return {}

    def close(self) -> None:
        with self._lock:
            for client in self._all:
                client.close()
            self._all.clear()

    @contextmanager
    def _session(self, doing: str) -> Iterator[Client]:
        try:
            client = self._idle.get_nowait()
        except Empty:
            client = self._open()
        try:
            with self._translated(doing):
                yield client
        except StoreUnavailable:
            # A session that failed may be in any state: the next call opens a new one.
            self._discard(client)
            raise
        else:
            self._idle.put(client)

    @contextmanager
    def _slow_session(self, doing: str) -> Iterator[Client]:
        """Open a connect_slow session for a single call."""
        with self._translated(doing), closing(self._opened(self._connect_slow)) as client:
            yield client

    @contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        try:
            yield
        except (ClickHouseError, OSError) as error:
            raise StoreUnavailable(f"{self.name}: cannot {doing}: {_first_line(error)}") from error

    def _open(self) -> Client:
        with self._translated("connect"):
            client = self._opened(self._connect)
        with self._lock:
            self._all.append(client)
        return client

    def _opened(self, connect: Callable[[], Client]) -> Client:
        client = connect()
        for name, value in {**_SETTINGS, **self._layout.settings}.items():
            client.set_client_setting(name, value)
        return client

    def _discard(self, client: Client) -> None:
        """Close a session that failed: the rest of its answer would be read as the next answer.

        The last session is replaced first, because closing it would stop an embedded engine.
        """
        with self._lock:
            last = len(self._all) == 1
        if last:
            try:
                self._idle.put(self._open())
            except StoreUnavailable:
                self._idle.put(client)
                return
        with self._lock:
            self._all.remove(client)
            client.close()


_REFUSED = re.compile(r"Failed to establish a new connection: \[Errno \d+\] ([^\"')]+)")


class _BrokenOff(StoreUnavailable):
    """An answer ended in the middle."""


def _first_line(error: BaseException) -> str:
    if (refused := _REFUSED.search(str(error))) is not None:  # the library wraps it three times
        return refused[1]
    return (str(error).splitlines() or [type(error).__name__])[0]
