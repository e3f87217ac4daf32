"""Tickets: secrets that work once."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, select

from lakebed.ports.accounts.tickets import Purpose, Ticket
from lakebed.stores.catalog import account_tables as tables
from lakebed.stores.catalog.database import Database
from lakebed.vocabulary.credentials import digest
from lakebed.vocabulary.errors import NotFound
from lakebed.vocabulary.roles import Role
from lakebed.vocabulary.times import now

_TICKETS = tables.tickets
_TICKET = select(*(_TICKETS.c[name] for name in Ticket.__slots__))


class SqlTickets(Database):
    """Fulfils `ports.accounts.TicketStore`."""

    def add_ticket(self, ticket: Ticket, secret: str) -> None:
        row = {name: getattr(ticket, name) for name in Ticket.__slots__}
        with self._call() as connection:
            connection.execute(delete(_TICKETS).where(_TICKETS.c.expires <= now()))
            connection.execute(_TICKETS.insert().values(row | {"digest": digest(secret)}))

    def tickets(self, purpose: Purpose, owner: str | None = None) -> Sequence[Ticket]:
        some = (_TICKETS.c.purpose == purpose) & (_TICKETS.c.expires > now())
        if owner is not None:
            some &= _TICKETS.c.owner == owner
        query = _TICKET.where(some).order_by(_TICKETS.c.created.desc(), _TICKETS.c.id)
        with self._read() as connection:
            return [_ticket(row) for row in connection.execute(query)]

    def find_ticket(self, secret: str, purpose: Purpose) -> Ticket:
        with self._read() as connection:
            row = connection.execute(_TICKET.where(_good(secret, purpose))).one_or_none()
        if row is None:
            raise _gone()
        return _ticket(row)

    def use_ticket(self, secret: str, purpose: Purpose) -> Ticket:
        columns = [_TICKETS.c[name] for name in Ticket.__slots__]
        with self._call() as connection:
            used = delete(_TICKETS).where(_good(secret, purpose)).returning(*columns)
            row = connection.execute(used).one_or_none()
        if row is None:
            raise _gone()
        return _ticket(row)

    def delete_ticket(self, id: str, purpose: Purpose, owner: str | None = None) -> None:
        some = (_TICKETS.c.id == id) & (_TICKETS.c.purpose == purpose)
        if owner is not None:
            some &= _TICKETS.c.owner == owner
        with self._call() as connection:
            if not connection.execute(delete(_TICKETS).where(some)).rowcount:
                raise NotFound(f"there is no open {purpose} {id!r}")


def delete_tickets(connection: Connection, *, user: str | None = None, owner: str = "") -> None:
    """Delete the tickets for a user and those they made, or those of an owner."""
    of_user = (_TICKETS.c.user == user) | (_TICKETS.c.maker == user)
    connection.execute(delete(_TICKETS).where(of_user if user else _TICKETS.c.owner == owner))


def _good(secret: str, purpose: Purpose) -> ColumnElement[bool]:
    return (
        (_TICKETS.c.digest == digest(secret))
        & (_TICKETS.c.purpose == purpose)
        & (_TICKETS.c.expires > now())
    )


def _gone() -> NotFound:
    return NotFound("this link is not known, has been used, or has expired: ask for another")


def _ticket(row: Any) -> Ticket:
    values = row._asdict()
    role = values["role"]
    return Ticket(
        **values
        | {"purpose": Purpose(values["purpose"]), "role": None if role is None else Role(role)}
    )
