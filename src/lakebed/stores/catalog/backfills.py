"""Backfills of relays: one row each, and a stream of the outbox of their own."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import Connection, Row, delete, select, update

from lakebed.ports.catalog.backfills import Backfill
from lakebed.ports.catalog.outbox import OutboxBlock
from lakebed.stores.catalog import tables
from lakebed.stores.catalog.outbox import SqlOutbox, forget_reader
from lakebed.stores.catalog.relays import next_number
from lakebed.vocabulary.errors import Conflict
from lakebed.vocabulary.times import Micros

_TABLE = tables.backfills
_ALL = select(*(_TABLE.c[name] for name in Backfill.__slots__)).order_by(_TABLE.c.relay)
_OPEN = (~_TABLE.c.delivered) & (_TABLE.c.error == "")


class SqlBackfills(SqlOutbox):
    """Implements `ports.catalog.backfills.BackfillStore`."""

    def begin_backfill(self, wanted: Backfill) -> Backfill:
        with self._call() as connection:
            before = _of(connection, wanted.relay)
            if before is not None and before.goes_on:
                raise Conflict(
                    f"relay {wanted.name!r} has a backfill that is not delivered yet: wait for it,"
                    " or cancel it"
                )
            _cancel(connection, before)
            made = replace(wanted, number=next_number(connection))
            connection.execute(_TABLE.insert().values(**asdict(made)))
            return made

    def backfills(self, owner: str | None = None) -> list[Backfill]:
        query = _ALL if owner is None else _ALL.where(_TABLE.c.owner == owner)
        with self._read() as connection:
            return [_backfill(row) for row in connection.execute(query)]

    def cancel_backfill(self, relay: str) -> bool:
        with self._call() as connection:
            before = _of(connection, relay)
            _cancel(connection, before)
            return before is not None

    def unfollow(self, relay: str) -> None:
        with self.transaction():
            self.cancel_backfill(relay)
            super().unfollow(relay)

    def claim_backfill(self, now: Micros, until: Micros) -> Backfill | None:
        open = _OPEN & (_TABLE.c.claimed <= now)
        with self._read() as connection:
            found = [
                _backfill(row)
                for row in connection.execute(
                    _ALL.where(open).order_by(None).order_by(_TABLE.c.claimed)
                )
            ]
        for one in found:
            with self._call() as connection:
                claim = update(_TABLE).where(_TABLE.c.relay == one.relay, open)
                claim = claim.where(_TABLE.c.number == one.number).values(claimed=until)
                if connection.execute(claim).rowcount:
                    return replace(one, claimed=until)
        return None

    def advance_backfill(
        self, before: Backfill, after: Backfill, blocks: Sequence[OutboxBlock] = ()
    ) -> bool:
        with self.transaction(), self._call() as connection:
            ours = (
                (_TABLE.c.relay == before.relay)
                & (_TABLE.c.number == before.number)
                & (_TABLE.c.claimed == before.claimed)
            )
            found = connection.execute(update(_TABLE).where(ours).values(**asdict(after)))
            if not found.rowcount:
                return False
            self.add_outbox(blocks)
        return True


def _of(connection: Connection, relay: str) -> Backfill | None:
    row = connection.execute(_ALL.where(_TABLE.c.relay == relay)).one_or_none()
    return None if row is None else _backfill(row)


def _cancel(connection: Connection, backfill: Backfill | None) -> None:
    if backfill is not None:
        forget_reader(connection, backfill.id)
        connection.execute(delete(_TABLE).where(_TABLE.c.relay == backfill.relay))


def _backfill(row: Row[Any]) -> Backfill:
    return Backfill(**row._asdict())
