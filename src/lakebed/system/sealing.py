"""Encrypts secrets that must be read again, such as those of second factors and signing keys.

    sealed = version (1 byte) ‖ nonce (12 bytes) ‖ AES-256-GCM (secret; whose it is)

The key of a purpose is HKDF-SHA256 of the instance's key. A text sealed for one purpose and place
opens for no other, so that rows cannot be exchanged.
"""

import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from lakebed.system.files import write_private
from lakebed.vocabulary.errors import Fatal

_VERSION = b"\x01"
_NONCE = 12  # bytes
_NAME = "secret.key"


class Unsealable(Exception):
    """A secret was sealed by another key, or changed since."""


class Sealer:
    """Seals and opens with the key of one instance. Thread-safe.

    Args:
        key: of the instance; at least 32 characters.
    """

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    def seal(self, secret: bytes, purpose: str, place: str) -> bytes:
        """Encrypt a secret.

        Args:
            purpose: what it is for, such as `totp`.
            place: whose it is, such as the user's name; `open` needs the same.
        """
        nonce = secrets.token_bytes(_NONCE)
        return _VERSION + nonce + self._cipher(purpose).encrypt(nonce, secret, place.encode())

    def open(self, sealed: bytes, purpose: str, place: str) -> bytes:
        """Decrypt what `seal` returned.

        Raises:
            Unsealable: it was sealed by another key, for something else, or changed.
        """
        if sealed[:1] != _VERSION:
            raise Unsealable(f"a {purpose} was stored by a newer version")
        nonce, text = sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :]
        try:
            return self._cipher(purpose).decrypt(nonce, text, place.encode())
        except (InvalidTag, ValueError):
            raise Unsealable(
                f"the {purpose} of {place!r} was encrypted by another key: set auth.secret_key to"
                f" the one of before, or put back HOME/{_NAME}"
            ) from None

    def _cipher(self, purpose: str) -> AESGCM:
        derived = HKDF(SHA256(), 32, salt=None, info=f"lakebed {purpose}".encode())
        return AESGCM(derived.derive(self._key))


def sealer_of(home: Path, given: str | None) -> Sealer:
    """The sealer of an instance.

    Args:
        given: `auth.secret_key`; None for the key in the home, which is made if it is missing.

    Raises:
        Fatal: the key in the home can be neither read nor written.
    """
    return Sealer(_in_home(home / _NAME) if given is None else given)


def _in_home(path: Path) -> str:
    try:
        if path.is_file() and (key := path.read_text().strip()):
            return key
        key = secrets.token_urlsafe(32)
        write_private(path, f"{key}\n".encode())
        return key
    except OSError as error:
        raise Fatal(
            f"the instance's key cannot be read or written at {path} ({error.strerror}): choose"
            " --home, or set auth.secret_key"
        ) from None
