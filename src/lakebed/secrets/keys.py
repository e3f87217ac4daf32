"""Keys that encrypt the secrets of an instance: the newest writes, all of them read.

    HOME/secrets.keys      a key a line, the newest first; made by the first secret, mode 0600
    LAKEBED_SECRETS_KEY    "NEW,OLD" instead, where several processes share one catalog

A value is sealed for its owner and name (AES-256-GCM, associated data), so that a row that is
copied to another name or owner does not open. The id of the key stands beside the ciphertext.
"""

import hashlib
import secrets
import threading
from collections.abc import Sequence
from pathlib import Path

from lakebed.system.files import write_private
from lakebed.vocabulary.errors import Unavailable, Unsupported

NAME = "secrets.keys"


class Unreadable(Unavailable):
    """A secret cannot be decrypted with the keys that there are."""


class KeyRing:
    """Seals by the first key, and opens by all. Thread-safe.

    Args:
        keys: at least 32 characters each, the newest first.
        where: of the keys, for messages.
    """

    def __init__(self, keys: Sequence[str], where: str) -> None:
        from lakebed.system.sealing import Sealer

        self._sealers = {_id(key): Sealer(key) for key in keys}
        self.where = where

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of all keys, the newest first."""
        return tuple(self._sealers)

    def seal(self, owner: str, name: str, value: str) -> tuple[bytes, str]:
        """Encrypt a value; with the id of the key."""
        newest = self.ids[0]
        return self._sealers[newest].seal(value.encode(), "secrets", f"{owner}/{name}"), newest

    def open(self, owner: str, name: str, sealed: bytes, key: str) -> str:
        """Decrypt what `seal` returned.

        Raises:
            Unreadable: it was sealed by another key, for another name, or changed.
        """
        from lakebed.system.sealing import Unsealable

        sealer = self._sealers.get(key)
        if sealer is None:
            raise Unreadable(
                f"the secret {name!r} of {owner!r} was encrypted by the key {key}, which is not"
                f" in {self.where}: add that key there, or write the secret again"
            )
        try:
            return sealer.open(sealed, "secrets", f"{owner}/{name}").decode()
        except Unsealable:
            raise Unreadable(
                f"the secret {name!r} of {owner!r} was changed or moved in the catalog:"
                " write it again"
            ) from None


class Keys:
    """Where the keys of this process are; they are read anew by each call.

    Args:
        given: the setting `secrets.key`; None for the file in the home.
        alone: whether no other process uses the catalog, so that the file may have the keys.
    """

    def __init__(self, home: Path, given: str | None, alone: bool = True) -> None:
        self._path = home / NAME
        self._given = given
        self._alone = alone
        self._lock = threading.Lock()  # of writing the file

    def ring(self) -> KeyRing:
        """The keys that there are; maybe none.

        Raises:
            Unsupported: several processes share the catalog, and the settings have no key.
            Unavailable: the file cannot be read.
        """
        if self._given is not None:
            return KeyRing([key.strip() for key in self._given.split(",")], "secrets.key")
        return KeyRing(self._read(), f"HOME/{NAME}")

    def first(self) -> KeyRing:
        """As `ring`; makes a key where the file has none."""
        with self._lock:
            ring = self.ring()
            return ring if ring.ids else self._with_another()

    def renew(self) -> KeyRing:
        """Put a new key in front of those in the file; those of the settings stay as they are.

        Raises:
            Unavailable: the file cannot be written.
        """
        with self._lock:
            return self._with_another() if self._given is None else self.ring()

    def keep(self, ids: Sequence[str]) -> KeyRing:
        """Drop all keys from the file but these; nothing from the settings."""
        with self._lock:
            if self._given is None:
                self._write([key for key in self._read() if _id(key) in ids])
            return self.ring()

    def _with_another(self) -> KeyRing:
        self._write([secrets.token_urlsafe(32), *self._read()])
        return self.ring()

    def _read(self) -> list[str]:
        if not self._alone:
            raise Unsupported(
                "several processes need one key for secrets: set secrets.key"
                " (LAKEBED_SECRETS_KEY) to the same in all of them"
            )
        try:
            text = self._path.read_text()
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError) as error:
            raise Unavailable(
                f"the keys of secrets in {self._path} cannot be read: {error}"
            ) from None
        return text.split()

    def _write(self, keys: Sequence[str]) -> None:
        try:
            write_private(self._path, "".join(f"{key}\n" for key in keys).encode())
        except OSError as error:
            raise Unavailable(
                f"the keys of secrets cannot be written to {self._path} ({error.strerror})"
            ) from None


def _id(key: str) -> str:
    return hashlib.sha256(b"lakebed secrets " + key.encode()).hexdigest()[:12]
