"""The token of a request, in each form of an Authorization header that clients send.

Bearer is RFC 6750, Basic is RFC 7617 with the token as password, Token is that of InfluxDB 2.
"""

import binascii
from base64 import b64decode

from lakebed.vocabulary.errors import Unauthenticated


def token_in(header: bytes) -> str:
    """The token of an Authorization header.

    Of Basic it is the password, or the user name where there is no password.

    Raises:
        Unauthenticated: there is none.
    """
    if header[:7].lower() == b"bearer ":
        return header[7:].strip().decode("latin-1")
    if header[:6].lower() == b"token ":
        return header[6:].strip().decode("latin-1")
    if is_basic(header):
        return _of_basic(header[6:].strip())
    raise missing()


def is_basic(header: bytes) -> bool:
    """Whether a header is of the form that browsers send by themselves."""
    return header[:6].lower() == b"basic "


def _of_basic(encoded: bytes) -> str:
    try:
        name, _, password = b64decode(encoded, validate=True).decode("latin-1").partition(":")
    except binascii.Error:
        raise Unauthenticated("the credentials of Authorization: Basic are not base64") from None
    return password or name


def missing() -> Unauthenticated:
    return Unauthenticated("send a token: Authorization: Bearer TOKEN")


def unknown(token: str) -> Unauthenticated:
    return Unauthenticated("the token is not known" if token else "the token is empty")
