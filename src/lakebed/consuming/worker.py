"""The contract of a consumer: what it does for one partition.

    load ──> absorb, absorb, … ──> flush ──> checkpoint ──> the journal may trim what lies below
               ^                                  │
               └──────────────────────────────────┘

Each message takes effect exactly once, whatever fails, if a worker keeps three rules:

* What it writes between two checkpoints has keys made of the messages, so that writing it again
  changes nothing; or it is written in one transaction with the checkpoint.
* What it needs to decide again as it did, such as the state of a `Deduplicator`, is part of the
  checkpoint.
* From the offset that `checkpoint` returns, another worker can go on with what was saved.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from lakebed.consuming.checkpoints import PartitionCheckpoints
from lakebed.vocabulary.messages import Entry
from lakebed.vocabulary.times import Micros


class PartitionWorker(Protocol):
    """Used by the loop's thread. After `Superseded` was raised the worker is dropped."""

    @property
    def offset(self) -> int:
        """Everything below it has been absorbed."""
        ...

    def load(self) -> int:
        """Restore the last checkpoint; returns the offset to read from. Called first, once."""
        ...

    def absorb(self, entries: Sequence[Entry]) -> None:
        """Take in the next entries of the partition, in order; some may have been read before."""
        ...

    def due(self) -> Micros | None:
        """The latest time at which pending data should be written; None if nothing is pending."""
        ...

    def flush(self, now: Micros, final: bool = False) -> None:
        """Write what is due at `now`, or with `final` everything pending."""
        ...

    def checkpoint(self, now: Micros, final: bool = False) -> int:
        """Save the state, if a checkpoint is due, or with `final` in any case.

        Returns the offset below which nothing will be read again.
        """
        ...


W = TypeVar("W", bound=PartitionWorker)

MakeWorker = Callable[[int, int, PartitionCheckpoints], W]
"""Makes the worker of a partition that has come: its number; the end of the journal there, below
which an earlier worker may have written; and its checkpoints, which are claimed already."""
