"""Makes tickets: one-time links that set a password, and invitations."""

import secrets
from dataclasses import replace

from lakebed.ports.accounts.tickets import Purpose, Ticket, TicketStore
from lakebed.vocabulary.credentials import new_secret
from lakebed.vocabulary.errors import Conflict
from lakebed.vocabulary.times import Micros, now

PAGES = {Purpose.PASSWORD: "/password/", Purpose.INVITATION: "/invitation/"}
"""Pages that use tickets; the secret follows."""


def hand_out(store: TicketStore, ticket: Ticket, lasts: Micros) -> tuple[Ticket, str]:
    """Store a ticket that expires after `lasts`; with its secret, which cannot be read again."""
    moment, secret = now(), new_secret()
    made = replace(ticket, id=secrets.token_hex(8), created=moment, expires=moment + lasts)
    store.add_ticket(made, secret)
    return made, secret


def link(at: str, purpose: Purpose, secret: str) -> str:
    """The address that somebody opens.

    Args:
        at: of the instance, such as https://lake.example.com.
    """
    return f"{at}{PAGES[purpose]}{secret}"


def remember_used(store: TicketStore, challenge: bytes, lasts: Micros) -> None:
    """Note that a challenge was answered; it is for once.

    Raises:
        ValueError: it was answered before.
    """
    moment = now()
    ticket = Ticket(secrets.token_hex(8), Purpose.CHALLENGE, created=moment, expires=moment + lasts)
    try:
        store.add_ticket(ticket, challenge.hex())
    except Conflict:
        raise ValueError("the challenge was answered before") from None


def password_link(store: TicketStore, user: str, at: str, lasts: Micros) -> tuple[Ticket, str]:
    """A one-time link that sets the password of a user."""
    ticket, secret = hand_out(store, Ticket("", Purpose.PASSWORD, user), lasts)
    return ticket, link(at, Purpose.PASSWORD, secret)
