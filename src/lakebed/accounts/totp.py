"""Codes of the second factor: those of an application (TOTP, RFC 6238), and recovery codes."""

import re
import secrets
from hmac import compare_digest
from urllib.parse import urlsplit

import pyotp

from lakebed.vocabulary.times import SECOND, Micros

_STEP = 30  # seconds; what all applications know
_DRIFT = 1  # steps that a clock may be off, to either side
_SECRET = re.compile(r"[A-Z2-7]{32,128}")  # base32 of 160 bits at least
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # none that look alike
RECOVERY_CODES = 10


def new_secret() -> str:
    """A secret of 160 bits, in base32."""
    return pyotp.random_base32()


def is_secret(text: str) -> bool:
    """Whether a text can be the secret of TOTP."""
    return _SECRET.fullmatch(text) is not None


def address_of(secret: str, user: str, at: str) -> str:
    """The address that applications read from a QR code.

    Args:
        at: the address of the instance.
    """
    issuer = f"Lakebed {urlsplit(at).hostname or ''}".strip()
    return pyotp.TOTP(secret).provisioning_uri(name=user, issuer_name=issuer)


def step_of(secret: str, code: str, moment: Micros) -> int | None:
    """The step whose code this is, of those around a moment; None for a wrong code.

    Each step's code may be used once: the caller remembers the last.
    """
    totp, current, found = pyotp.TOTP(secret), moment // SECOND // _STEP, None
    for step in range(current - _DRIFT, current + _DRIFT + 1):
        if compare_digest(totp.at(step * _STEP).encode(), code.encode()):
            found = step
    return found


def new_recovery_codes() -> list[str]:
    """Codes that each work once where the second factor is lost; of 123 random bits."""
    return ["-".join(_word() for _ in range(5)) for _ in range(RECOVERY_CODES)]


def _word() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(5))
