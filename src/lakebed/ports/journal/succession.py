"""One journal going on where another one ended: what a migration needs of both."""

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

from lakebed.vocabulary.messages import Channel, Ints


@runtime_checkable
class Predecessor(Protocol):
    """What a journal can do that another one goes on from: its keys are known one by one."""

    def remembered(self) -> Iterator[tuple[list[bytes], Ints]]:
        """All keys within the horizon, in stretches, with when each was noted (microseconds).

        Raises:
            StoreUnavailable: they cannot be read now.
        """
        ...


@runtime_checkable
class Successor(Protocol):
    """What a journal can do that goes on where another one, which is used no more, has ended."""

    def partition_of(self, channel: Channel) -> int: ...

    def succeed(self, end: int, held: Sequence[bytes]) -> dict[int, int]:
        """Let every offset from here on be greater than `end`; returns where partitions begin.

        Called before the first message is appended; again, it changes nothing.

        Args:
            held: keys of messages stored in the other one that wait to be forgotten. Each reader
                was told of them; to release one is told to all of them.

        Raises:
            StoreUnavailable: nobody knows how far it came: call again.
            JournalFailed: it was refused.
        """
        ...
