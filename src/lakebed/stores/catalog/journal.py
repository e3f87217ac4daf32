"""Which topic the journal is, what was appended to it, and what of it was lost."""

import json
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, func, or_, select, tuple_, update

from lakebed.ports.catalog.journal import Appended, JournalIdentity, JournalLoss, LossReason
from lakebed.stores.catalog import gaps, tables
from lakebed.stores.catalog.checkpoints import TERM, SqlCheckpoints
from lakebed.stores.catalog.gaps import OffsetRange
from lakebed.stores.catalog.upsert import insert
from lakebed.vocabulary.errors import Conflict
from lakebed.vocabulary.times import now

_IDENTITY = tables.journal_identity
_APPENDED = tables.journal_appended
_LOSSES = tables.journal_losses
_PARTS = tables.checkpoints
_GROWING = ("end", "records", "owners", "counts")
_COUNTS = msgspec.msgpack.Decoder(list[tuple[int, dict[str, int]]])
_NAME = "journal"
_OWNER = "admin"
"""The owner of lost messages of which no writer has noted anything."""


class SqlJournal(SqlCheckpoints):
    """Implements `ports.catalog.journal`."""

    # --- which one it is --------------------------------------------------------------------------

    def identity(self) -> JournalIdentity | None:
        with self._read() as connection:
            return _identity(connection)

    def register(self, found: JournalIdentity) -> JournalIdentity:
        with self._call() as connection:
            statement = insert(connection.dialect.name, _IDENTITY).values(_row(found))
            connection.execute(statement.on_conflict_do_nothing())
            return _identity(connection) or found

    def highest(self) -> int:
        columns = (_PARTS.c.offset, _APPENDED.c.end, _LOSSES.c.end)
        with self._call() as connection:
            queries = [select(func.max(column)) for column in columns]
            queries[0] = queries[0].where(_PARTS.c.part != TERM)
            return max(int(connection.execute(query).scalar() or 0) for query in queries)

    def adopt(
        self, former: JournalIdentity, found: JournalIdentity, also: Callable[[], None]
    ) -> None:
        with self.transaction(), self._call() as connection:
            changed = connection.execute(
                update(_IDENTITY)
                .where(_IDENTITY.c.name == _NAME, _IDENTITY.c.changed == former.changed)
                .where(_IDENTITY.c.id == former.id, _IDENTITY.c.partitions == former.partitions)
                .values(_row(found))
            )
            if changed.rowcount != 1:
                raise Conflict("the journal has been adopted meanwhile: look again")
            # the rows stay locked until the commit: who saves under its claim comes before or fails
            connection.execute(
                update(_PARTS).where(_PARTS.c.part == TERM).values(offset=_PARTS.c.offset + 1)
            )
            also()

    # --- what was appended ------------------------------------------------------------------------

    def note_appended(self, writer: str, noted: Sequence[Appended]) -> None:
        rows = [
            {
                "writer": writer,
                "partition": each.partition,
                "start": each.start,
                "end": each.end,
                "records": each.records,
                "owners": json.dumps(each.owners),
                "counts": _packed(each),
            }
            for each in noted
        ]
        with self._call() as connection:
            statement = insert(connection.dialect.name, _APPENDED)
            changed = {name: statement.excluded[name] for name in _GROWING}
            connection.execute(
                statement.on_conflict_do_update(index_elements=_APPENDED.primary_key, set_=changed),
                rows,
            )

    def forget_appended(self, below: Mapping[int, int]) -> None:
        gone = [
            (_APPENDED.c.partition == partition) & (_APPENDED.c.end <= offset)
            for partition, offset in below.items()
        ]
        if gone:
            with self._call() as connection:
                connection.execute(delete(_APPENDED).where(or_(*gone)))

    # --- what was lost ----------------------------------------------------------------------------

    def note_lost(
        self,
        consumer: str,
        partition: int,
        start: int,
        end: int,
        reason: LossReason,
        records: int,
        dry: bool = False,
    ) -> list[JournalLoss]:
        if start >= end:
            return []
        with self._call() as connection:
            found = _losses(connection, consumer, partition, (start, end), reason, records)
            if found and not dry:
                connection.execute(_LOSSES.insert(), [_lost(loss) for loss in found])
            return found

    def losing(self, consumer: str, begins: Mapping[int, int]) -> list[JournalLoss]:
        with self._call() as connection:
            counted = _counted(connection, consumer)
            return [
                loss
                for partition, begin in begins.items()
                if (start := counted.get(partition, 0)) < begin
                for loss in _losses(connection, consumer, partition, (start, begin), "vanished", 0)
            ]

    def losses(self, unseen: bool = False) -> list[JournalLoss]:
        order = (_LOSSES.c.consumer, _LOSSES.c.partition, _LOSSES.c.start)
        query = select(_LOSSES).order_by(*order)
        if unseen:
            query = query.where(_LOSSES.c.seen.is_(False))
        with self._read() as connection:
            rows = connection.execute(query).mappings()
            return [JournalLoss(**{**row, "owners": json.loads(row["owners"])}) for row in rows]

    def acknowledge_losses(self, ranges: Iterable[tuple[str, int, int]]) -> None:
        key = tuple_(_LOSSES.c.consumer, _LOSSES.c.partition, _LOSSES.c.start)
        with self._call() as connection:
            for each in ranges:
                connection.execute(update(_LOSSES).where(key == each).values(seen=True))

    def counted(self, consumer: str) -> dict[int, int]:
        with self._read() as connection:
            return _counted(connection, consumer)


def _losses(
    connection: Connection,
    consumer: str,
    partition: int,
    lost: OffsetRange,
    reason: LossReason,
    records: int,
) -> list[JournalLoss]:
    """The parts of a range that were not noted before, divided at the counted offset."""
    of_it = (_LOSSES.c.consumer == consumer) & (_LOSSES.c.partition == partition)
    ranges = select(_LOSSES.c.start, _LOSSES.c.end).where(of_it)
    known = [(begin, stop) for begin, stop in connection.execute(ranges)]
    counted = _counted(connection, consumer).get(partition, 0)
    noted = _noted(connection, partition, lost)
    whole = lost[1] - lost[0]
    found = []
    for start, end in gaps.without(lost, known):
        for begin, stop, why in _divided(start, end, counted, reason):
            share = -(-records * (stop - begin) // whole)
            owners = gaps.messages((begin, stop), noted, share, _OWNER)
            found.append(
                JournalLoss(
                    consumer, partition, begin, stop, why, owners.total(),
                    {} if why == "unwritten" else dict(owners), now(),
                )
            )  # fmt: skip
    return found


def _divided(
    start: int, end: int, counted: int, reason: LossReason
) -> Iterable[tuple[int, int, LossReason]]:
    if start < counted:
        yield start, min(counted, end), "unwritten"
    if counted < end:
        yield max(start, counted), end, reason


def _counted(connection: Connection, consumer: str) -> dict[int, int]:
    query = (
        select(_PARTS.c.partition, func.max(_PARTS.c.offset))
        .where(_PARTS.c.consumer == consumer, _PARTS.c.part != TERM)
        .group_by(_PARTS.c.partition)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def _noted(connection: Connection, partition: int, lost: OffsetRange) -> list[Appended]:
    columns = [_APPENDED.c[name] for name in ("start", *_GROWING)]
    inside = (_APPENDED.c.end > lost[0]) & (_APPENDED.c.start < lost[1])
    rows = connection.execute(select(*columns).where(_APPENDED.c.partition == partition, inside))
    return [
        Appended(partition, start, end, records, json.loads(owners), _unpacked(bytes(counts)))
        for start, end, records, owners, counts in rows
    ]


def _packed(appended: Appended) -> bytes:
    return zlib.compress(msgspec.msgpack.encode(appended.counts), 1) if appended.counts else b""


def _unpacked(counts: bytes) -> Sequence[tuple[int, Mapping[str, int]]]:
    return _COUNTS.decode(zlib.decompress(counts)) if counts else []


def _identity(connection: Connection) -> JournalIdentity | None:
    row = connection.execute(select(_IDENTITY).where(_IDENTITY.c.name == _NAME)).mappings().first()
    if row is None:
        return None
    begin = {int(partition): record for partition, record in json.loads(row["begin"]).items()}
    return JournalIdentity(
        row["topic"], row["id"], row["partitions"], row["base"], row["changed"], begin
    )


def _row(identity: JournalIdentity) -> dict[str, Any]:
    return {
        "name": _NAME,
        "topic": identity.topic,
        "id": identity.id,
        "partitions": identity.partitions,
        "base": identity.base,
        "changed": identity.changed,
        "begin": json.dumps(identity.begin),
    }


def _lost(loss: JournalLoss) -> dict[str, Any]:
    values = {name: getattr(loss, name) for name in JournalLoss.__slots__}
    return {**values, "owners": json.dumps(loss.owners)}
