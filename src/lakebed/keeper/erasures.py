"""Carries out orders to erase: each shard erases its state of the data to delete.

    order in the catalog ──> read all that was there ──> Shard.erase ──> last values ──> noted

`keeper/erasure_requests.py`, which writes the orders, says why a replay does not write it again.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Protocol

from lakebed.consuming.assignment import PartitionAssignment
from lakebed.consuming.chores import Chore
from lakebed.consuming.retry import Retry
from lakebed.keeper.erasure_requests import delete_last
from lakebed.keeper.shard import Shard
from lakebed.ports.catalog.erasures import ErasureOrder, ErasureOrders, ErasureResult
from lakebed.ports.catalog.last_values import LastValueEraser
from lakebed.vocabulary.times import Micros

_EVERY = 1.0  # seconds between two looks at the orders


class ErasureCatalog(ErasureOrders, LastValueEraser, Protocol):
    """The part of the catalog that orders need."""


class Erasures(Chore):
    """Carries out the orders of the partitions that this keeper has."""

    def __init__(
        self,
        catalog: ErasureCatalog,
        assignment: PartitionAssignment[Shard],
        retry: Retry,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._catalog, self._assignment, self._retry = catalog, assignment, retry
        self._monotonic = monotonic
        self._next_look = 0.0
        self._waiting: list[ErasureOrder] = []  # not carried out yet
        self._taken: list[ErasureOrder] = []  # those of our partitions before the poll

    def look_now(self) -> None:
        """Check for orders in the next turn. Any thread."""
        self._next_look = 0.0

    def before_poll(self) -> None:
        at = self._monotonic()
        if at >= self._next_look:
            self._next_look = at + _EVERY
            self._waiting = self._retry.until_available(self._catalog.erasure_orders)
        ours = self._assignment.workers
        self._taken = [order for order in self._waiting if order.partition in ours]

    def after_write(self, now: Micros, caught_up: bool) -> None:
        """Carry out the orders taken before the poll, if everything before them has been read."""
        for order in self._taken:
            if not self._has_read(order.partition, order.until, caught_up):
                continue
            self._waiting.remove(order)
            erase = partial(Shard.erase, wanted=order.wanted, now=now)
            offset = self._assignment.with_worker(order.partition, erase)
            if offset is not None:  # else another keeper has taken over, and carries it out
                self._note(order, offset)

    def _has_read(self, partition: int, end: int, caught_up: bool) -> bool:
        shard = self._assignment.workers.get(partition)
        # behind the last message a partition may have a gap, which no message ever passes
        return shard is not None and shard.replayed and (caught_up or shard.offset >= end)

    def _note(self, order: ErasureOrder, offset: int) -> None:
        """Delete last values before others are written; then report to the waiting request."""
        offsets = {order.partition: offset}
        last = self._retry.until_available(
            lambda: delete_last(self._catalog, order.wanted, offsets)
        )
        self._retry.until_available(
            lambda: self._catalog.note_erased(order, ErasureResult(offset, last))
        )
