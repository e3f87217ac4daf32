"""The catalog: policies, checkpoints, last values and dead letters."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from lakebed.ports.erasing import ErasureStore
from lakebed.ports.health import Health
from lakebed.vocabulary.times import UNSET, Micros


@dataclass(frozen=True, slots=True)
class StoredPolicy:
    """One version of a policy. `version` grows with each change of the name; never reused."""

    owner: str
    name: str
    version: int
    document: dict[str, Any]
    created: Micros
    updated: Micros


Check = Callable[[StoredPolicy], None]
"""Called inside the transaction with a policy that is about to be replaced or deleted; what it
raises undoes all."""


def anything(_: StoredPolicy) -> None:
    """The check that lets everything pass."""


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

    def policy_topics(self, owner: str) -> dict[str, set[str]]:
        """The topic filters of all versions of each name, those of deleted policies too."""
        ...

    def put_policies(
        self,
        owner: str,
        documents: Sequence[dict[str, Any]],
        create: bool = False,
        check: Check = anything,
    ) -> list[tuple[StoredPolicy, bool]]:
        """Write documents (already checked) in one transaction; True marks those newly named.

        A document equal to the one in force changes nothing. With `create`, a name in use raises
        `Conflict`; without it, `check` is asked about the version that is in force.
        """
        ...

    def delete_policy(self, owner: str, name: str, check: Check = anything) -> None:
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


Rows = list[dict[str, Any]]
"""Of one table of a catalog, by column."""


class ContentStore(Protocol):
    """A catalog as a whole, to be moved to another database."""

    def content(self) -> Iterator[tuple[str, Rows]]:
        """Everything, as of one moment, in stretches of one table each; tables that others name
        come first. Make no other call of the same catalog before it has ended."""
        ...

    def replace(self, content: Iterable[tuple[str, Rows]]) -> None:
        """Make this all that is there, in one transaction."""
        ...

    def counts(self) -> dict[str, int]:
        """Rows of those tables that an unused catalog has none in."""
        ...


class Catalog(
    PolicyStore,
    CheckpointStore,
    LastValueStore,
    DeadLetterStore,
    ErasureStore,
    ContentStore,
    Protocol,
):
    """The SQL store. Calls block and may be made from any thread; each is one transaction.

    Every method raises `StoreUnavailable` where the database does not answer.
    """

    def health(self) -> Health: ...

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
