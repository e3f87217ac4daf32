"""The catalog's record of a journal on servers: its identity, and what of it was lost.

    gateways ──note_appended──> numbers of messages by range of offsets ──┐
    keepers ───note_lost──────> what vanished before it was read <────────┘ counted by it
    all ───────identity───────> topic, and number of partitions in use

Offsets are never reused: a topic that was created again continues behind the former one's offsets.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from lakebed.vocabulary.times import Micros


@dataclass(frozen=True, slots=True)
class JournalIdentity:
    """Which topic the journal is.

    Attributes:
        id: of the topic, given by the servers; another one is made under the same name with
            another id.
        partitions: how many are in use. Their number decides where a channel belongs.
        base: number of the topic's first record: greater than that of every record of the topics
            before it.
        changed: when it was adopted; 0 for the first.
        begin: for some partitions the record at which the journal begins; those below are not
            part of it any more.
    """

    topic: str
    id: str
    partitions: int
    base: int = 0
    changed: Micros = 0
    begin: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Appended:
    """How many messages a writer has appended in a range of a partition. Others may have
    appended there meanwhile.

    Attributes:
        start, end: offsets.
        records: how many records of the range are the writer's.
        owners: messages in them, by owner.
        counts: the offset of each record and its messages by owner; empty where that is not known.
    """

    partition: int
    start: int
    end: int
    records: int
    owners: Mapping[str, int]
    counts: Sequence[tuple[int, Mapping[str, int]]] = ()


LossReason = Literal["vanished", "damaged", "anew", "unwritten"]
"""Why messages were lost: the servers deleted them before they were read; they cannot be decoded;
the topic was created again; or they were read and counted, but deleted before a policy had written
them.
"""


@dataclass(frozen=True, slots=True)
class JournalLoss:
    """A range of a partition that a consumer can never read.

    Attributes:
        start, end: offsets.
        messages: how many were lost, as far as is known.
        owners: those that flow counts as `lost`, by owner. None of what was counted before.
        at: when it was noticed.
        seen: whether an operator has acknowledged it.
    """

    consumer: str
    partition: int
    start: int
    end: int
    reason: LossReason
    messages: int
    owners: Mapping[str, int]
    at: Micros
    seen: bool = False


class JournalRecord(Protocol):
    """Used by the journal itself. Every call is one transaction."""

    def identity(self) -> JournalIdentity | None:
        """As it was registered or adopted last; cheap to ask."""
        ...

    def register(self, found: JournalIdentity) -> JournalIdentity:
        """Note the identity where none is known; returns the one that is in force."""
        ...

    def note_appended(self, writer: str, noted: Sequence[Appended]) -> None:
        """Note what a writer has appended; one with the same partition and start replaces it."""
        ...

    def forget_appended(self, below: Mapping[int, int]) -> None:
        """Delete notes about ranges that lie below an offset of their partition."""
        ...

    def note_lost(
        self,
        consumer: str,
        partition: int,
        start: int,
        end: int,
        reason: LossReason,
        records: int,
        dry: bool = False,
    ) -> list[JournalLoss]:
        """Note that a consumer can never read what stands from `start` up to `end`.

        What was noted before is not noted again. What its checkpoints have counted is not lost to
        the account, but "unwritten".

        Args:
            records: how many the range had, at the most.
            dry: whether to return the losses without noting them.

        Returns:
            the losses that were not noted before.
        """
        ...

    def losing(self, consumer: str, begins: Mapping[int, int]) -> list[JournalLoss]:
        """What is lost because partitions begin behind what a consumer has counted, and is not
        noted yet. Only ranges that writers have noted are returned.

        Args:
            begins: for each partition the first offset that can be read.
        """
        ...

    def losses(self, unseen: bool = False) -> list[JournalLoss]:
        """All that was ever lost, or what no operator has seen; by consumer and offset."""
        ...

    def acknowledge_losses(self, ranges: Iterable[tuple[str, int, int]]) -> None:
        """Mark losses as seen by an operator. They stay counted.

        Args:
            ranges: of each the consumer, the partition and the first offset.
        """
        ...

    def counted(self, consumer: str) -> dict[int, int]:
        """The highest offset of a consumer's checkpoints in each partition."""
        ...

    def highest(self) -> int:
        """The greatest offset that was ever used, as far as the catalog knows."""
        ...


class JournalAdoption(JournalRecord, Protocol):
    """Used by the operator's command."""

    def adopt(
        self, former: JournalIdentity, found: JournalIdentity, also: Callable[[], None]
    ) -> None:
        """Put another identity in force, in one transaction with what `also` writes.

        Every claim of a partition ends: workers that still run cannot save any more.

        Raises:
            Conflict: `former` is not in force.
        """
        ...
