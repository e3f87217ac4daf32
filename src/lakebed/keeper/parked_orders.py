"""Ends parked stretches that are dropped by request, released, or too old for the journal.

drop, or release that is done ──> Shard.let_go ──> the order is removed
older than `limits.parked_for`, or beyond half of the journal ──> "expired", and said so
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Protocol

import structlog

from lakebed.consuming.assignment import PartitionAssignment
from lakebed.consuming.chores import Chore
from lakebed.consuming.retry import Retry
from lakebed.keeper.parking import Stretch
from lakebed.keeper.shard import Shard
from lakebed.ports.catalog.parking import ParkedOrder, ParkedOrders
from lakebed.ports.journal.operating import Pressured, Timed
from lakebed.vocabulary.times import Micros

log = structlog.get_logger(__name__)

_EVERY = 1.0  # seconds between two looks, while something is parked
_FULL = 0.5  # used part of the journal from which on the oldest stretches are let go of


class ParkedJournal(Pressured, Timed, Protocol):
    """What is asked of the journal."""


class ParkedStretches(Chore):
    """The stretches of the partitions that this keeper has.

    Args:
        span: how long the journal keeps messages anyway, microseconds.
        parked_for: how long it keeps those that are parked.
    """

    def __init__(
        self,
        catalog: ParkedOrders,
        journal: ParkedJournal,
        assignment: PartitionAssignment[Shard],
        retry: Retry,
        span: Micros,
        parked_for: Micros,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._catalog, self._journal, self._assignment = catalog, journal, assignment
        self._retry, self._monotonic = retry, monotonic
        self._span, self._parked_for = span, parked_for
        self._next_look = 0.0

    def after_write(self, now: Micros, caught_up: bool) -> None:
        at = self._monotonic()
        if at < self._next_look:
            return
        self._next_look = at + _EVERY
        shards = self._assignment.workers
        stretches = [s for shard in shards.values() for s in shard.parking.stretches()]
        if not stretches:
            return
        orders = self._retry.until_available(self._catalog.parked_orders)
        for order in orders:
            if order.partition in shards and (order.done or order.wish == "drop"):
                self._carry_out(order)
        wanted = {(order.owner, order.partition, order.first) for order in orders}
        self._expire([s for s in stretches if (s.owner, s.partition, s.first) not in wanted])

    def _carry_out(self, order: ParkedOrder) -> None:
        state = "dropped" if order.wish == "drop" else None
        let_go = partial(
            Shard.let_go, owner=order.owner, first=order.first, last=order.last,
            messages=order.messages, size=order.bytes, state=state,
        )  # fmt: skip
        # None: another keeper has taken over, and carries it out
        if self._assignment.with_worker(order.partition, let_go) is not None:
            self._retry.until_available(lambda: self._catalog.settle_parked(order))

    def _expire(self, stretches: list[Stretch]) -> None:
        today = self._journal.time()
        old = [s for s in stretches if today and s.until < today - self._parked_for]
        pressure = self._journal.pressure()
        if not old and pressure is not None and pressure.full >= _FULL:
            behind = [s for s in stretches if s.until < today - self._span]
            old = sorted(behind, key=lambda stretch: stretch.until)[:1]
        for stretch in old:
            let_go = partial(
                Shard.let_go, owner=stretch.owner, first=stretch.first, last=stretch.last,
                messages=stretch.messages, size=stretch.bytes, state="expired",
            )  # fmt: skip
            if self._assignment.with_worker(stretch.partition, let_go):
                log.error(
                    "parked messages cannot be released any more", owner=stretch.owner,
                    stretch=stretch.id, messages=stretch.messages,
                    do="release or drop what is parked sooner, or raise limits.parked_for"
                    " and journal.limit",
                )  # fmt: skip
