"""Requests to delete stored data, and how they reach the keepers of the partitions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from lakebed.ports.erasure import Erasure


@dataclass(frozen=True, slots=True)
class ErasureOrder:
    """A request as it concerns one partition.

    Attributes:
        request: a random number that identifies the request.
        until: the end of the partition when the request was made; the request covers all below it.
    """

    request: int
    partition: int
    until: int
    wanted: Erasure


@dataclass(frozen=True, slots=True)
class ErasureResult:
    """The result of an order that was carried out.

    Attributes:
        offset: the keeper writes nothing below it again.
        last: the number of last values deleted.
    """

    offset: int
    last: int


class ErasureRequests(Protocol):
    """Stores requests; their orders wait until the keeper of each partition carries them out."""

    def order_erasure(self, request: int, wanted: Erasure, ends: Mapping[int, int]) -> None:
        """Write an order for each partition, up to its end."""
        ...

    def erased(self, request: int) -> dict[int, ErasureResult]:
        """The results of a request so far, by partition."""
        ...

    def withdraw(self, request: int) -> None:
        """Delete a request that is done, or that no caller waits for any more."""
        ...


class ErasureOrders(Protocol):
    """Gives keepers the orders, and takes their results."""

    def erasure_orders(self) -> list[ErasureOrder]:
        """Orders not carried out yet, the oldest first; cheap to ask."""
        ...

    def note_erased(self, order: ErasureOrder, found: ErasureResult) -> None:
        """Write the result of an order."""
        ...
