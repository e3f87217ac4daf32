"""What keeps pages safe: headers, the proof that a form is ours, addresses within this instance.

cookie ──HMAC──> token of forms      another site can send the cookie, and cannot read the token
"""

import hmac
import re
from hashlib import sha256
from urllib.parse import urlsplit

from fastapi import Request

from lakebed.api import cookies
from lakebed.vocabulary.errors import Denied

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:;"
        " media-src 'self' blob:; connect-src 'self'; font-src 'self'; manifest-src 'self';"
        " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with no-referrer, browsers send `Origin: null` with forms
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Of every page."""

FIELD = "csrf"
_CONTROL = re.compile(r"[\x00-\x20\\]")


_SIGNATURE = 32  # characters


def form_token(request: Request, user: str = "") -> str:
    """The proof that a form comes from a page that this session was shown.

    Args:
        user: whom the page was shown to; the token names them.
    """
    return _signed(request, b"form:" + user.encode()) + user.encode().hex()


def user_in(token: str) -> str:
    """The user whom a token of a form names; empty for none."""
    try:
        return bytes.fromhex(token[_SIGNATURE:]).decode()
    except ValueError:
        return ""


def check_form(request: Request, token: str) -> None:
    """Raise unless a form has the token of its session.

    A request without a cookie needs none: a browser adds no bearer token by itself.

    Raises:
        Denied: the token is missing or another one.
    """
    if cookies.secret_in(request) is None:
        return
    if not hmac.compare_digest(token.encode(), form_token(request, user_in(token)).encode()):
        raise Denied("the form is not of this session: load the page again")


def seal(request: Request, text: str) -> str:
    """A text that this session alone can show again."""
    return f"{_signed(request, text.encode())}{text}"


def unseal(request: Request, sealed: str) -> str:
    """The text that was sealed; empty where it was not sealed by this session."""
    signature, text = sealed[:_SIGNATURE], sealed[_SIGNATURE:]
    right = hmac.compare_digest(signature.encode(), _signed(request, text.encode()).encode())
    return text if right else ""


def within(address: str) -> str:
    """An address to go on to, if it is one of this instance; else the first page."""
    parts = urlsplit(address)
    safe = address.startswith("/") and not address.startswith("//")
    if not safe or parts.scheme or parts.netloc or _CONTROL.search(address):
        return "/"
    return address


def _signed(request: Request, what: bytes) -> str:
    secret = cookies.secret_in(request) or ""
    return hmac.new(secret.encode(), what, sha256).hexdigest()[:_SIGNATURE]
