"""Orders about parked stretches, and how far they are carried out.

API ──order──> catalog ──release──> a process with an intake: appends copies, advances ──┐
                  └──────drop, or released──> the keeper of the partition: lets go <─────┘
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from lakebed.vocabulary.times import Micros

Wish = Literal["release", "drop"]


@dataclass(frozen=True, slots=True)
class ParkedOrder:
    """An order about a stretch, as it was when somebody asked.

    Attributes:
        first, last: its offsets.
        messages, bytes: how many messages they are.
        next: of a release, the offset to go on with.
        done: whether copies of all messages are durable.
        asked: when the order was made.
    """

    owner: str
    partition: int
    first: int
    last: int
    messages: int
    bytes: int
    wish: Wish
    next: int = 0
    done: bool = False
    asked: Micros = 0


class ParkedOrders(Protocol):
    """Calls block, are thread-safe, and are one transaction each."""

    def order_parked(self, orders: Sequence[ParkedOrder]) -> int:
        """Make orders; how many were made. A stretch that has one keeps it."""
        ...

    def parked_orders(self) -> list[ParkedOrder]:
        """All of them, the oldest first; cheap to ask."""
        ...

    def claim_release(self, now: Micros, until: Micros) -> ParkedOrder | None:
        """A release that is not done, for one process alone until then; None: there is none."""
        ...

    def advance_release(self, order: ParkedOrder, next: int, done: bool, until: Micros) -> None:
        """Note that everything below `next` is durable, and keep the claim until then."""
        ...

    def settle_parked(self, order: ParkedOrder) -> None:
        """Remove an order that is carried out."""
        ...
