"""Refusals: a row for each kind, with its count."""

from collections.abc import Collection, Sequence
from dataclasses import asdict

from sqlalchemy import delete, func, or_, select, tuple_

from lakebed.ports.catalog.refusals import Refusal
from lakebed.stores.catalog import tables
from lakebed.stores.catalog.database import Database
from lakebed.stores.catalog.upsert import insert

_TABLE = tables.refusals
_KEY = tuple(_TABLE.primary_key)
_NEWEST = (_TABLE.c.last.desc(), *_KEY)


class SqlRefusals(Database):
    """Implements `ports.catalog.refusals`."""

    def add_refusals(self, refusals: Sequence[Refusal]) -> None:
        if not refusals:
            return
        with self._call() as connection:
            statement = insert(connection.dialect.name, _TABLE)
            new = statement.excluded
            changed = {
                "count": _TABLE.c.count + new.count,
                "last": new.last,
                "address": new.address,
                "text": new.text,
            }
            # all gateways take the rows in one order, or they would lock each other out
            rows = sorted((asdict(one) for one in refusals), key=lambda row: _key(row))
            connection.execute(
                statement.on_conflict_do_update(index_elements=_TABLE.primary_key, set_=changed),
                rows,
            )

    def refusals(
        self, owners: Collection[str], reason: str | None = None, limit: int = 100
    ) -> list[Refusal]:
        columns = [_TABLE.c[name] for name in Refusal.__slots__]
        query = select(*columns).where(_TABLE.c.owner.in_(owners))
        if reason is not None:
            query = query.where(_TABLE.c.reason == reason)
        with self._read() as connection:
            found = connection.execute(query.order_by(*_NEWEST).limit(limit))
            return [Refusal(*row) for row in found]

    def expire_refusals(self, most: int, before: int) -> None:
        rank = func.row_number().over(partition_by=_TABLE.c.owner, order_by=_NEWEST)
        ranked = select(*_KEY, _TABLE.c.last, rank.label("rank")).subquery()
        names = [column.name for column in _KEY]
        old = select(*(ranked.c[name] for name in names)).where(
            or_(ranked.c.last < before, ranked.c.rank > most)
        )
        with self._call() as connection:
            connection.execute(delete(_TABLE).where(tuple_(*_KEY).in_(old)))


def _key(row: dict[str, object]) -> tuple[str, ...]:
    return tuple(str(row[column.name]) for column in _KEY)
