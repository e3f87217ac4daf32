"""Flushes long buffers early, before the journal reaches its limit.

The journal keeps everything behind the oldest message that is not written yet. So one policy with a
buffer of hours and a message a day would keep the messages of all others too. In the end all
sources would be held back, or a retention would delete messages that are not written.
"""

import time
from collections.abc import Callable
from functools import partial

from lakebed.consuming.assignment import PartitionAssignment
from lakebed.consuming.chores import Chore
from lakebed.keeper.shard import Shard
from lakebed.ports.journal.operating import Pressured
from lakebed.vocabulary.times import Micros

_EVERY = 2.0  # seconds between two looks at the journal's pressure
_SOME, _ALL = 0.5, 0.9  # pressures from which on half of what the journal holds is flushed, or all


class EarlyFlush(Chore):
    """Watches the journal's pressure; above a half it flushes what the journal is kept for."""

    def __init__(
        self,
        journal: Pressured,
        assignment: PartitionAssignment[Shard],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._journal, self._assignment, self._monotonic = journal, assignment, monotonic
        self._next_look = 0.0

    def after_write(self, now: Micros, caught_up: bool) -> None:
        at = self._monotonic()
        if at < self._next_look:
            return
        self._next_look = at + _EVERY
        pressure = self._journal.pressure()
        if pressure is None or pressure.full < _SOME:
            return
        for partition, (first, end) in self._journal.extent().items():
            # a journal near its limit by the span it is asked to keep is left half its reach
            below = end if pressure.full >= _ALL else (first + end) // 2
            write = partial(Shard.write_below, below=below, now=now)
            self._assignment.with_worker(partition, write)
