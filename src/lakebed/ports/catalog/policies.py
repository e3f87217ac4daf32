"""Policies, by owner and name. Old versions stay readable, because a replay needs them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from lakebed.vocabulary.times import Micros


@dataclass(frozen=True, slots=True)
class StoredPolicy:
    """One version of a policy. Each change of a name gives a new, greater `version`."""

    owner: str
    name: str
    version: int
    document: dict[str, Any]
    created: Micros
    updated: Micros


Check = Callable[[StoredPolicy], None]
"""Called inside the transaction with a policy that will be replaced or deleted. An exception rolls
the transaction back."""


def anything(_: StoredPolicy) -> None:
    """The check that allows everything."""


class PolicyReader(Protocol):
    """Reads the policies in force."""

    def revision(self) -> int:
        """A number that grows with every change of any policy; cheap to ask."""
        ...

    def policies(self, owner: str | None = None) -> list[StoredPolicy]:
        """The policies in force, of one owner or of all, in order of owner and name."""
        ...


class PolicyVersionReader(Protocol):
    """Reads the version of a policy that a checkpoint names."""

    def policy_version(self, owner: str, name: str, version: int) -> StoredPolicy | None: ...


class PolicyHistory(PolicyReader, Protocol):
    """Reads all versions of policies, in force or not: data of each of them may still be stored."""

    def policy_versions(self, owner: str, name: str) -> list[StoredPolicy]:
        """All versions of a name, the oldest first, those of a deleted policy too."""
        ...

    def policy_topics(self, owner: str) -> dict[str, set[str]]:
        """The topic filters of all versions of each name, those of deleted policies too."""
        ...


class PolicyStore(PolicyHistory, Protocol):
    """Writes policies."""

    def put_policies(
        self,
        owner: str,
        documents: Sequence[dict[str, Any]],
        create: bool = False,
        check: Check = anything,
    ) -> list[tuple[StoredPolicy, bool]]:
        """Write documents, which were checked before, in one transaction.

        A document equal to the one in force changes nothing.

        Args:
            create: only new names are allowed.
            check: called with each version in force that would be replaced.

        Returns:
            each policy, with True if its name is new.

        Raises:
            Conflict: a name is in use, and `create` was given.
        """
        ...

    def delete_policy(self, owner: str, name: str, check: Check = anything) -> None:
        """Delete a policy; its data stays.

        Raises:
            NotFound: there is no policy of that name.
        """
        ...
