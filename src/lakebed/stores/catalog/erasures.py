"""Erasure orders to keepers, and their results."""

from collections.abc import Mapping

from sqlalchemy import delete, select, update

from lakebed.ports.catalog.erasures import ErasureOrder, ErasureResult
from lakebed.ports.erasure import Erasure
from lakebed.stores.catalog import tables
from lakebed.stores.catalog.database import Database
from lakebed.vocabulary.times import MINUTE, now

_TABLE = tables.forgets
_COLUMNS = tuple(
    _TABLE.c[name]
    for name in ("request", "partition", "until", "owner", "topic", "policy", "start", "end")
)
_STALE = 10 * MINUTE
"""Age at which an order is deleted: its caller has given up."""


class SqlErasures(Database):
    """Implements `ports.catalog.erasures`."""

    def order_erasure(self, request: int, wanted: Erasure, ends: Mapping[int, int]) -> None:
        asked = now()
        what = {name: getattr(wanted, name) for name in Erasure.__slots__}
        rows = [
            {"request": request, "partition": partition, "until": until, "asked": asked, **what}
            for partition, until in ends.items()
        ]
        with self._call() as connection:
            connection.execute(delete(_TABLE).where(_TABLE.c.asked < asked - _STALE))
            connection.execute(_TABLE.insert(), rows)

    def erasure_orders(self) -> list[ErasureOrder]:
        waiting = select(*_COLUMNS).where(_TABLE.c.place.is_(None))
        with self._call() as connection:
            rows = connection.execute(waiting.order_by(_TABLE.c.asked, _TABLE.c.partition)).all()
        return [
            ErasureOrder(request, partition, until, Erasure(*wanted))
            for request, partition, until, *wanted in rows
        ]

    def note_erased(self, order: ErasureOrder, found: ErasureResult) -> None:
        share = (_TABLE.c.request == order.request) & (_TABLE.c.partition == order.partition)
        with self._call() as connection:
            connection.execute(
                update(_TABLE).where(share).values(place=found.offset, last=found.last)
            )

    def erased(self, request: int) -> dict[int, ErasureResult]:
        done = (_TABLE.c.request == request) & _TABLE.c.place.is_not(None)
        query = select(_TABLE.c.partition, _TABLE.c.place, _TABLE.c.last).where(done)
        with self._call() as connection:
            rows = connection.execute(query).all()
        return {partition: ErasureResult(offset, last) for partition, offset, last in rows}

    def withdraw(self, request: int) -> None:
        with self._call() as connection:
            connection.execute(delete(_TABLE).where(_TABLE.c.request == request))
