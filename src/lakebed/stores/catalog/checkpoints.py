"""Checkpoints: the offset and state of each part of a consumer."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, delete, func, select

from lakebed.ports.catalog.checkpoints import Checkpoint
from lakebed.stores.catalog import tables
from lakebed.stores.catalog.database import Database
from lakebed.stores.catalog.upsert import insert
from lakebed.vocabulary.errors import Superseded, UnknownFormat

_TABLE = tables.checkpoints
_CHUNK = 500
"""Names in one DELETE; older SQLite takes no more than 999 parameters."""


FORMAT = 1
"""The format of the states that this version writes; it reads all formats up to it."""

TERM = "term"
"""The part that counts the claims of a partition, in its column `offset`."""


class SqlCheckpoints(Database):
    """Implements `ports.CheckpointStore`."""

    def claim(self, consumer: str, partition: int) -> int:
        with self._call() as connection:
            first = {"consumer": consumer, "partition": partition, "part": TERM}
            claimed = (
                insert(connection.dialect.name, _TABLE)
                .values(**first, offset=1, state=b"")
                .on_conflict_do_update(
                    index_elements=_TABLE.primary_key, set_={"offset": _TABLE.c.offset + 1}
                )
                .returning(_TABLE.c.offset)
            )
            return int(connection.execute(claimed).scalar_one())

    def term(self, consumer: str, partition: int) -> int:
        with self._read() as connection:
            return int(connection.execute(_term(consumer, partition)).scalar() or 0)

    def claimed(self, consumer: str) -> list[int]:
        terms = select(_TABLE.c.partition).where(
            _TABLE.c.consumer == consumer, _TABLE.c.part == TERM
        )
        with self._read() as connection:
            return sorted(connection.execute(terms).scalars())

    def checkpoints(
        self, consumer: str, partition: int | None = None, part: str | None = None
    ) -> dict[int, list[Checkpoint]]:
        query = (
            select(*(_TABLE.c[name] for name in ("partition", "part", "offset", "state", "format")))
            .where(_TABLE.c.consumer == consumer, _TABLE.c.part != TERM)
            .order_by(_TABLE.c.partition, _TABLE.c.part)
        )
        if partition is not None:
            query = query.where(_TABLE.c.partition == partition)
        if part is not None:
            query = query.where(_TABLE.c.part == part)
        found: dict[int, list[Checkpoint]] = {}
        with self._read() as connection:
            for number, name, offset, state, written in connection.execute(query):
                if written > FORMAT:
                    raise UnknownFormat(
                        f"the checkpoint {name!r} of partition {number} has the format {written}: "
                        "this checkpoint was written by a newer version; upgrade keepers first "
                        f"(this one reads formats up to {FORMAT})"
                    )
                found.setdefault(number, []).append(Checkpoint(name, offset, bytes(state)))
        return found

    def highest_offset(self, partition: int) -> int:
        query = select(func.max(_TABLE.c.offset)).where(
            _TABLE.c.partition == partition, _TABLE.c.part != TERM
        )
        with self._read() as connection:
            return int(connection.execute(query).scalar() or 0)

    def save_checkpoints(
        self,
        consumer: str,
        partition: int,
        parts: Sequence[Checkpoint],
        drop: Sequence[str] = (),
        term: int | None = None,
    ) -> None:
        key = {"consumer": consumer, "partition": partition, "format": FORMAT}
        rows = [
            {**key, "part": part.part, "offset": part.offset, "state": part.state} for part in parts
        ]
        with self._call() as connection:
            if term is not None:
                # the row stays locked until the commit: a claim comes before all of this or after
                newest = _term(consumer, partition).with_for_update()
                if connection.execute(newest).scalar() != term:
                    raise Superseded(f"partition {partition} of {consumer} has another worker")
            for start in range(0, len(drop), _CHUNK):
                connection.execute(
                    delete(_TABLE).where(
                        _TABLE.c.consumer == consumer,
                        _TABLE.c.partition == partition,
                        _TABLE.c.part.in_(drop[start : start + _CHUNK]),
                    )
                )
            if rows:
                statement = insert(connection.dialect.name, _TABLE)
                changed = {name: statement.excluded[name] for name in ("offset", "state", "format")}
                connection.execute(
                    statement.on_conflict_do_update(
                        index_elements=_TABLE.primary_key, set_=changed
                    ),
                    rows,
                )


def _term(consumer: str, partition: int) -> Select[Any]:
    return select(_TABLE.c.offset).where(
        _TABLE.c.consumer == consumer, _TABLE.c.partition == partition, _TABLE.c.part == TERM
    )
