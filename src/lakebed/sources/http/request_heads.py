"""What the head of a plain POST means: read once, strictly, and remembered under its bytes."""

import re
from dataclasses import dataclass

from lakebed.access.principals import Principal
from lakebed.vocabulary.attributes import Attributes
from lakebed.vocabulary.messages import Channel

_REQUEST = re.compile(rb"POST (/[!$-;=?-Z_a-z~]*) HTTP/1\.1")
_VALUE = re.compile(rb"[\t\x20-\x7e]*")
_HARMLESS = {
    b"host", b"user-agent", b"accept", b"accept-encoding", b"accept-language", b"content-type",
    b"content-length", b"authorization", b"connection",
}  # fmt: skip
_LONGEST = 2048
"""Bytes of a head that is worth remembering."""


@dataclass(frozen=True, slots=True)
class Head:
    """The parts of a plain head: nothing in it asks for more than to take the body.

    Attributes:
        path: before the question mark; `query` behind it.
        length: bytes of the body.
        authorization, content_type: those headers' values, b"" where there is none.
    """

    path: bytes
    query: bytes
    length: int
    authorization: bytes
    content_type: bytes


@dataclass(frozen=True, slots=True)
class CachedHead:
    """What to do with the body behind a head.

    Attributes:
        token: identified again for each request; it may be revoked.
        principal: whose it was when the cached_head was made.
        channel: where a single message belongs; None for a batch.
        length: bytes of the body.
        attributes: recorded with its messages.
    """

    token: str
    principal: Principal
    channel: Channel | None
    length: int
    attributes: Attributes | None


def read_head(head: bytes) -> Head | None:
    """The parts of a head (up to and with its empty line), or None where it is not plain.

    RFC 9112 sections 3 to 5, and nothing of what it merely tolerates.
    """
    if len(head) > _LONGEST:
        return None
    first, *rest = head[:-4].split(b"\r\n")
    request = _REQUEST.fullmatch(first)
    if request is None:
        return None
    found: dict[bytes, bytes] = {}
    for line in rest:
        name, _, value = line.partition(b":")
        name = name.lower()
        if name not in _HARMLESS or name in found or not _VALUE.fullmatch(value):
            return None
        found[name] = value.strip(b" \t")
    length = found.get(b"content-length", b"")
    if not (length.isdigit() and len(length) < 10) or b"host" not in found:
        return None
    if found.get(b"connection", b"keep-alive").lower() != b"keep-alive":
        return None
    path, _, query = request[1].partition(b"?")
    authorization, content_type = found.get(b"authorization", b""), found.get(b"content-type", b"")
    return Head(path, query, int(length), authorization, content_type)
