"""Units: devices and programs with credentials of their own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from lakebed.vocabulary.times import Micros


class Visibility(StrEnum):
    """Who may see that a unit exists, and its state; its topics are opened by shares."""

    PRIVATE = "private"
    INSTANCE = "instance"
    PUBLIC = "public"


@dataclass(frozen=True, slots=True)
class Unit:
    """Attributes:
    uuid: never changes, and is never used again.
    name: unique in the owner.
    publish, read: MQTT filters, with `{unit}` and `{name}` put in already when it is asked who
        may do what (`topics_of`); here as they were written.
    limits: the document of its limits; empty for those of its owner.
    revision: grows with every change of any unit; the unit's ETag.
    """

    uuid: str
    owner: str
    name: str
    publish: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    visibility: Visibility = Visibility.PRIVATE
    limits: Mapping[str, Any] = field(default_factory=dict)
    blocked: bool = False
    created: Micros = 0
    updated: Micros = 0
    revision: int = 0


@dataclass(frozen=True, slots=True)
class UnitStatus:
    """What a unit last told; None for what it never has.

    Attributes:
        seen: when it last sent anything or connected.
        state: the payload of its newest state message.
        state_at, log_at: when the newest state and log message were received.
    """

    unit: str
    seen: Micros | None = None
    state: bytes | None = None
    state_at: Micros | None = None
    log_at: Micros | None = None


@dataclass(frozen=True, slots=True)
class UnitLog:
    """One entry of a unit's log."""

    unit: str
    time: Micros
    level: str
    text: str


@dataclass(frozen=True, slots=True)
class UnitChanges:
    """What has changed of all units since a revision.

    Attributes:
        revision: up to which this tells.
        changed: as they are now.
        removed: uuids.
    """

    revision: int
    changed: Sequence[Unit] = ()
    removed: Sequence[str] = ()


Check = Callable[[Unit], None]
"""Called with the unit that is there; it may refuse the change by raising."""


def anything(current: Unit) -> None:
    """Allow every change."""


class UnitReportStore(Protocol):
    """Where what units report is written to. Calls are as those of `UnitStore`."""

    def unit(self, owner: str, key: str) -> Unit | None:
        """The unit with this name or uuid."""
        ...

    def put_unit_statuses(self, statuses: Sequence[UnitStatus]) -> None:
        """Write what is not None, where it is newer than what is there."""
        ...

    def add_unit_logs(self, entries: Sequence[tuple[int, int, int, UnitLog]]) -> None:
        """Add entries, each with its partition, offset and place in the message.

        An entry that is there already is left as it is: replay changes nothing.
        """
        ...


class UnitStore(UnitReportStore, Protocol):
    """Calls block, are thread-safe, and are one transaction each.

    Every method raises `StoreUnavailable` where the database does not answer.
    """

    def units(
        self, owner: str | None = None, after: tuple[str, str] = ("", ""), limit: int | None = None
    ) -> list[Unit]:
        """By owner and name, those behind `after`."""
        ...

    def count_units(self, owner: str) -> int: ...

    def unit_by_uuid(self, uuid: str) -> Unit | None: ...

    def put_units(
        self, units: Sequence[Unit], *, create: bool = False, check: Check = anything
    ) -> list[tuple[Unit, bool]]:
        """Write all of them, or none; each with whether it was made.

        A unit whose uuid is empty is the one of its name, or a new one. What is as it was keeps
        its revision; one that is blocked stays so.

        Raises:
            Conflict: `create`, and the owner has a unit of such a name.
        """
        ...

    def block_unit(self, uuid: str, blocked: bool, check: Check = anything) -> Unit:
        """Raises:
        NotFound: there is no such unit.
        """
        ...

    def delete_unit(self, uuid: str, check: Check = anything) -> None:
        """Raises:
        NotFound: there is no such unit.
        """
        ...

    def add_unit_token(self, uuid: str, secret: str, grace: Micros = 0) -> None:
        """Make this the token of a unit; an earlier one works for `grace` more.

        Raises:
            NotFound: there is no such unit.
        """
        ...

    def unit_changes(self, since: int, most: int = 10_000) -> UnitChanges:
        """At most so many, the oldest change first; call again until nothing has changed."""
        ...

    # --- what units tell --------------------------------------------------------------------------

    def unit_statuses(self, uuids: Sequence[str]) -> dict[str, UnitStatus]: ...

    def unit_logs(
        self, unit: str, start: Micros | None, end: Micros | None, limit: int
    ) -> list[UnitLog]:
        """The newest first."""
        ...

    def expire_unit_logs(self, before: Micros) -> int:
        """Delete entries that are older; how many."""
        ...
