"""Carries out orders to fill policies, a slice of a partition at a time.

    order in the catalog ──> each keeper: begin ──> slice, slice, … ──> all partitions ──> settled

Live messages go first: while the keeper is behind, a fill gets a third of its time at most.
"""

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Protocol

import structlog

from lakebed.consuming.assignment import PartitionAssignment
from lakebed.consuming.chores import Chore
from lakebed.consuming.retry import Retry
from lakebed.keeper.fill_state import states
from lakebed.keeper.filling import Filling
from lakebed.keeper.shard import Shard
from lakebed.ports.catalog.checkpoints import CheckpointReader
from lakebed.ports.catalog.fills import FillOrder, FillOrders
from lakebed.ports.catalog.policies import PolicyReader
from lakebed.ports.journal.operating import Pressured
from lakebed.vocabulary.times import Micros

log = structlog.get_logger(__name__)

_EVERY = 1.0  # seconds between two looks at the orders
_SHARE = 2.0  # for each second of filling so many of other work, while there is some
_FULL = 0.95  # used part of the journal from which on nothing is held in it for fills


class FillCatalog(FillOrders, PolicyReader, CheckpointReader, Protocol):
    """The part of the catalog that orders need."""


class Fills(Chore):
    """Fills policies in the partitions that this keeper has.

    Args:
        wake: starts the next turn of the loop now.

    Attributes:
        read: messages read for fills by this process.
    """

    def __init__(
        self,
        catalog: FillCatalog,
        journal: Pressured,
        assignment: PartitionAssignment[Shard],
        retry: Retry,
        wake: Callable[[], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._catalog, self._journal, self._assignment = catalog, journal, assignment
        self._retry, self._wake, self._monotonic = retry, wake, monotonic
        self._next_look = self._next_slice = 0.0
        self._turn = 0
        self._cut, self._is_cut = False, threading.Event()
        self.read = 0

    def look_now(self) -> None:
        """Check for orders in the next turn. Any thread."""
        self._next_look = 0.0

    def cut_tails(self, timeout: float) -> None:
        """See `Filling.cut_tails`, for all partitions; return when it is done. Any thread."""
        self._cut = True
        self._wake()
        self._is_cut.wait(timeout)

    def after_write(self, now: Micros, caught_up: bool) -> None:
        if self._cut and not self._is_cut.is_set():
            for partition in list(self._assignment.workers):
                self._with_filling(partition, partial(Filling.cut_tails, now=now))
            self._is_cut.set()
        at = self._monotonic()
        if at >= self._next_look:
            self._next_look = at + _EVERY
            self._look(now)
        if caught_up or at >= self._next_slice:
            self._fill(now)

    # --- orders -----------------------------------------------------------------------------------

    def _look(self, now: Micros) -> None:
        shards = self._assignment.workers
        for order in self._retry.until_available(self._catalog.fill_orders):
            for partition in order.partitions:
                if partition in shards and shards[partition].replayed:
                    self._with_filling(partition, partial(self._follow, order, partition, now))
            if all(shards[p].filling.state(order) for p in order.partitions if p in shards):
                self._settle(order)
        for partition in list(shards):
            self._with_filling(partition, partial(Filling.write_ended, now=now))

    def _follow(self, order: FillOrder, partition: int, now: Micros, filling: Filling) -> None:
        """Begin an order, or end it."""
        state = filling.state(order)
        if order.cancelled or (state == "running" and self._is_full()):
            why = "" if order.cancelled else "the journal is almost full: ask again when it is not"
            filling.cancel(order, now, why)
        elif state is None:
            shard = self._assignment.workers[partition]
            version = shard.policy_version(order.owner, order.policy)
            if version is not None and version >= order.version:
                filling.begin(order, now)
            elif shard.revision >= self._retry.until_available(self._catalog.revision):
                filling.cancel(order, now, "the policy was deleted")

    def _is_full(self) -> bool:
        pressure = self._journal.pressure()
        return pressure is not None and pressure.full >= _FULL

    def _settle(self, order: FillOrder) -> None:
        """Note that an order is carried out, if it is so in all partitions."""
        found = self._retry.until_available(partial(states, self._catalog, order))
        there = self._journal.extent()
        ended = [p in found and found[p].state != "running" for p in order.partitions if p in there]
        if all(ended):
            self._retry.until_available(partial(self._catalog.settle_fill, order))

    def _with_filling(self, partition: int, work: Callable[[Filling], None]) -> None:
        self._assignment.with_worker(partition, lambda shard: shard.work_on_fills(work))

    # --- slices -----------------------------------------------------------------------------------

    def _fill(self, now: Micros) -> None:
        """One slice of one fill; they take turns."""
        shards = self._assignment.workers
        # a replay writes as the run before did, which had not learned what a fill ends with
        waiting = [
            (p, name)
            for p, shard in shards.items()
            if shard.replayed
            for name in shard.filling.running
        ]
        if not waiting:
            return
        self._turn += 1
        partition, name = waiting[self._turn % len(waiting)]
        filling, began = shards[partition].filling, self._monotonic()
        before = filling.read
        self._with_filling(partition, partial(Filling.fill, name=name, now=now))
        self.read += filling.read - before
        ended = self._monotonic()
        self._next_slice = ended + _SHARE * (ended - began)
        if name not in filling.running:
            self._next_look = 0.0
        self._wake()
