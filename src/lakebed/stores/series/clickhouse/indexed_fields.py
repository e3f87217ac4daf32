"""Which fields of JSON records have columns: read, added and dropped.

A column is there or not for the whole store; several processes may add and drop at the same time,
as each statement changes nothing that is done already.
"""

import time
from collections.abc import Callable, Collection
from typing import TypeVar

import structlog

from lakebed.stores.series.clickhouse import field_index
from lakebed.stores.series.clickhouse.layout import Layout
from lakebed.stores.series.clickhouse.schema import DATABASE
from lakebed.stores.series.clickhouse.select import Define
from lakebed.vocabulary.errors import StoreUnavailable

log = structlog.get_logger(__name__)

Answer = TypeVar("Answer")

_COLUMNS = (
    "SELECT name FROM system.columns WHERE database = {database:String} AND table = {table:String}"
)
_KNOWN_FOR = 5.0  # seconds


class IndexedFields:
    """Thread-safe."""

    def __init__(
        self, client: Define, layout: Layout, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._client, self._layout, self._clock = client, layout, clock
        self._known: tuple[float, frozenset[str]] | None = None

    def using(self, answer: Callable[[Collection[str]], Answer]) -> Answer:
        """Answer a question with the columns that are there.

        Where it fails because another process has dropped one meanwhile, it is answered again.
        """
        columns = self._columns()
        try:
            return answer(columns)
        except StoreUnavailable:
            self._known = None
            if (now := self._columns()) == columns:
                raise
            return answer(now)

    def index(self, fields: Collection[field_index.Steps]) -> None:
        """See `ports.events.EventIndexer`."""
        wanted = field_index.wanted_columns(fields)
        if len(wanted) < len(set(fields)):
            log.warning(
                "too many fields to index: some are looked for in the texts",
                fields=len(set(fields)),
                most=field_index.MOST_INDEXED,
            )
        there = {name for name in self._read() if field_index.is_text_column(name)}
        for name in sorted(wanted.keys() - there):
            self._add(wanted[name])
        for name in sorted(there - wanted.keys()):
            self._drop(name)
        self._known = None

    def _add(self, steps: field_index.Steps) -> None:
        stored = self._layout.stored(DATABASE, field_index.TABLE)
        commands = [field_index.additions(stored, steps)]
        if (shared := self._shared()) is not None:
            commands.append(field_index.plain_additions(shared, steps))
        self._client.command("index a field", *commands, field_index.materialization(stored, steps))
        log.info("field indexed", field="/".join(steps))

    def _drop(self, name: str) -> None:
        stored = self._layout.stored(DATABASE, field_index.TABLE)
        commands = [field_index.removals(stored, name)]
        if (shared := self._shared()) is not None:
            commands.insert(0, field_index.removals(shared, name, indexed=False))
        self._client.command("drop the index of a field", *commands)
        log.info("index of a field dropped", column=name)

    def _shared(self) -> str | None:
        """In a cluster, the table over the shards."""
        if self._layout.cluster is None:
            return None
        return f"{DATABASE}.{field_index.TABLE} ON CLUSTER '{self._layout.cluster}'"

    def _columns(self) -> frozenset[str]:
        known = self._known
        if known is None or known[0] < self._clock() - _KNOWN_FOR:
            known = self._known = self._clock(), self._read()
        return known[1]

    def _read(self) -> frozenset[str]:
        asked = {"database": DATABASE, "table": field_index.TABLE}
        names = self._client.query(_COLUMNS, asked)["name"].to_pylist()
        return frozenset(name for name in names if name.startswith(field_index.PREFIX))
