"""The bearer token of a request (RFC 6750)."""

from lakebed.vocabulary.errors import Unauthenticated


def bearer(header: bytes) -> str:
    """The token of an Authorization header (RFC 6750 section 2.1).

    Raises:
        Unauthenticated: there is none.
    """
    if header[:7].lower() != b"bearer ":
        raise missing()
    return header[7:].strip().decode("latin-1")


def missing() -> Unauthenticated:
    return Unauthenticated("send a token: Authorization: Bearer TOKEN")


def unknown(token: str) -> Unauthenticated:
    return Unauthenticated("the token is not known" if token else "the token is empty")
