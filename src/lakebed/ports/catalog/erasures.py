"""Requests to delete what was kept: how they reach the keepers that own the partitions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from lakebed.ports.erasure import Erasure


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
        offset: nothing below it will be written again.
        last: how many last values were deleted.
    """

    offset: int
    last: int


class ErasureRequests(Protocol):
    """For requests: orders wait here until the keeper of their partition has followed them."""

    def order_erasure(self, request: int, wanted: Erasure, ends: Mapping[int, int]) -> None:
        """Give an order to each partition, up to its end."""
        ...

    def erased(self, request: int) -> dict[int, ErasureResult]:
        """What became of a request so far, by partition."""
        ...

    def withdraw(self, request: int) -> None:
        """Remove a request that is done, or that is not waited for any more."""
        ...


class ErasureOrders(Protocol):
    """For keepers, which follow the orders."""

    def erasure_orders(self) -> list[ErasureOrder]:
        """Those not followed yet, the oldest first; cheap to ask."""
        ...

    def note_erased(self, order: ErasureOrder, found: ErasureResult) -> None: ...
