"""Parses the heads of plain POSTs once, strictly, and caches the results under their bytes."""

import re
from dataclasses import dataclass

from lakebed.access.principals import Principal
from lakebed.limits.allowance import Allowance
from lakebed.vocabulary.attributes import Attributes
from lakebed.vocabulary.messages import Channel

_REQUEST = re.compile(rb"POST (/[!$-;=?-Z_a-z~]*) HTTP/1\.1")
_VALUE = re.compile(rb"[\t\x20-\x7e]*")
_HARMLESS = {
    b"host", b"user-agent", b"accept", b"accept-encoding", b"accept-language", b"content-type",
    b"content-length", b"authorization", b"connection",
}  # fmt: skip
_LONGEST = 2048
"""Most bytes of a head that is cached."""


@dataclass(frozen=True, slots=True)
class Head:
    """The parts of a plain head, which requires nothing but to accept the body.

    Attributes:
        path: before the question mark; `query` behind it.
        length: bytes of the body.
        authorization, content_type: the values of these headers; b"" if there is none.
    """

    path: bytes
    query: bytes
    length: int
    authorization: bytes
    content_type: bytes


@dataclass(frozen=True, slots=True)
class CachedHead:
    """How to handle the body behind a head.

    Attributes:
        token: identified again for each request, because it may be revoked.
        principal: the principal of the token when the head was cached.
        path: that of the request.
        channel: the channel of a single message; None for a batch, or events.
        length: bytes of the body.
        attributes: recorded with its messages.
        allowance: what the principal may send.
    """

    token: str
    principal: Principal
    path: str
    channel: Channel | None
    length: int
    attributes: Attributes | None
    allowance: Allowance


def read_head(head: bytes) -> Head | None:
    """Parse a head, which ends with its empty line; None if it is not plain.

    Accepts RFC 9112 sections 3 to 5, without the deviations that the RFC tolerates.
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
