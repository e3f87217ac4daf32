"""Checkpoints: where each part of a consumer stands, and what it must remember."""

from collections.abc import Sequence

from sqlalchemy import delete, select

from lakebed.catalog import tables
from lakebed.catalog.database import Database
from lakebed.catalog.upsert import insert
from lakebed.ports import Checkpoint

_TABLE = tables.checkpoints
_CHUNK = 500
"""Names in one DELETE; older SQLite takes no more than 999 parameters."""


class SqlCheckpoints(Database):
    """Fulfils `ports.CheckpointStore`."""

    def checkpoints(
        self, consumer: str, partition: int | None = None
    ) -> dict[int, list[Checkpoint]]:
        query = (
            select(_TABLE.c.partition, _TABLE.c.part, _TABLE.c.offset, _TABLE.c.state)
            .where(_TABLE.c.consumer == consumer)
            .order_by(_TABLE.c.partition, _TABLE.c.part)
        )
        if partition is not None:
            query = query.where(_TABLE.c.partition == partition)
        found: dict[int, list[Checkpoint]] = {}
        with self._call() as connection:
            for place, part, offset, state in connection.execute(query):
                found.setdefault(place, []).append(Checkpoint(part, offset, bytes(state)))
        return found

    def save_checkpoints(
        self, consumer: str, partition: int, parts: Sequence[Checkpoint], drop: Sequence[str] = ()
    ) -> None:
        place = {"consumer": consumer, "partition": partition}
        rows = [
            {**place, "part": part.part, "offset": part.offset, "state": part.state}
            for part in parts
        ]
        with self._call() as connection:
            for start in range(0, len(drop), _CHUNK):
                connection.execute(
                    delete(_TABLE).where(
                        _TABLE.c.consumer == consumer,
                        _TABLE.c.partition == partition,
                        _TABLE.c.part.in_(drop[start : start + _CHUNK]),
                    )
                )
            if rows:
                statement = insert(connection, _TABLE)
                changed = {name: statement.excluded[name] for name in ("offset", "state")}
                connection.execute(
                    statement.on_conflict_do_update(
                        index_elements=_TABLE.primary_key, set_=changed
                    ),
                    rows,
                )
