"""Backfills: relays that pass on again what a policy had kept.

route ──begin──> catalog ──claim──> a process that runs relays: pages of the series
                    ^                          │ one transaction for each page
                    └── blocks of its own stream of the outbox, and how far it has read
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from lakebed.ports.catalog.outbox import Gives, OutboxBlock, Stream
from lakebed.vocabulary.times import Micros

PARTITION = 0
"""Of the stream in which all records of a backfill are, whatever partition they came from."""


@dataclass(frozen=True, slots=True)
class Backfill:
    """Attributes:
    relay: the identity of the relay for which it is.
    name: of that relay.
    number: of its own identity, from the same sequence as the numbers of relays.
    since, until: half-open range of event time.
    cursor: where to go on reading; "" at the begin.
    records: read so far.
    topics, topics_done: how many there are, and how many are read.
    read: whether all of it is read.
    delivered: whether all of it is delivered too; then nothing is left of it but this.
    error: why it was given up; "" where it was not.
    claimed: until when a process reads for it.
    """

    relay: str
    owner: str
    name: str
    number: int
    policy: str
    gives: Gives
    since: Micros
    until: Micros
    cursor: str = ""
    records: int = 0
    topics: int = 0
    topics_done: int = 0
    read: bool = False
    delivered: bool = False
    error: str = ""
    claimed: Micros = 0

    @property
    def id(self) -> str:
        """Its own identity, as that of a relay."""
        return f"{self.owner}/{self.name}/{self.number}"

    @property
    def goes_on(self) -> bool:
        """Whether it is neither delivered nor given up."""
        return not (self.delivered or self.error)

    @property
    def stream(self) -> Stream:
        return Stream(self.owner, self.policy, PARTITION, self.id)


class BackfillStore(Protocol):
    """Calls block, are thread-safe, and are one transaction each."""

    def begin_backfill(self, wanted: Backfill) -> Backfill:
        """Begin one; it gets its number. One that was delivered or given up is forgotten.

        Raises:
            Conflict: the relay has one that is not delivered yet.
        """
        ...

    def backfills(self, owner: str | None = None) -> list[Backfill]:
        """By relay: those of one owner, or all."""
        ...

    def cancel_backfill(self, relay: str) -> bool:
        """Forget the backfill of a relay, and what waits of it; False if there was none."""
        ...

    def claim_backfill(self, now: Micros, until: Micros) -> Backfill | None:
        """One that is not delivered, for one process alone until then; None: there is none.

        It is the one whose last claim ended first.
        """
        ...

    def advance_backfill(
        self, before: Backfill, after: Backfill, blocks: Sequence[OutboxBlock] = ()
    ) -> bool:
        """Save how far it is, together with what was read.

        Returns:
            False, and nothing is saved, where it was cancelled, or another has claimed it.
        """
        ...
