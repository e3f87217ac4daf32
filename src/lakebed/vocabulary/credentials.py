"""Secrets that are made here: tokens of programs, units and sessions.

    lb_ ‹34 random characters› ‹6 characters: CRC-32 of them›

Scanners for leaked secrets find the form, and can tell a token from a word that looks like one.
34 characters of 62 are 202 random bits: nobody guesses one, so a secret is stored as its plain
SHA-256, without salt and without a slow hash.
"""

import hashlib
import secrets
import string
import zlib

PREFIX = "lb_"

_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM = 34  # characters
_CHECK = 6  # characters; 62 ** 6 is more than 2 ** 32


def new_secret() -> str:
    """A new token."""
    text = "".join(secrets.choice(_DIGITS) for _ in range(_RANDOM))
    return PREFIX + text + _checksum(text)


def is_mistyped(secret: str) -> bool:
    """Whether a text has the form of a token, but not its checksum.

    False for every text of another form: earlier versions made such tokens, and operators write
    some themselves.
    """
    body = secret.removeprefix(PREFIX)
    if len(body) != _RANDOM + _CHECK or body == secret or not set(body) <= set(_DIGITS):
        return False
    return _checksum(body[:_RANDOM]) != body[_RANDOM:]


def digest(secret: str) -> bytes:
    """What is stored of a secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _checksum(text: str) -> str:
    value, found = zlib.crc32(text.encode()), ""
    for _ in range(_CHECK):
        value, digit = divmod(value, len(_DIGITS))
        found = _DIGITS[digit] + found
    return found
