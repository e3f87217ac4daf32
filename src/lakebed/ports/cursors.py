"""Encodes and decodes cursors: opaque text with the last key of a page, valid for one question.

A digest over question and key detects damage and mistakes. It is no protection against forgery,
and none is needed: each query is bound to the caller's own rows, whatever the key.
"""

import base64
import binascii
from hashlib import blake2b
from typing import Protocol

import msgspec

from lakebed.vocabulary.errors import BadRequest

Key = tuple[int | str, ...]
_DIGEST = 8  # bytes


class Paged(Protocol):
    """A question that is answered page by page.

    Attributes:
        cursor: of the page before; "" for the first page.
        scope: what tells it from other questions.
    """

    @property
    def cursor(self) -> str: ...

    @property
    def scope(self) -> tuple[object, ...]: ...


def encode(question: Paged, key: Key) -> str:
    """The cursor of the page that begins behind the row with this key."""
    body = msgspec.msgpack.encode(key)
    return base64.urlsafe_b64encode(_digest(question, body) + body).rstrip(b"=").decode()


def decode(question: Paged, shape: tuple[type, ...]) -> Key | None:
    """The key in the question's cursor, or None where it has none.

    Raises:
        BadRequest: it is damaged, or belongs to another question.
    """
    if not question.cursor:
        return None
    try:
        padding = "=" * (-len(question.cursor) % 4)
        raw = base64.b64decode(question.cursor + padding, altchars=b"-_", validate=True)
        if raw[:_DIGEST] != _digest(question, raw[_DIGEST:]):
            raise ValueError("foreign")
        key = tuple(msgspec.msgpack.decode(raw[_DIGEST:]))
        if tuple(map(type, key)) != shape:
            raise ValueError("shape")
    except (ValueError, TypeError, binascii.Error, msgspec.DecodeError):
        what = "it is damaged, or comes from another query: repeat the query that gave it unchanged"
        raise BadRequest("cursor", what) from None
    return key


def _digest(question: Paged, body: bytes) -> bytes:
    return blake2b(msgspec.msgpack.encode(question.scope) + body, digest_size=_DIGEST).digest()
