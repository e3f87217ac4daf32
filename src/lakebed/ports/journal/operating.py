"""Operating the journal: who reads it and how far, how full it is, what of it is damaged."""

from dataclasses import dataclass
from typing import Literal, Protocol

from lakebed.ports.journal.reading import Extents
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


class Pressured(Extents, Protocol):
    def pressure(self) -> Pressure | None:
        """As it was found lately; None where nothing limits the journal, or nobody has looked
        yet: a journal on servers looks when it is trimmed or asked for positions. Any thread;
        does not wait."""
        ...


class JournalOperations(Pressured, Protocol):
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

    def damage(self) -> Damage: ...

    def acknowledge_damage(self) -> None:
        """An operator has seen the damage: be healthy again."""
        ...
