"""Reading the journal without being a consumer of it: taps, previews, flow."""

from collections import Counter
from collections.abc import Mapping
from typing import Protocol

from lakebed.vocabulary.messages import Channel, Entry


class Extents(Protocol):
    """The first and last offsets of the journal."""

    def extent(self) -> dict[int, tuple[int, int]]:
        """For each partition the first offset, and the one behind the last.

        While the journal does not answer these are the offsets seen last.
        """
        ...

    def distance(self, partition: int, start: int, end: int) -> int:
        """About how many messages lie between two offsets: for figures, not for decisions."""
        ...


class JournalReader(Extents, Protocol):
    def entries(self, partition: int, offset: int, limit: int) -> list[Entry]:
        """Entries of about `limit` messages, from the one that holds `offset` on. Thread-safe.

        The first entry is cut to begin at `offset`. The list is empty at the end of the partition.
        """
        ...

    def holds_older(self) -> bool:
        """Whether messages are held below `extent` that cannot be read: those from before the
        partitions grew.

        Raises:
            StoreUnavailable: the journal does not answer.
        """
        ...


class Backlog(Extents, Protocol):
    def pending(self, since: Mapping[int, int]) -> Counter[Channel]:
        """The number of messages at or behind the given offset of each partition, by channel."""
        ...
