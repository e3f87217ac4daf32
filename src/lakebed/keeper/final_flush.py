"""Writes and saves everything that was read, while the topic is not the journal in use.

So nothing of it is lost when an operator adopts another topic. And the state of partitions can be
divided if their number has grown: that is possible only at the end of what was read.
"""

import time
from collections.abc import Callable

from lakebed.consuming.assignment import PartitionAssignment
from lakebed.consuming.chores import Chore
from lakebed.keeper.shard import Shard
from lakebed.ports.journal.adoption import Adoptable
from lakebed.vocabulary.times import Micros

_EVERY = 2.0  # seconds


class FinalFlush(Chore):
    """Flushes all partitions as long as the journal differs from the one that the catalog knows."""

    def __init__(
        self,
        journal: Adoptable,
        assignment: PartitionAssignment[Shard],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._journal, self._assignment, self._monotonic = journal, assignment, monotonic
        self._next = 0.0

    def after_write(self, now: Micros, caught_up: bool) -> None:
        at = self._monotonic()
        if at >= self._next and self._journal.differs():
            self._next = at + _EVERY
            self._assignment.commit_everything()
