"""Reading the journal without being a consumer of it: taps, previews, flow."""

from collections import Counter
from collections.abc import Mapping
from typing import Protocol

from lakebed.vocabulary.messages import Channel, Entry


class Extents(Protocol):
    """How far the journal reaches. A channel stays in one partition."""

    def extent(self) -> dict[int, tuple[int, int]]:
        """For each partition the first offset still held and the offset behind the last.

        As they are now, or, while the journal does not answer, as they were last seen.
        """
        ...

    def distance(self, partition: int, start: int, end: int) -> int:
        """About how many messages stand between two offsets: for figures, not for decisions."""
        ...


class JournalReader(Extents, Protocol):
    def entries(self, partition: int, offset: int, limit: int) -> list[Entry]:
        """Read without being a consumer: entries from the one holding `offset` on, until about
        `limit` messages; the first is cut to begin at `offset`. Empty at the end. Any thread."""
        ...


class Backlog(Extents, Protocol):
    def pending(self, since: Mapping[int, int]) -> Counter[Channel]:
        """How many messages stand at or behind the given offset of each partition, by channel."""
        ...
