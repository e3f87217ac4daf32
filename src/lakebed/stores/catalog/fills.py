"""Orders to fill policies."""

import json
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, insert, select, update

from lakebed.ports.catalog.fills import FillOrder
from lakebed.stores.catalog import tables
from lakebed.stores.catalog.database import Database
from lakebed.vocabulary.errors import Conflict

_TABLE = tables.fills
_FIELDS = FillOrder.__slots__
_ALL = select(*(_TABLE.c[name] for name in _FIELDS)).order_by(_TABLE.c.asked, _TABLE.c.policy)


class SqlFillOrders(Database):
    """Fulfils `ports.catalog.fills`."""

    def order_fill(self, order: FillOrder) -> None:
        row = {name: getattr(order, name) for name in _FIELDS}
        row["partitions"] = json.dumps(list(order.partitions))
        policy = _of(order.owner, order.policy)
        with self._call() as connection:
            connection.execute(delete(_TABLE).where(policy, _TABLE.c.settled))
            if connection.execute(select(_TABLE.c.request).where(policy)).first() is not None:
                raise Conflict(f"the policy {order.policy!r} is being filled: cancel that or wait")
            connection.execute(insert(_TABLE).values(row))

    def fill_order(self, owner: str, policy: str) -> FillOrder | None:
        with self._read() as connection:
            row = connection.execute(_ALL.where(_of(owner, policy))).first()
        return None if row is None else _order(row)

    def fill_orders(self) -> list[FillOrder]:
        with self._read() as connection:
            return [_order(row) for row in connection.execute(_ALL.where(~_TABLE.c.settled))]

    def cancel_fill(self, order: FillOrder) -> None:
        self._set(order, cancelled=True)

    def settle_fill(self, order: FillOrder) -> None:
        self._set(order, settled=True)

    def _set(self, order: FillOrder, **values: bool) -> None:
        chosen = _of(order.owner, order.policy) & (_TABLE.c.request == order.request)
        with self._call() as connection:
            connection.execute(update(_TABLE).where(chosen, ~_TABLE.c.settled).values(values))


def _of(owner: str, policy: str) -> ColumnElement[bool]:
    return (_TABLE.c.owner == owner) & (_TABLE.c.policy == policy)


def _order(row: Row[Any]) -> FillOrder:
    values = row._asdict()
    return FillOrder(**{**values, "partitions": tuple(json.loads(values["partitions"]))})
