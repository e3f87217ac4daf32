"""Orders about parked stretches."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, delete, select, update

from lakebed.ports.catalog.parking import ParkedOrder
from lakebed.stores.catalog import tables
from lakebed.stores.catalog.database import Database
from lakebed.stores.catalog.upsert import insert
from lakebed.vocabulary.times import Micros

_TABLE = tables.parked_orders
_FIELDS = ParkedOrder.__slots__
_ALL = select(*(_TABLE.c[name] for name in _FIELDS)).order_by(
    _TABLE.c.asked, _TABLE.c.partition, _TABLE.c.first
)


class SqlParkedOrders(Database):
    """Fulfils `ports.catalog.parking`."""

    def order_parked(self, orders: Sequence[ParkedOrder]) -> int:
        made = 0
        with self._call() as connection:
            for order in orders:
                row = {name: getattr(order, name) for name in _FIELDS} | {"claimed": 0}
                added = connection.execute(
                    insert(connection.dialect.name, _TABLE)
                    .values(row)
                    .on_conflict_do_nothing(index_elements=["owner", "partition", "first"])
                    .returning(_TABLE.c.first)  # an INSERT has no rowcount in PostgreSQL's driver
                )
                made += len(added.all())
        return made

    def parked_orders(self) -> list[ParkedOrder]:
        with self._read() as connection:
            return [ParkedOrder(*row) for row in connection.execute(_ALL)]

    def claim_release(self, now: Micros, until: Micros) -> ParkedOrder | None:
        open = (_TABLE.c.wish == "release") & ~_TABLE.c.done & (_TABLE.c.claimed < now)
        with self._read() as connection:
            found = [ParkedOrder(*row) for row in connection.execute(_ALL.where(open).limit(1))]
        for order in found:
            with self._call() as connection:
                claim = update(_TABLE).where(_is(order), open).values(claimed=until)
                if connection.execute(claim).rowcount:
                    return order
        return None

    def advance_release(self, order: ParkedOrder, next: int, done: bool, until: Micros) -> None:
        with self._call() as connection:
            connection.execute(
                update(_TABLE).where(_is(order)).values(next=next, done=done, claimed=until)
            )

    def settle_parked(self, order: ParkedOrder) -> None:
        with self._call() as connection:
            connection.execute(delete(_TABLE).where(_is(order)))


def _is(order: ParkedOrder) -> ColumnElement[bool]:
    return (
        (_TABLE.c.owner == order.owner)
        & (_TABLE.c.partition == order.partition)
        & (_TABLE.c.first == order.first)
    )
