"""Relays as their owners wrote them, and where each begins."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from lakebed.vocabulary.times import Micros

CONSUMER = "relays"
"""The consumer of the journal that serves all relays; their states are its checkpoints."""


@dataclass(frozen=True, slots=True)
class StoredRelay:
    """Attributes:
    document: JSON values; its defaults are filled in.
    maker: the label of who made it; "" where nobody did.
    number: of its lasting identity; greater than that of any relay before.
    starts: for each partition the end of the journal when it was made: it begins there. A partition
        that is missing is read from its beginning.
    since: instead, the receive time from which it is to begin; None where it was not rewound.
    resumed: counts how often it was told to go on.
    reader: the stream of the outbox that it reads, where that is for it alone: of a backfill.
    """

    owner: str
    name: str
    document: Mapping[str, Any]
    maker: str = ""
    number: int = 0
    starts: Mapping[int, int] = field(default_factory=dict)
    since: Micros | None = None
    resumed: int = 0
    created: Micros = 0
    updated: Micros = 0
    version: int = 0
    reader: str = ""

    @property
    def id(self) -> str:
        """The lasting identity, as in `ports.relays.Position`."""
        return f"{self.owner}/{self.name}/{self.number}"


RelayCheck = Callable[[StoredRelay], None]
"""Called with the relay that is there; it may refuse the change by raising."""


def any_relay(current: StoredRelay) -> None:
    """Allow every change."""


class RelayReader(Protocol):
    def relays(self, owner: str | None = None) -> list[StoredRelay]:
        """By owner and name: those of one owner, or all."""
        ...

    def relay(self, owner: str, name: str) -> StoredRelay | None: ...


class RelayStore(RelayReader, Protocol):
    """Calls block, are thread-safe, and are one transaction each.

    Every method raises `StoreUnavailable` where the database does not answer.
    """

    def put_relays(
        self, relays: Sequence[StoredRelay], *, create: bool = False, check: RelayCheck = any_relay
    ) -> list[tuple[StoredRelay, bool]]:
        """Write all of them, or none; each with whether it was made.

        One that is there keeps its maker, its number and where it begins, unless it reads
        something else (`from`); an equal document changes nothing.

        Raises:
            Conflict: `create`, and the owner has a relay of such a name.
        """
        ...

    def rewind_relay(
        self, owner: str, name: str, since: Micros, check: RelayCheck = any_relay
    ) -> StoredRelay:
        """Give a relay another number, with which it begins at `since`.

        Raises:
            NotFound: the owner has none of this name.
        """
        ...

    def resume_relay(
        self, owner: str, name: str, paused: bool, check: RelayCheck = any_relay
    ) -> StoredRelay:
        """Set `paused` in the document; a relay that is to go on also does where it was stopped.

        Raises:
            NotFound: the owner has none of this name.
        """
        ...

    def renumber_relays(self) -> int:
        """Give all relays other numbers, with which they go on where they are; returns how many.

        Offsets of a journal that was restored are those of other messages by now. A target that
        keeps positions would take messages for delivered that never were.
        """
        ...

    def delete_relay(self, owner: str, name: str, check: RelayCheck = any_relay) -> None:
        """Raises:
        NotFound: the owner has none of this name.
        """
        ...
