"""The journal: what is durable, who reads it, and what became unreadable."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from lakebed.ports.health import Health
from lakebed.vocabulary.messages import Batch, Channel, Entry, Ints
from lakebed.vocabulary.times import Micros


@dataclass(frozen=True, slots=True)
class ConsumerPosition:
    """Where a consumer stands in a partition.

    Attributes:
        offset: everything below it is done; the journal keeps the rest for this consumer.
        behind: how many messages that is.
        age: seconds since the oldest of them was appended; None where there is none.
        live: whether somebody reads under this name now, as far as this process knows.
    """

    name: str
    partition: int
    offset: int
    behind: int
    age: float | None
    live: bool


@dataclass(frozen=True, slots=True)
class DamagedBlock:
    """A stretch of the journal that cannot be read: its bytes are kept, its messages are lost."""

    partition: int
    offset: int
    count: int
    at: Micros


@dataclass(frozen=True, slots=True)
class Damage:
    """What was accepted and can no longer be read, until an operator has seen it.

    Attributes:
        messages: lost, as far as is known: those of `blocks` and those `missing`.
        missing: messages of which nothing is left.
        salvaged: whether the log had to be put together anew out of a broken one.
        blocks: stretches that were put aside.
        files: broken files that were put aside, whether seen by an operator or not.
    """

    messages: int = 0
    missing: int = 0
    salvaged: bool = False
    blocks: tuple[DamagedBlock, ...] = ()
    files: tuple[str, ...] = ()

    @property
    def known(self) -> bool:
        """Whether there is anything to acknowledge."""
        return self.messages > 0 or self.salvaged


@dataclass(frozen=True, slots=True)
class Pressure:
    """How near a journal is to what it holds for its consumers becoming too much.

    Attributes:
        full: from 0 to 1, the used part of what limits it.
        by: what that is. "bytes": at 1 appends are refused. "retention": at 1 the store deletes
            what a consumer has not done with.
    """

    full: float
    by: Literal["bytes", "retention"]


class Journal(Protocol):
    """The one ordered, durable log. Partitions are numbered from 0; a channel stays in one."""

    async def append(self, batch: Batch, release: Sequence[bytes] = ()) -> int:
        """Make a batch durable; return how many of its messages were new, as far as is known.

        A message whose key (`Batch.keys`) was appended within the horizon, or stands earlier in
        the same batch, counts once: its sender may be told yes, it is there. A journal with one
        writer leaves it out. One with many cannot know what the others append: it keeps the keys
        beside the messages, and each reader leaves out what it has seen
        (`consuming/deduplication.py`). `release` are keys that stop counting once this call has
        returned. A batch may be empty.

        Concurrency: one call at a time. Order: the messages of a channel stand in the log in the
        order of the calls.

        Raises:
            JournalFull: not durable yet: make the same call, with the same batch, again later.
            JournalFailed: what is on disk is unknown: acknowledge nothing more and stop.
        """
        ...

    def known(self, prefix: bytes) -> list[bytes]:
        """The keys within the horizon that begin with `prefix`. Any thread.

        It may leave out ids (`ID_KEY`), and may hold a key whose append came to nothing.

        Raises:
            StoreUnavailable: nobody can tell now.
        """
        ...

    def consumer(self, name: str) -> "Consumer":
        """A reader with its own committed place. One live consumer per name and process."""
        ...

    def extent(self) -> dict[int, tuple[int, int]]:
        """For each partition the first offset still held and the offset behind the last.

        As they are now, or, while the journal does not answer, as they were last seen.
        """
        ...

    def distance(self, partition: int, start: int, end: int) -> int:
        """About how many messages stand between two offsets: for figures, not for decisions."""
        ...

    def entries(self, partition: int, offset: int, limit: int) -> list[Entry]:
        """Read without being a consumer: entries from the one holding `offset` on, until about
        `limit` messages; the first is cut to begin at `offset`. Empty at the end. Any thread."""
        ...

    def pending(self, since: Mapping[int, int]) -> Counter[Channel]:
        """How many messages stand at or behind the given offset of each partition, by channel."""
        ...

    def trim(self) -> int:
        """Let go of what every consumer has committed and is older than the minimum span.

        Returns about how many messages that were, 0 for none. Any thread; may take a while.
        """
        ...

    def positions(self) -> list[ConsumerPosition]:
        """Where each consumer stands that was ever made and not dropped. Any thread."""
        ...

    def drop_consumer(self, name: str) -> None:
        """Forget a consumer's place: what was kept for it alone may be let go of.

        Raises:
            NotFound: there is none of that name.
            Conflict: somebody reads under it.
        """
        ...

    def pressure(self) -> Pressure | None:
        """As it was found lately; None where nothing limits the journal, or nobody has looked
        yet: a journal on servers looks when it is trimmed or asked for positions. Any thread;
        does not wait."""
        ...

    def damage(self) -> Damage: ...

    def acknowledge_damage(self) -> None:
        """An operator has seen the damage: be healthy again."""
        ...

    def pin(self, offset: int) -> Callable[[], None]:
        """Keep `trim` from what stands at or behind `offset`, until the returned call."""
        ...

    def snapshot(self) -> "JournalSnapshot":
        """What a backup takes: the log as of now. Close it soon, it keeps `trim` waiting.

        Raises:
            Unsupported: this journal has a way of its own to be backed up.
        """
        ...

    def health(self) -> Health: ...

    def close(self) -> None: ...


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


class JournalSnapshot(Protocol):
    """Attributes:
    start, end: the offsets it holds, by partition; from the place of the slowest consumer on.
    """

    start: Mapping[int, int]
    end: Mapping[int, int]

    def write(self, path: Path) -> None:
        """Write it, with ids and places of consumers, into a new file: a journal by itself."""
        ...

    def close(self) -> None: ...


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
