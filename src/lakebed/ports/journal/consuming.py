"""Consuming the journal: partitions that come and go, and a committed offset in each."""

from collections.abc import Mapping
from typing import Protocol

from lakebed.ports.journal.reading import Extents
from lakebed.vocabulary.messages import Entry


class RebalanceListener(Protocol):
    """What a consumer asks its owner when partitions come and go (Kafka's rebalance listener)."""

    def assigned(self, partition: int, end: int) -> int | None:
        """The partition is ours; `end` is its end now. Returns the offset to read from, or None
        for the consumer's committed offset (the beginning, where there is none)."""
        ...

    def revoked(self, partition: int) -> None:
        """Last call before another worker may own it: flush, checkpoint, release.

        After a long pause it may come too late; the checkpoint is refused then.
        """
        ...

    def lost(self, partition: int) -> None:
        """Another worker may own it already (we were away too long): release, write nothing."""
        ...


class Consumer(Protocol):
    """Reads the journal in order, partition by partition. Used from one thread."""

    def subscribe(self, owner: RebalanceListener) -> None:
        """Ask for partitions; the owner hears of them during `poll`.

        Called again, it gives up the partitions it has, and joins again.
        """
        ...

    def poll(self, timeout: float, limit: int) -> list[Entry]:
        """The next entries, about `limit` messages; waits up to `timeout` seconds for the first.

        An empty list means that everything there was at the time of the call has been read.

        Raises:
            StoreUnavailable: the journal does not answer, so it is unknown. Call again.
            JournalFailed: it never will.
        """
        ...

    def commit(self, offsets: Mapping[int, int]) -> None:
        """Everything below these offsets is done for this consumer.

        Durable a little later; partitions that are not ours any more are passed over.
        """
        ...

    def wake(self) -> None:
        """End a `poll` that is waiting. Any thread."""
        ...

    def close(self) -> None:
        """Let others have the partitions. Does not call `revoked`: the owner ends by itself."""
        ...


class Consumable(Extents, Protocol):
    def consumer(self, name: str) -> Consumer:
        """A reader with committed offsets of its own. One live consumer per name and process."""
        ...
