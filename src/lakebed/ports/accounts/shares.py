"""Shares: topics of an owner that are open to others."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from lakebed.vocabulary.times import Micros

PUBLIC = "public"
"""The audience of everybody, also without credentials."""

INSTANCE = "instance"
"""The audience of all who have credentials here."""


@dataclass(frozen=True, slots=True)
class Share:
    """Attributes:
    topics: MQTT filters.
    audience: `public`, `instance`, `owner:NAME`, `user:NAME`.
    may: of `read` and `publish`.
    """

    owner: str
    name: str
    topics: tuple[str, ...]
    audience: tuple[str, ...]
    may: tuple[str, ...]
    created: Micros = 0
    updated: Micros = 0
    version: int = 0


ShareCheck = Callable[[Share], None]
"""Called with the share that is there; it may refuse the change by raising."""


def any_share(current: Share) -> None:
    """Allow every change."""


class ShareStore(Protocol):
    """Calls block, are thread-safe, and are one transaction each.

    Every method raises `StoreUnavailable` where the database does not answer.
    """

    def shares(self, owner: str | None = None) -> list[Share]:
        """By owner and name."""
        ...

    def put_shares(
        self, shares: Sequence[Share], *, create: bool = False, check: ShareCheck = any_share
    ) -> list[tuple[Share, bool]]:
        """Write all of them, or none; each with whether it was made.

        Raises:
            Conflict: `create`, and the owner has a share of such a name.
        """
        ...

    def delete_share(self, owner: str, name: str, check: ShareCheck = any_share) -> None:
        """Raises:
        NotFound: the owner has none of this name.
        """
        ...
