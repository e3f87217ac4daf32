"""Tokens and their grants."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from lakebed.vocabulary.roles import Role
from lakebed.vocabulary.times import Micros


@dataclass(frozen=True, slots=True)
class StoredToken:
    """A token without its secret.

    Attributes:
        owner: the name space that it is valid in.
        name: unique per owner.
        publish, read: MQTT filters of the topics that it may write to and read from.
        admin: whether it may see the whole instance and create tokens.
        role: the most that it may do; less where its maker may do less.
        expires: when it ends; None for never.
        maker: the user who made it, and with whom it ends; "" for a token that no user made.
        created, used: when it was made, and last used (to the minute).
    """

    owner: str
    name: str
    publish: tuple[str, ...] = ("#",)
    read: tuple[str, ...] = ("#",)
    admin: bool = False
    role: Role = Role.EDITOR
    expires: Micros | None = None
    maker: str = ""
    created: Micros = field(default=0, compare=False)
    used: Micros | None = field(default=None, compare=False)


class TokenStore(Protocol):
    """Stores tokens. Of a secret, which is 256 random bits, only the SHA-256 is stored.

    Calls block, are thread-safe, and are one transaction each. Every method raises
    `StoreUnavailable` where the database does not answer.
    """

    def find_token(self, secret: str) -> StoredToken | None:
        """The token with this secret, also one that has expired, or None."""
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

    def touch_tokens(self, used: Mapping[tuple[str, str], Micros]) -> None:
        """Note when tokens were last used, by owner and name."""
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
