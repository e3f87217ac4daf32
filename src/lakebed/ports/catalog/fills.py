"""Orders to fill a policy: to keep of the journal's past what it would have kept.

API ──order──> catalog ──> the keepers of all partitions, each at its own pace ──> settled

How far each keeper is stands in its checkpoints (`keeper/fill_state.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from lakebed.vocabulary.times import Micros


@dataclass(frozen=True, slots=True)
class FillOrder:
    """The newest fill of a policy; a later one takes its place.

    Attributes:
        request: a random number that tells it apart from former ones.
        version: of the policy that is filled.
        since: messages received then or later are read.
        asked: when the order was made.
        partitions: those that the journal had then.
        cancelled: whether it was asked to stop.
        settled: whether no keeper has anything to do for it any more.
    """

    owner: str
    policy: str
    request: int
    version: int
    since: Micros
    asked: Micros
    partitions: Sequence[int]
    cancelled: bool = False
    settled: bool = False


class FillOrders(Protocol):
    """Calls block, are thread-safe, and are one transaction each."""

    def order_fill(self, order: FillOrder) -> None:
        """Write an order in place of the policy's last one.

        Raises:
            Conflict: that one is not settled.
        """
        ...

    def fill_order(self, owner: str, policy: str) -> FillOrder | None:
        """The newest order of a policy."""
        ...

    def fill_orders(self) -> list[FillOrder]:
        """Those that are not settled, the oldest first; cheap to ask."""
        ...

    def cancel_fill(self, order: FillOrder) -> None:
        """Ask the keepers to stop; nothing if it is settled or another has taken its place."""
        ...

    def settle_fill(self, order: FillOrder) -> None:
        """Note that all keepers have finished."""
        ...
