"""The byte ledger: a row for each segment, replaced as a whole."""

from collections.abc import Iterator, Sequence

from sqlalchemy import ColumnElement, delete, func, select

from lakebed.ports.catalog.ledger import LedgerSegment
from lakebed.stores.catalog import tables
from lakebed.stores.catalog.database import Database
from lakebed.stores.catalog.upsert import insert
from lakebed.vocabulary.errors import UnknownFormat
from lakebed.vocabulary.times import Micros

_TABLE = tables.ledger_segments
_FIELDS = ("hour", "measure", "writer", "first", "rows", "state")
_AT_ONCE = 16  # segments in memory; one may be of megabytes

FORMAT = 1
"""Of the states that this version writes. It reads all up to it."""


class SqlLedger(Database):
    """Fulfils `ports.catalog.ledger.LedgerStore`."""

    def save_ledger(self, segments: Sequence[LedgerSegment]) -> None:
        if not segments:
            return
        rows = [
            {name: getattr(segment, name) for name in _FIELDS} | {"format": FORMAT}
            for segment in segments
        ]
        with self._call() as connection:
            statement = insert(connection.dialect.name, _TABLE)
            changed = {name: statement.excluded[name] for name in ("rows", "state", "format")}
            connection.execute(
                statement.on_conflict_do_update(index_elements=_TABLE.primary_key, set_=changed),
                rows,
            )

    def ledger(self, start: Micros, end: Micros) -> Iterator[LedgerSegment]:
        query = (
            select(*(_TABLE.c[name] for name in (*_FIELDS, "format")))
            .where(*_within(start, end))
            .order_by(*_TABLE.primary_key.columns)
            .execution_options(yield_per=_AT_ONCE)
        )
        with self._read() as connection, connection.execute(query) as found:
            for hour, measure, writer, first, rows, state, written in found:
                if written > FORMAT:
                    raise UnknownFormat(
                        f"a segment of the byte ledger has the format {written}: a newer version "
                        f"wrote it (this one reads formats up to {FORMAT})"
                    )
                yield LedgerSegment(hour, measure, writer, first, rows, bytes(state))

    def ledger_rows(self, start: Micros, end: Micros) -> int:
        query = select(func.sum(_TABLE.c.rows)).where(*_within(start, end))
        with self._read() as connection:
            return int(connection.execute(query).scalar() or 0)

    def ledger_hours(self, measure: str, start: Micros, end: Micros) -> list[Micros]:
        query = (
            select(_TABLE.c.hour)
            .where(*_within(start, end), _TABLE.c.measure == measure)
            .distinct()
            .order_by(_TABLE.c.hour)
        )
        with self._read() as connection:
            return list(connection.execute(query).scalars())

    def expire_ledger(self, before: Micros) -> int:
        with self._call() as connection:
            return connection.execute(delete(_TABLE).where(_TABLE.c.hour < before)).rowcount


def _within(start: Micros, end: Micros) -> tuple[ColumnElement[bool], ...]:
    return _TABLE.c.hour >= start, _TABLE.c.hour < end
