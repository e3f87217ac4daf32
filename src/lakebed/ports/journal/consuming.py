"""Consuming the journal: partitions that come and go, and a committed offset in each."""

from collections.abc import Mapping
from typing import Protocol

from lakebed.ports.journal.reading import Extents
from lakebed.vocabulary.messages import Entry


class RebalanceListener(Protocol):
    """Called when partitions are assigned and taken away, as Kafka's listener of that name."""

    def assigned(self, partition: int, end: int) -> int | None:
        """The partition was assigned to this consumer; `end` is its end now.

        Returns:
            the offset to read from. None stands for the committed offset, or for the beginning if
            the consumer never committed.
        """
        ...

    def revoked(self, partition: int) -> None:
        """The partition will be taken away: flush, save a checkpoint, release it.

        If the process was suspended, another worker may own it already; the checkpoint is then
        refused.
        """
        ...

    def lost(self, partition: int) -> None:
        """Another worker may own the partition already: write nothing, release it."""
        ...


class Consumer(Protocol):
    """Reads the journal in order, partition by partition. Used from one thread."""

    def subscribe(self, owner: RebalanceListener) -> None:
        """Ask for partitions; the owner is called during `poll`.

        A second call gives up the partitions and asks again.
        """
        ...

    def poll(self, timeout: float, limit: int) -> list[Entry]:
        """The next entries, about `limit` messages; waits up to `timeout` seconds for the first.

        An empty list means that everything that was in the journal at the time of the call has been
        read.

        Raises:
            StoreUnavailable: the journal does not answer: call again.
            JournalFailed: the journal will not answer any more.
        """
        ...

    def commit(self, offsets: Mapping[int, int]) -> None:
        """Commit offsets: this consumer needs nothing below them any more.

        A commit becomes durable within seconds. Partitions that were taken away are ignored.
        """
        ...

    def wake(self) -> None:
        """End a `poll` that is waiting. Thread-safe."""
        ...

    def close(self) -> None:
        """Give up the partitions, without calls of `revoked`."""
        ...


class Consumable(Extents, Protocol):
    def consumer(self, name: str) -> Consumer:
        """Open a consumer with this name; a process can have one open consumer of a name."""
        ...
