"""The outbox: what policies gave, until every relay that follows them has passed it on.

    keeper ──blocks, in the transaction of its checkpoint──> outbox ──> relays
                                                               └── trimmed below the lowest position

A policy that is deleted and made again under its name goes on with the numbers of the first: as
what it kept stays readable under the name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from lakebed.vocabulary.times import Micros

Gives = Literal["kept", "finished", "changed"]
"""What of a policy a relay passes on."""

Followed = Mapping[tuple[str, str], frozenset[Gives]]
"""By owner and name of a policy, what relays pass on of it."""


@dataclass(frozen=True, slots=True)
class Follower:
    """A relay that follows a policy.

    Attributes:
        relay: its lasting identity.
        hold: bytes of a partition's outbox that may wait for it.
    """

    relay: str
    owner: str
    policy: str
    gives: Gives
    hold: int


@dataclass(frozen=True, slots=True)
class Stream:
    """A sequence of records that are numbered without gaps.

    Attributes:
        partition: of the journal.
        reader: the relay that it is for alone, of a backfill; "" for all that follow the policy.
    """

    owner: str
    policy: str
    partition: int
    reader: str = ""


@dataclass(frozen=True, slots=True)
class OutboxBlock:
    """Records of a stream, in order. It is written once, and only an erasure changes it.

    Attributes:
        records: how many numbers it takes up; after an erasure it holds fewer.
        at: when it was written.
        state: opaque bytes.
        first: the number of its first record; given when it is added.
    """

    stream: Stream
    records: int
    at: Micros
    state: bytes
    first: int = 0

    @property
    def end(self) -> int:
        return self.first + self.records


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for a relay in a stream."""

    records: int
    bytes: int


class OutboxWriter(Protocol):
    """What a keeper needs. Each call joins the transaction that its thread has open."""

    def followed(self) -> Followed:
        """All policies that relays follow; it changes together with the policies' revision."""
        ...

    def add_outbox(self, blocks: Sequence[OutboxBlock]) -> None:
        """Append blocks to their streams, in order.

        Blocks for all of policies that nobody follows are left out. Where more bytes wait than
        every follower holds, the oldest blocks are deleted: a reader finds that the extent begins
        behind its position.
        """
        ...

    def outbox_streams(self, owner: str, policy: str | None = None) -> list[Stream]:
        """The streams that have blocks."""
        ...

    def outbox_blocks(self, stream: Stream, offset: int = 0, most: int = 1) -> list[OutboxBlock]:
        """Blocks from the one that has `offset` on, at most so many.

        Raises:
            UnknownFormat: a newer version wrote one.
        """
        ...

    def replace_outbox(self, block: OutboxBlock) -> None:
        """Write the block of that first number again, with other bytes."""
        ...


class OutboxReader(Protocol):
    """What a relay needs."""

    def outbox_blocks(self, stream: Stream, offset: int = 0, most: int = 1) -> list[OutboxBlock]:
        """As for a keeper."""
        ...

    def outbox_extent(self, stream: Stream) -> tuple[int, int]:
        """The first number that is there, and the one behind the last."""
        ...

    def outbox_at(self, stream: Stream, time: Micros) -> int:
        """The first number of what was written at `time` or later."""
        ...

    def outbox_waiting(self, stream: Stream, offset: int) -> Waiting:
        """What lies from a number on; a block that has it counts whole in bytes."""
        ...

    def trim_outbox(self, stream: Stream, below: int) -> None:
        """Delete the blocks whose numbers are all below."""
        ...


class OutboxFollowers(Protocol):
    """Which relays follow which policies. Each call joins an open transaction."""

    def follow(self, follower: Follower) -> None:
        """Let keepers note what the policy gives; a relay that follows already is changed.

        It moves the policies' revision: keepers take it up as they take up a policy.
        """
        ...

    def unfollow(self, relay: str) -> None:
        """Forget a relay; without followers of its policy what waits is deleted."""
        ...

    def followers(self) -> list[Follower]:
        """All of them, by relay."""
        ...

    def outbox_ends(self, owner: str, policy: str) -> dict[int, int]:
        """By partition where the streams for all end: there a relay that is new begins.

        One in a partition that is missing begins at 0.
        """
        ...


class OutboxStore(OutboxWriter, OutboxReader, OutboxFollowers, Protocol):
    """The outbox as an adapter implements it."""
