"""Every contract between the parts. `wiring.py` decides by URL who fulfils each of them.

    gateway side (asyncio)                  consumer side (plain threads)

    sources ──> Intake ──> Journal.append   Journal.consumer ──> keeper ──> Series
                                                      │             └─────> Catalog
                                                      └──> taps, previews, relays

Two rules hold for all adapters. Foreign exceptions become those of `errors.py` at the adapter and
nowhere else. And nothing on this side of a port may ask which adapter it got.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import pyarrow as pa

from lakebed.messages import Batch, Channel, Entry
from lakebed.times import UNSET, Micros

# --- journal --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Place:
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


class Journal(Protocol):
    """The one ordered, durable log. Partitions are numbered from 0; a channel stays in one."""

    async def append(self, batch: Batch, forget: Sequence[bytes] = ()) -> int:
        """Make a batch durable; return how many of its messages were new, as far as is known.

        A message whose key (`Batch.keys`) was appended within the horizon, or stands earlier in
        the same batch, counts once: its sender may be told yes, it is there. A journal with one
        writer leaves it out. One with many cannot know what the others append: it keeps the keys
        beside the messages, and each reader leaves out what it has seen (`keeper/once.py`).
        `forget` are keys that stop counting once this call has returned. A batch may be empty.

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

    def places(self) -> list[Place]:
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

    def hold(self, offset: int) -> Callable[[], None]:
        """Keep `trim` from what stands at or behind `offset`, until the returned call."""
        ...

    def snapshot(self) -> "JournalSnapshot":
        """What a backup takes: the log as of now. Close it soon, it keeps `trim` waiting.

        Raises:
            Unsupported: this journal has a way of its own to be backed up.
        """
        ...

    def health(self) -> "Health": ...

    def close(self) -> None: ...


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


class Assignment(Protocol):
    """What a consumer asks its owner when partitions come and go (Kafka's rebalance listener)."""

    def assigned(self, partition: int, end: int) -> int | None:
        """The partition is ours; `end` is its end now. Returns the offset to read from, or None
        for the consumer's committed place (the beginning, where there is none)."""
        ...

    def revoked(self, partition: int) -> None:
        """Last call before another worker may own it: flush, checkpoint, forget.

        One who was away for too long may hear it too late; the checkpoint is refused then.
        """
        ...

    def lost(self, partition: int) -> None:
        """Another worker may own it already (we were away too long): forget, write nothing."""
        ...


class Consumer(Protocol):
    """Reads the journal in order, partition by partition. Used from one thread."""

    def subscribe(self, owner: Assignment) -> None:
        """Ask for partitions; the owner hears of them during `poll`."""
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


# --- series ---------------------------------------------------------------------------------------


class Series(Protocol):
    """The ClickHouse-shaped store of records and aggregates; tables are in `series/schema.py`.

    Both calls block (the engine releases the GIL) and may be made from any thread.
    """

    def insert(self, table: str, rows: pa.Table) -> None:
        """Write rows durably, in one insert. Columns are named; those left out get defaults.

        Raises:
            StoreUnavailable: not written, or not known to be: the same insert may be repeated.
        """
        ...

    def query(self, sql: str, parameters: Mapping[str, Any]) -> pa.Table:
        """Run a SELECT with bound parameters (`{name:Type}`)."""
        ...

    def delete(self, table: str, where: str, parameters: Mapping[str, Any]) -> None:
        """Remove the rows that a condition with bound parameters holds of; gone on return.

        Slow: whole parts are written anew. Rows inserted meanwhile may stay.

        Raises:
            StoreUnavailable: some may be gone: the same call may be made again.
        """
        ...

    def snapshot(self) -> "SeriesSnapshot":
        """Everything that is in the tables now, at the cost of links. One at a time; close it."""
        ...

    def missing(self) -> "Missing":
        """What was gone when the store was opened."""
        ...

    def health(self) -> "Health": ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Missing:
    """Attributes:
    everything: whether none of the tables was there: the store is new, or all of it is lost.
    broken: the parts of tables that the store has put aside as damaged, as "table/name".
    covered: further ones that cost nothing, because what they were made of is there.
    """

    everything: bool
    broken: tuple[str, ...] = ()
    covered: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a table that never changes: what is in it is known by its `hash`.

    Attributes:
        partition: of the table, as the store names it.
        name: under which a snapshot reads it.
        size: bytes of its rows in memory, about.
    """

    table: str
    partition: str
    name: str
    hash: str
    rows: int
    size: int


class SeriesSnapshot(Protocol):
    def parts(self) -> list[Part]:
        """All parts, by table and name."""
        ...

    def read(self, part: Part, rows: int) -> Iterator[pa.Table]:
        """The part in pieces of `rows` rows, the same pieces each time."""
        ...

    def close(self) -> None: ...


# --- catalog --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StoredPolicy:
    """One version of a policy. `version` grows with each change of the name; never reused."""

    owner: str
    name: str
    version: int
    document: dict[str, Any]
    created: Micros
    updated: Micros


class PolicyStore(Protocol):
    """Policies, by owner and name. Old versions stay readable: replay needs them."""

    def revision(self) -> int:
        """Grows with every change of any policy; cheap to ask."""
        ...

    def policies(self, owner: str | None = None) -> list[StoredPolicy]:
        """Those in force, of one owner or of all, by owner and name."""
        ...

    def policy_version(self, owner: str, name: str, version: int) -> StoredPolicy | None: ...

    def policy_versions(self, owner: str, name: str) -> list[StoredPolicy]:
        """Every version of a name, the oldest first; those of a deleted policy too."""
        ...

    def put_policies(
        self, owner: str, documents: Sequence[dict[str, Any]], create: bool = False
    ) -> list[tuple[StoredPolicy, bool]]:
        """Write documents (already checked) in one transaction; True marks those newly named.

        A document equal to the one in force changes nothing. With `create`, a name in use raises
        `Conflict`.
        """
        ...

    def delete_policy(self, owner: str, name: str) -> None:
        """Raises `NotFound`. What it kept stays."""
        ...


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where one part of a consumer stands in a partition, and what it must remember.

    Attributes:
        part: the name of the part ("router", or a policy as "owner/name@version").
        offset: everything below it is in `state` or in the stores.
        state: opaque bytes of that part.
    """

    part: str
    offset: int
    state: bytes


class CheckpointStore(Protocol):
    """A partition has one worker at a time, but one that slept may not know that it has none.

    So who takes a partition over claims it, and saves under the term that the claim gave it: what
    an earlier worker saves after that is refused.
    """

    def claim(self, consumer: str, partition: int) -> int:
        """Become the one who saves; returns the term, greater than all before."""
        ...

    def term(self, consumer: str, partition: int) -> int:
        """The newest term; 0 where nobody ever claimed."""
        ...

    def checkpoints(
        self, consumer: str, partition: int | None = None, part: str | None = None
    ) -> dict[int, list[Checkpoint]]:
        """Of one partition, or of all; all parts, or those of one name."""
        ...

    def save_checkpoints(
        self,
        consumer: str,
        partition: int,
        parts: Sequence[Checkpoint],
        drop: Sequence[str] = (),
        term: int | None = None,
    ) -> None:
        """Write some parts and remove others, in one durable transaction.

        Raises:
            Superseded: the partition was claimed after `term`; nothing was written.
        """
        ...


@dataclass(frozen=True, slots=True)
class LastValue:
    """What `last_value` keeps of one channel. `value` is a number, text, or JSON as text."""

    owner: str
    policy: str
    topic: str
    type: str
    time: Micros
    value: float | str
    size: int
    partition: int
    offset: int
    id: str = ""


class LastValueStore(Protocol):
    def upsert_last(self, values: Sequence[LastValue]) -> None:
        """Write in bulk; a row changes only for a later (time, partition, offset)."""
        ...

    def last_values(
        self, owner: str, topic: str | None = None, prefix: str = "", policy: str | None = None
    ) -> list[LastValue]:
        """Of one topic, or of all whose names begin with `prefix`; by topic and policy."""
        ...

    def delete_last(self, values: Sequence[LastValue]) -> int:
        """Remove these, but none that a later one has replaced; returns how many."""
        ...


@dataclass(frozen=True, slots=True)
class Identity:
    """Who sends or asks.

    Attributes:
        owner: in whose name space their topics and policies live.
        name: what the token is called.
        publish, read: MQTT filters of the topics they may write to and read from.
        admin: may see all of the instance and make tokens.
    """

    owner: str
    name: str
    publish: tuple[str, ...] = ("#",)
    read: tuple[str, ...] = ("#",)
    admin: bool = False


class TokenStore(Protocol):
    """Tokens are kept as SHA-256 of 256 random bits, never as themselves."""

    def identify(self, token: str) -> Identity | None: ...

    def add_token(self, identity: Identity, token: str | None = None) -> str:
        """Make a token for this identity and return it, the only time it can be seen.

        Raises `Conflict` where the owner has a token of that name.
        """
        ...

    def tokens(self) -> list[Identity]: ...

    def revoke_token(self, owner: str, name: str) -> None: ...


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that broke a policy's code, kept aside whole.

    Attributes:
        reason: the error in one line.
        event: the event time the sender gave, or `UNSET`.
        id: as the sender gave it, or "".
        error: the error as a traceback.
        aside: when it was put aside.
    """

    owner: str
    topic: str
    policy: str
    partition: int
    offset: int
    received: Micros
    payload: bytes
    reason: str
    event: Micros = UNSET
    id: str = ""
    error: str = ""
    aside: Micros = 0


Fate = Literal["resent", "dropped", "expired"]
"""What became of a dead letter that does not wait any more."""


class DeadLetterStore(Protocol):
    """A letter waits until it is settled; then its content goes and its fate is counted."""

    def add_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Idempotent by policy and position: a letter that was settled is not put aside again."""
        ...

    def dead_letters(self, owner: str, limit: int = 100) -> list[DeadLetter]:
        """Those that wait, the newest first."""
        ...

    def dead_letter_heads(self, owner: str) -> list[DeadLetter]:
        """All that wait, the newest first, without payload, id and traceback."""
        ...

    def dead_letter(
        self, owner: str, policy: str, partition: int, offset: int
    ) -> DeadLetter | None: ...

    def settle_dead_letters(self, letters: Sequence[DeadLetter], fate: Fate) -> int:
        """Returns how many of these still waited."""
        ...

    def expire_dead_letters(self, most: int, before: Micros, consumer: str) -> int:
        """Settle those put aside earlier than `before`, and of each owner all but the newest
        `most`; returns how many. What `consumer` will never read again needs no trace of its
        letters."""
        ...

    def dead_letter_fates(self, owner: str) -> dict[Fate, int]:
        """How many letters ended in each way."""
        ...


class Catalog(PolicyStore, CheckpointStore, LastValueStore, TokenStore, DeadLetterStore, Protocol):
    """The SQL store. Calls block and may be made from any thread; each is one transaction.

    Every method raises `StoreUnavailable` where the database does not answer.
    """

    def health(self) -> "Health": ...

    def transaction(self) -> AbstractContextManager[None]:
        """Calls made by this thread inside it commit together or not at all."""
        ...

    def copy(self, path: Path) -> None:
        """Write all of it, as of one moment, into a new SQLite file: a catalog by itself.

        Raises:
            Unsupported: this database has a way of its own to be backed up.
        """
        ...

    def close(self) -> None: ...


# --- objects --------------------------------------------------------------------------------------


class Objects(Protocol):
    """Whole files under names (paths with slashes). Calls block and may be made from any thread.

    Every method raises `StoreUnavailable` where the store does not answer.
    """

    place: str

    def put(self, name: str, source: bytes | Path) -> None:
        """Durable when it returns; there whole or not at all; replaces what had the name."""
        ...

    def get(self, name: str) -> bytes:
        """Raises `NotFound`."""
        ...

    def fetch(self, name: str, into: Path) -> None:
        """Write it to a file, durably. Raises `NotFound`."""
        ...

    def sizes(self, prefix: str = "") -> dict[str, int]:
        """The names below a folder (all without one), with their bytes."""
        ...

    def folders(self) -> set[str]:
        """What there is at the top: first steps of the names."""
        ...

    def delete(self, name: str) -> None: ...


# --- all ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Health:
    """What `/readyz` and `doctor` show of a part; `detail` are figures such as bytes and limits."""

    ok: bool
    message: str = ""
    detail: dict[str, Any] = field(default_factory=dict)
