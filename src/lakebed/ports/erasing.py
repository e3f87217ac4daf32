"""Requests to delete what was kept: how they reach the keepers that own the partitions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from lakebed.vocabulary.times import Micros


@dataclass(frozen=True, slots=True)
class Erasure:
    """What to delete.

    Attributes:
        topic: a topic, or an MQTT filter with wildcards.
        policy: of this policy alone, whatever kinds it has had; None for all of the owner's.
        start, end: half-open range of event time (aggregates: of the window's start).
    """

    owner: str
    topic: str
    policy: str | None = None
    start: Micros | None = None
    end: Micros | None = None

    def covers(self, time: Micros) -> bool:
        after = self.start is None or time >= self.start
        return after and (self.end is None or time < self.end)


@dataclass(frozen=True, slots=True)
class ErasureOrder:
    """One partition's share of a request.

    Attributes:
        request: a random number that names it.
        until: where the partition ended when it was asked for; all below is covered.
    """

    request: int
    partition: int
    until: int
    wanted: Erasure


@dataclass(frozen=True, slots=True)
class ErasureResult:
    """What became of an order.

    Attributes:
        place: nothing below it will be written again.
        last: how many last values were deleted.
    """

    place: int
    last: int


class ErasureStore(Protocol):
    """Orders wait here until the keeper of their partition has followed them."""

    def order_erasure(self, request: int, wanted: Erasure, ends: Mapping[int, int]) -> None:
        """Give an order to each partition, up to its end."""
        ...

    def erasure_orders(self) -> list[ErasureOrder]:
        """Those that nobody has followed yet, the oldest first; cheap to ask."""
        ...

    def note_erased(self, order: ErasureOrder, found: ErasureResult) -> None: ...

    def erased(self, request: int) -> dict[int, ErasureResult]:
        """What became of a request so far, by partition."""
        ...

    def withdraw(self, request: int) -> None:
        """The request is done, or nobody waits for it any more."""
        ...
