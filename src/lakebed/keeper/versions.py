"""Policies by the version that a checkpoint names."""

from typing import TypeGuard

import structlog

from lakebed.kinds import KINDS
from lakebed.policies.document import parse
from lakebed.ports.catalog.policies import PolicyVersionReader, StoredPolicy
from lakebed.vocabulary.errors import Invalid
from lakebed.vocabulary.policy import Policy

log = structlog.get_logger(__name__)


def part_of(policy: Policy | StoredPolicy) -> str:
    """The name of the checkpoint of a policy's task."""
    return f"{policy.owner}/{policy.name}@{policy.version}"


def is_version_of(part: str, policy: Policy) -> bool:
    """Whether a checkpoint is that of any version of a policy."""
    return part.rpartition("@")[0] == part_of(policy).rpartition("@")[0]


def same_values(one: Policy, other: Policy) -> bool:
    """Whether both versions of a policy have the same kind and type."""
    return (one.keep, one.type) == (other.keep, other.type)


def continues(new: Policy | None, former: Policy) -> TypeGuard[Policy]:
    """Whether a version continues the windows of a former one, of the fields that both have."""
    kind = KINDS[former.keep]
    return new is not None and kind.alignment(new) == kind.alignment(former)


class PolicyVersions:
    """Finds policies in the store by the version that a checkpoint names.

    Args:
        timezone: IANA name, of days in policies that name none.
    """

    def __init__(self, store: PolicyVersionReader, timezone: str) -> None:
        self._store, self._timezone = store, timezone

    def find(self, part: str) -> Policy | None:
        """The policy of a task's checkpoint, or None where there is none that can be read."""
        stored = self.stored(part)
        return None if stored is None else self.read(stored)

    def stored(self, part: str) -> StoredPolicy | None:
        name, _, version = part.rpartition("@")
        owner, _, name = name.rpartition("/")
        return self._store.policy_version(owner, name, int(version))

    def read(self, stored: StoredPolicy) -> Policy | None:
        """The policy of a stored document, or None where it cannot be read."""
        try:
            return parse(stored.document, stored.owner, stored.version, self._timezone)
        except Invalid as error:
            # Written by another version of Lakebed: say so, and let the other policies work.
            name = f"{stored.owner}/{stored.name}"
            log.error("policy cannot be read", policy=name, error=str(error))
            return None
