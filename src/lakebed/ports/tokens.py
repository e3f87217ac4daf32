"""Tokens and their grants."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class StoredToken:
    """A token without its secret.

    Attributes:
        owner: the name space that it is valid in.
        name: unique per owner.
        publish, read: MQTT filters of the topics that it may write to and read from.
        admin: whether it may see the whole instance and create tokens.
    """

    owner: str
    name: str
    publish: tuple[str, ...] = ("#",)
    read: tuple[str, ...] = ("#",)
    admin: bool = False


class TokenStore(Protocol):
    """Stores tokens. Of a secret, which is 256 random bits, only the SHA-256 is stored.

    Calls block, are thread-safe, and are one transaction each. Every method raises
    `StoreUnavailable` where the database does not answer.
    """

    def grants_version(self) -> int:
        """A number that grows with every change of any grant; cheap to ask."""
        ...

    def find_token(self, secret: str) -> StoredToken | None:
        """The token with this secret, or None."""
        ...

    def add_token(self, token: StoredToken, secret: str | None = None) -> str:
        """Store a token and return its secret, which cannot be read again.

        Raises:
            Conflict: the owner has a token of that name.
        """
        ...

    def replace_token(self, token: StoredToken, secret: str) -> None:
        """Write a token, and replace one of the same name.

        Several processes may write the same secret at once; that is no `Conflict`.
        """
        ...

    def tokens(self) -> list[StoredToken]:
        """All tokens, by owner and name."""
        ...

    def revoke_token(self, owner: str, name: str, *, keep_admin: bool = False) -> None:
        """Delete a token.

        Args:
            keep_admin: whether to refuse to delete the last token of an admin.

        Raises:
            NotFound: there is none of this name.
            Conflict: it is the last one of an admin.
        """
        ...
