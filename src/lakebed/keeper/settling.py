"""Writes and saves all that was read while the journal is not the one in use.

So nothing of it is lost when an operator adopts another topic, and partitions that have grown can
be divided: state is divided at the end of what was read.
"""

import time
from collections.abc import Callable

from lakebed.consuming.assignment import PartitionAssignment
from lakebed.consuming.chores import Chore
from lakebed.keeper.shard import Shard
from lakebed.ports.journal.adoption import Adoptable
from lakebed.vocabulary.times import Micros

_EVERY = 2.0  # seconds


class Settling(Chore):
    def __init__(
        self,
        journal: Adoptable,
        assignment: PartitionAssignment[Shard],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._journal, self._assignment, self._monotonic = journal, assignment, monotonic
        self._next = 0.0

    def after_write(self, now: Micros, nothing_more: bool) -> None:
        at = self._monotonic()
        if at >= self._next and self._journal.differs():
            self._next = at + _EVERY
            self._assignment.commit_everything()
