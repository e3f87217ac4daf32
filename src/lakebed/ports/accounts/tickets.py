"""Tickets: secrets that are handed out and work once, such as a link that sets a password."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from lakebed.vocabulary.roles import Role
from lakebed.vocabulary.times import Micros


class Purpose(StrEnum):
    """The purposes of tickets."""

    PASSWORD = "password"  # noqa: S105  (a word, no secret)
    """Sets the password of `user`."""
    INVITATION = "invitation"
    """Joins `owner` with `role`, or makes an account, or both."""
    CHALLENGE = "challenge"
    """Nothing any more: a challenge that was answered, until it ends."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket without its secret.

    Attributes:
        id: names it in lists; no secret.
        user: the user who may use it; "" for everybody who has it.
        owner, role: what it joins; "" and None for nothing.
        account: whether it makes an account.
        maker: the user who made it, and with whom it ends; "" for one that no user made.
    """

    id: str
    purpose: Purpose
    user: str = ""
    owner: str = ""
    role: Role | None = None
    account: bool = False
    maker: str = ""
    created: Micros = 0
    expires: Micros = 0


class TicketStore(Protocol):
    """Calls block, are thread-safe, and are one transaction each.

    Every method raises `StoreUnavailable` where the database does not answer.
    """

    def add_ticket(self, ticket: Ticket, secret: str) -> None:
        """Raises:
        Conflict: there is one with this secret.
        """
        ...

    def tickets(self, purpose: Purpose, owner: str | None = None) -> Sequence[Ticket]:
        """Those that have not expired, the newest first."""
        ...

    def find_ticket(self, secret: str, purpose: Purpose) -> Ticket:
        """Find a ticket, which stays valid.

        Raises:
            NotFound: there is none, or it has been used or has expired.
        """
        ...

    def use_ticket(self, secret: str, purpose: Purpose) -> Ticket:
        """Use a ticket up. In a transaction with what it is used for it stays good if that fails.

        Raises:
            NotFound: there is none, or it has been used or has expired.
        """
        ...

    def delete_ticket(self, id: str, purpose: Purpose, owner: str | None = None) -> None:
        """Raises:
        NotFound: there is none, or it is not of the owner.
        """
        ...
