"""Secrets of owners by name, as they lie in the catalog: encrypted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from lakebed.vocabulary.times import Micros


@dataclass(frozen=True, slots=True)
class StoredSecret:
    """Attributes:
    sealed: ciphertext; it opens only as the secret of this owner and name.
    key: the id of the key that it is encrypted with.
    writer: the label of whoever wrote it last.
    """

    owner: str
    name: str
    sealed: bytes = field(repr=False)
    key: str
    writer: str = ""
    created: Micros = 0
    updated: Micros = 0
    version: int = 0


class SecretStore(Protocol):
    """Calls block, are thread-safe, and are one transaction each.

    Every method raises `StoreUnavailable` where the database does not answer.
    """

    def secrets(self, owner: str) -> list[StoredSecret]:
        """By name."""
        ...

    def secret(self, owner: str, name: str) -> StoredSecret | None: ...

    def put_secret(self, secret: StoredSecret) -> tuple[StoredSecret, bool]:
        """Write it, in place of one of this name; as it is then, with whether it was made."""
        ...

    def delete_secret(self, owner: str, name: str) -> None:
        """Raises:
        NotFound: the owner has none of this name.
        """
        ...

    def secret_keys(self) -> dict[str, int]:
        """The ids of all keys in use, with the number of secrets of each."""
        ...

    def reseal_secrets(
        self, reseal: Callable[[StoredSecret], tuple[bytes, str]], but: Sequence[str]
    ) -> int:
        """Replace ciphertext and key of all secrets, in one transaction; returns how many.

        Args:
            reseal: gives what to write; if it raises, nothing is written.
            but: the ids of keys whose secrets stay as they are.
        """
        ...
