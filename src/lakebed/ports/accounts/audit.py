"""The audit log: actor, action, resource, address and result. Append-only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from lakebed.vocabulary.times import Micros


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Attributes:
    owner: whose name space it is about; "" for the instance.
    actor: kind and name, such as `user:ann`; `nobody:` for who has not signed in.
    action: one of `access.actions`, or `session.begin` and the like.
    resource: what it was done to, such as `policies/raw-day`. Never a secret.
    result: `done`, `denied`, `failed`.
    """

    time: Micros
    owner: str
    actor: str
    action: str
    resource: str = ""
    address: str = ""
    result: str = "done"


class AuditLog(Protocol):
    """Calls block, are thread-safe, and are one transaction each.

    Every method raises `StoreUnavailable` where the database does not answer.
    """

    def add_audit(self, entries: Sequence[AuditEntry]) -> None: ...

    def audit(
        self,
        owner: str | None = None,
        *,
        start: Micros | None = None,
        end: Micros | None = None,
        actor: str | None = None,
        action: str | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[tuple[int, AuditEntry]]:
        """Entries with their numbers, the newest first.

        Args:
            owner: None for all.
            before: only entries with smaller numbers; for pages.
        """
        ...

    def expire_audit(self, before: Micros) -> int:
        """Delete entries that are older; how many."""
        ...
