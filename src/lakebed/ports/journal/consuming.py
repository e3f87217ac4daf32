"""Consuming the journal: partitions that come and go, and an offset of one's own in each."""

from collections.abc import Mapping
from typing import Protocol

from lakebed.ports.journal.reading import Extents
from lakebed.vocabulary.messages import Entry


class RebalanceListener(Protocol):
    """What a consumer asks its owner when partitions come and go (Kafka's rebalance listener)."""

    def assigned(self, partition: int, end: int) -> int | None:
        """The partition is ours; `end` is its end now. Returns the offset to read from, or None
        for the consumer's committed place (the beginning, where there is none)."""
        ...

    def revoked(self, partition: int) -> None:
        """Last call before another worker may own it: flush, checkpoint, release.

        One who was away for too long may hear it too late; the checkpoint is refused then.
        """
        ...

    def lost(self, partition: int) -> None:
        """Another worker may own it already (we were away too long): release, write nothing."""
        ...


class Consumer(Protocol):
    """Reads the journal in order, partition by partition. Used from one thread."""

    def subscribe(self, owner: RebalanceListener) -> None:
        """Ask for partitions; the owner hears of them during `poll`.

        Called again, those that there are are given up first, and all is asked anew.
        """
        ...

    def poll(self, timeout: float, limit: int) -> list[Entry]:
        """The next entries, about `limit` messages; waits up to `timeout` seconds for the first.

        An empty list means that everything there was at the time of the call has been read.

        Raises:
            StoreUnavailable: the journal does not answer, so nobody knows. Call again.
            JournalFailed: it never will.
        """
        ...

    def commit(self, offsets: Mapping[int, int]) -> None:
        """Everything below these offsets is done for this consumer.

        Kept a little later; what is not ours any more is left alone.
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
        """A reader with its own committed place. One live consumer per name and process."""
        ...
