"""The byte ledger: a row for each segment, replaced as a whole."""

from collections.abc import Iterator, Sequence
from contextlib import suppress

from sqlalchemy import ColumnElement, Connection, bindparam, delete, func, select, update

from lakebed.ports.catalog.ledger import LedgerSegment, Measure, SegmentKey
from lakebed.stores.catalog import tables
from lakebed.stores.catalog.database import Database
from lakebed.stores.catalog.upsert import insert
from lakebed.vocabulary.errors import UnknownFormat
from lakebed.vocabulary.times import HOUR, Micros

_TABLE = tables.ledger_segments
_KEY = tuple(_TABLE.primary_key.columns)
_FIELDS = ("hour", "measure", "writer", "first", "rows", "state", "hours")
_NOTES = tables.notes
_MERGED, _MERGING = "ledger merged before", "ledger merging until"
_LONGEST = HOUR  # for which a claim holds; one that lasts longer is of a clock that was ahead
_AT_ONCE = 16  # segments in memory; one may be of megabytes

_DELETE = delete(_TABLE).where(*(column == bindparam(column.name) for column in _KEY))

FORMAT = 1
"""Of the states that this version writes. It reads all up to it."""


class _Changed(Exception):
    """A segment that was to be replaced is gone."""


class SqlLedger(Database):
    """Fulfils `ports.catalog.ledger.LedgerStore`."""

    def save_ledger(self, segments: Sequence[LedgerSegment]) -> int:
        if not segments:
            return 0
        with self._call() as connection:
            wanted = segments
            if any(segment.measure != Measure.IN for segment in segments):
                # the row stays locked until the commit: all of this comes before a merge or after
                merged = _locked(connection, _MERGED, share=True)
                wanted = [s for s in segments if s.measure == Measure.IN or s.hour >= merged]
            if wanted:
                statement = insert(connection.dialect.name, _TABLE)
                changed = {name: statement.excluded[name] for name in ("rows", "state", "format")}
                connection.execute(
                    statement.on_conflict_do_update(index_elements=_KEY, set_=changed),
                    _rows(wanted),
                )
        return len(segments) - len(wanted)

    def merged_before(self) -> Micros:
        with self._read() as connection:
            found = select(_NOTES.c.text).where(_NOTES.c.name == _MERGED)
            return int(connection.execute(found).scalar() or 0)

    def ledger(self, start: Micros, end: Micros) -> Iterator[LedgerSegment]:
        query = (
            select(*(_TABLE.c[name] for name in (*_FIELDS, "format")))
            .where(*_within(start, end))
            .order_by(*_TABLE.primary_key.columns)
            .execution_options(yield_per=_AT_ONCE)
        )
        with self._read() as connection, connection.execute(query) as found:
            for hour, measure, writer, first, rows, state, hours, written in found:
                if written > FORMAT:
                    raise UnknownFormat(
                        f"a segment of the byte ledger has the format {written}: a newer version "
                        f"wrote it (this one reads formats up to {FORMAT})"
                    )
                yield LedgerSegment(hour, measure, writer, first, rows, bytes(state), hours)

    def ledger_rows(self, start: Micros, end: Micros) -> int:
        query = select(func.sum(_TABLE.c.rows)).where(*_within(start, end))
        with self._read() as connection:
            return int(connection.execute(query).scalar() or 0)

    def sampled_hours(self, start: Micros, end: Micros) -> int:
        query = select(func.sum(_TABLE.c.hours)).where(
            *_within(start, end), _TABLE.c.measure == Measure.STORED
        )
        with self._read() as connection:
            return int(connection.execute(query).scalar() or 0)

    # --- merging ----------------------------------------------------------------------------------

    def claim_merging(self, now: Micros, until: Micros) -> bool:
        with self._call() as connection:
            if now < _locked(connection, _MERGING) <= now + _LONGEST:
                return False
            _note(connection, _MERGING, until)
            return True

    def release_merging(self) -> None:
        with self._call() as connection:
            _note(connection, _MERGING, 0)

    def mark_merged(self, before: Micros) -> None:
        with self._call() as connection:
            if _locked(connection, _MERGED) < before:
                _note(connection, _MERGED, before)

    def ledger_keys(self, start: Micros, end: Micros) -> list[SegmentKey]:
        query = select(*_KEY).where(*_within(start, end)).order_by(*_KEY)
        with self._read() as connection:
            return [SegmentKey(*row) for row in connection.execute(query)]

    def replace_ledger(
        self, former: Sequence[SegmentKey], segments: Sequence[LedgerSegment]
    ) -> bool:
        with suppress(_Changed), self._call() as connection:
            _locked(connection, _MERGED)  # one after the other
            for key in former:
                if not connection.execute(_DELETE, key._asdict()).rowcount:
                    raise _Changed
            connection.execute(_TABLE.insert(), _rows(segments))
            return True
        return False

    def expire_ledger(self, before: Micros) -> int:
        with self._call() as connection:
            return connection.execute(delete(_TABLE).where(_TABLE.c.hour < before)).rowcount


def _rows(segments: Sequence[LedgerSegment]) -> list[dict[str, object]]:
    return [
        {name: getattr(segment, name) for name in _FIELDS} | {"format": FORMAT}
        for segment in segments
    ]


def _locked(connection: Connection, name: str, share: bool = False) -> int:
    """Read a note that is a number, and lock it until the commit."""
    made = insert(connection.dialect.name, _NOTES).values(name=name, text="0")
    connection.execute(made.on_conflict_do_nothing(index_elements=["name"]))
    found = select(_NOTES.c.text).where(_NOTES.c.name == name).with_for_update(read=share)
    return int(connection.execute(found).scalar_one())


def _note(connection: Connection, name: str, value: int) -> None:
    connection.execute(update(_NOTES).where(_NOTES.c.name == name).values(text=str(value)))


def _within(start: Micros, end: Micros) -> tuple[ColumnElement[bool], ...]:
    return _TABLE.c.hour >= start, _TABLE.c.hour < end
