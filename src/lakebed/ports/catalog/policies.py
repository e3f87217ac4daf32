"""Policies, by owner and name. Old versions stay readable: replay needs them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from lakebed.vocabulary.times import Micros


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


class PolicyReader(Protocol):
    """For who follows the policies in force."""

    def revision(self) -> int:
        """Grows with every change of any policy; cheap to ask."""
        ...

    def policies(self, owner: str | None = None) -> list[StoredPolicy]:
        """Those in force, of one owner or of all, by owner and name."""
        ...


class PolicyVersionReader(Protocol):
    """For who goes on under the version that a checkpoint names."""

    def policy_version(self, owner: str, name: str, version: int) -> StoredPolicy | None: ...


class PolicyHistory(PolicyReader, Protocol):
    """For who reads what was kept, also under versions that are not in force any more."""

    def policy_versions(self, owner: str, name: str) -> list[StoredPolicy]:
        """Every version of a name, the oldest first; those of a deleted policy too."""
        ...

    def policy_topics(self, owner: str) -> dict[str, set[str]]:
        """The topic filters of all versions of each name, those of deleted policies too."""
        ...


class PolicyStore(PolicyHistory, Protocol):
    """For who writes policies."""

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
