"""Tokens: who holds one, and what they were granted with it."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class StoredToken:
    """A token as it is stored: everything but its secret.

    Attributes:
        owner: in whose name space it works.
        name: what it is called; unique per owner.
        publish, read: MQTT filters of the topics it may write to and read from.
        admin: may see all of the instance and make tokens.
    """

    owner: str
    name: str
    publish: tuple[str, ...] = ("#",)
    read: tuple[str, ...] = ("#",)
    admin: bool = False


class TokenStore(Protocol):
    """Secrets are kept as SHA-256 of 256 random bits, never as themselves.

    Calls block and may be made from any thread; each is one transaction. Every method raises
    `StoreUnavailable` where the database does not answer.
    """

    def grants_version(self) -> int:
        """Grows with every change of what anybody may do; cheap to ask."""
        ...

    def find_token(self, secret: str) -> StoredToken | None:
        """The token with this secret, or None."""
        ...

    def add_token(self, token: StoredToken, secret: str | None = None) -> str:
        """Store a token and return its secret, the only time it can be seen.

        Raises `Conflict` where the owner has a token of that name.
        """
        ...

    def replace_token(self, token: StoredToken, secret: str) -> None:
        """Make this the owner's only token of that name, whatever it was before.

        Others may do the same at the same time: the same secret is no `Conflict`.
        """
        ...

    def tokens(self) -> list[StoredToken]:
        """All tokens, by owner and name."""
        ...

    def revoke_token(self, owner: str, name: str) -> None:
        """Raises `NotFound`."""
        ...
