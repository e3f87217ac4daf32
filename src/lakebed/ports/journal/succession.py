"""Continuing one journal in another, for a migration."""

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

from lakebed.vocabulary.messages import Channel, Ints


@runtime_checkable
class Predecessor(Protocol):
    """A journal that another one can continue, because its keys can be listed."""

    def remembered(self) -> Iterator[tuple[list[bytes], Ints]]:
        """Yield all keys within the horizon, in chunks, with the time of each (microseconds).

        Raises:
            StoreUnavailable: they cannot be read now.
        """
        ...


@runtime_checkable
class Successor(Protocol):
    """A journal that can continue another one, which is not used any more."""

    def partition_of(self, channel: Channel) -> int:
        """The partition that a channel belongs to."""
        ...

    def succeed(self, end: int, held: Sequence[bytes]) -> dict[int, int]:
        """Make every new offset greater than `end`; returns the first offset of each partition.

        Call it before the first message is appended. A second call changes nothing.

        Args:
            held: keys of messages in the other journal that are not released yet. They hold in
                all partitions, and so does their release.

        Raises:
            StoreUnavailable: it is unknown whether it is done: call again.
            JournalFailed: the journal refused.
        """
        ...
