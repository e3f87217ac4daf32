"""Operating the journal: offsets of consumers, pressure and damage."""

from dataclasses import dataclass
from typing import Literal, Protocol

from lakebed.ports.journal.reading import Extents
from lakebed.vocabulary.times import Micros


@dataclass(frozen=True, slots=True)
class ConsumerPosition:
    """The committed offset of a consumer in a partition.

    Attributes:
        offset: the journal keeps messages at or behind it for this consumer.
        behind: the number of these messages.
        age: seconds since the oldest of them was appended; None where there is none.
        live: whether a consumer of this name is open, as far as this process knows.
    """

    name: str
    partition: int
    offset: int
    behind: int
    age: float | None
    live: bool


@dataclass(frozen=True, slots=True)
class DamagedBlock:
    """A block that cannot be read. Its bytes are kept aside; its `count` messages are lost."""

    partition: int
    offset: int
    count: int
    at: Micros


@dataclass(frozen=True, slots=True)
class LostRange:
    """Messages that a journal on servers held, and that can never be read.

    Attributes:
        reason: "vanished", "damaged", "anew" or "unwritten" (`ports.catalog.journal`).
        at: when it was noticed.
    """

    consumer: str
    partition: int
    offset: int
    count: int
    reason: str
    at: Micros


@dataclass(frozen=True, slots=True)
class Damage:
    """Accepted messages that can no longer be read, until an operator acknowledges the damage.

    Attributes:
        messages: the number lost, as far as is known: those of `blocks` and `missing`.
        missing: messages of which no bytes are left.
        salvaged: whether the log was restored out of a broken file.
        blocks: blocks that were put aside.
        files: broken files that were put aside, acknowledged or not.
        lost: of a journal on servers, where messages were lost and why.
    """

    messages: int = 0
    missing: int = 0
    salvaged: bool = False
    blocks: tuple[DamagedBlock, ...] = ()
    files: tuple[str, ...] = ()
    lost: tuple[LostRange, ...] = ()

    @property
    def known(self) -> bool:
        """Whether there is anything to acknowledge."""
        return self.messages > 0 or self.salvaged or bool(self.lost)


@dataclass(frozen=True, slots=True)
class Pressure:
    """How much of a journal's limit is used.

    Attributes:
        full: the used part of the limit, from 0 to 1.
        by: the limit. "bytes": at 1 appends are refused. "retention": at 1 the store deletes
            messages that a consumer has not committed.
    """

    full: float
    by: Literal["bytes", "retention"]


class Timed(Protocol):
    def time(self) -> Micros:
        """The time from which ages are computed when old data is deleted.

        It is never later than the newest time in the journal plus the time that has passed since,
        whatever the clock of this process shows. 0 while that is unknown: then nothing is old.
        Any thread; does not wait.
        """
        ...


class Pressured(Extents, Protocol):
    def pressure(self) -> Pressure | None:
        """The latest measurement; None if the journal has no limit, or was not measured yet.

        A journal on servers is measured by `trim` and `positions`. Thread-safe; does not wait.
        """
        ...


class JournalOperations(Pressured, Timed, Protocol):
    def positions(self) -> list[ConsumerPosition]:
        """The committed offsets of all consumers that were not dropped. Thread-safe."""
        ...

    def readers(self, name: str) -> dict[int, str]:
        """The process that reads each partition of a consumer. Any thread.

        Partitions without a known reader are left out, for instance during a rebalance.

        Raises:
            StoreUnavailable: the journal does not answer.
        """
        ...

    def drop_consumer(self, name: str) -> None:
        """Delete a consumer's offsets, so that messages kept for it alone can be trimmed.

        Raises:
            NotFound: there is no consumer of that name.
            Conflict: the consumer is open.
        """
        ...

    def damage(self) -> Damage: ...

    def acknowledge_damage(self, seen: Damage) -> None:
        """Report this damage no more, because an operator has seen it.

        What was found since stays, or is a conflict.

        Raises:
            Conflict: the journal cannot tell the two apart.
        """
        ...
