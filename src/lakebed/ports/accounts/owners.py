"""Owners and their members."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from lakebed.vocabulary.roles import Role
from lakebed.vocabulary.times import Micros


@dataclass(frozen=True, slots=True)
class Owner:
    """Attributes:
    title: a name for people; if it is empty, `name` is shown.
    limits: the document of its limits; empty for those of the instance.
    blocked: suspended: nobody sends or reads anything of it, and nothing is deleted.
    report_topics: patterns of the topics on which its units report, by kind: `state`, `log`.
    """

    name: str
    title: str = ""
    limits: Mapping[str, Any] = field(default_factory=dict)
    blocked: bool = False
    created: Micros = 0
    report_topics: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Member:
    owner: str
    user: str
    role: Role


class OwnerStore(Protocol):
    """Calls block, are thread-safe, and are one transaction each.

    Every method raises `StoreUnavailable` where the database does not answer.
    """

    def owners(self) -> list[Owner]:
        """All of them but those that are deleted, by name."""
        ...

    def owner(self, name: str) -> Owner | None: ...

    def add_owner(self, owner: Owner, manager: str | None = None) -> Owner:
        """Make an owner, with a first member.

        Raises:
            Conflict: there is or was one of this name; names are never used again.
            NotFound: there is no such user.
        """
        ...

    def ensure_owner(self, name: str) -> None:
        """Make an owner if there is none.

        Raises:
            Conflict: it was deleted.
        """
        ...

    def change_owner(
        self,
        name: str,
        *,
        title: str | None = None,
        limits: Mapping[str, Any] | None = None,
        blocked: bool | None = None,
        report_topics: Mapping[str, Sequence[str]] | None = None,
    ) -> Owner:
        """Change what is given; of `report_topics` the kinds that are in it.

        Raises:
            NotFound: there is no such owner.
        """
        ...

    def delete_owner(self, name: str) -> None:
        """Delete an owner with its members, tokens, units, shares, boards and secrets.

        What it kept stays until it is erased. Its name is never given again.

        Raises:
            NotFound: there is no such owner.
        """
        ...

    def members(self, owner: str | None = None, user: str | None = None) -> list[Member]:
        """By owner and user."""
        ...

    def put_member(self, member: Member) -> bool:
        """Add a member, or change its role; whether it was added.

        Raises:
            NotFound: there is no such owner or user.
            Conflict: the owner would have no manager any more.
        """
        ...

    def remove_member(self, owner: str, user: str) -> None:
        """Raises:
        NotFound: it is no member.
        Conflict: the owner would have no manager any more.
        """
        ...


class ReportTopicStore(Protocol):
    """Calls block; each raises `StoreUnavailable` where the database does not answer."""

    def grants_version(self) -> int:
        """Grows with every change of an owner."""
        ...

    def report_topics(self) -> dict[str, Mapping[str, Sequence[str]]]:
        """The patterns of those owners that have named some, by kind."""
        ...
