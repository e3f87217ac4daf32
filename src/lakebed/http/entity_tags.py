"""Entity tags, and conditions and ranges of requests (RFC 9110, sections 8.8.3, 13 and 14)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import TypeAlias

CODED = {"gzip": "-gzip", "zstd": "-zstd"}
"""What is put behind the tag of a content that is sent compressed, by the coding: a strong tag
names bytes. A condition may name either."""

_ONE = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_LIST = re.compile(rf"[\s,]*{_ONE}(?:\s*,[\s,]*{_ONE})*[\s,]*")
_TAG = re.compile(r'(W/)?"([^"]*)"')
_RANGE = re.compile(r"bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})\s*", re.IGNORECASE | re.ASCII)

Headers: TypeAlias = Mapping[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Tags:
    """The entity tags of a condition.

    Attributes:
        any: whether anything that is there will do (`*`).
        strong, weak: tags without their quotes.
    """

    any: bool = False
    strong: frozenset[str] = frozenset()
    weak: frozenset[str] = frozenset()

    def match(self, tag: str) -> bool:
        """Compare weakly: whether the content may be the same."""
        return self.match_strongly(tag) or _is_among(tag, self.weak)

    def match_strongly(self, tag: str) -> bool:
        """Compare strongly: a tag that is marked as weak never matches."""
        return self.any or _is_among(tag, self.strong)


def read_tags(text: str) -> Tags:
    """The tags of `If-Match` or `If-None-Match`.

    Raises:
        ValueError: the text is neither `*` nor a list of entity tags.
    """
    if text.strip() == "*":
        return Tags(any=True)
    if not _LIST.fullmatch(text):
        raise ValueError("it is no list of entity tags")
    found = _TAG.findall(text)
    return Tags(
        strong=frozenset(tag for weak, tag in found if not weak),
        weak=frozenset(tag for weak, tag in found if weak),
    )


def tag_of(content: bytes) -> str:
    """A strong tag of some bytes, without quotes."""
    return blake2b(content, digest_size=12).hexdigest()


def opaque(etag: bytes) -> str:
    """The tag of an `ETag` header without its quotes and its mark of weakness."""
    return etag.decode("latin-1").removeprefix("W/").strip('"')


def _is_among(tag: str, known: frozenset[str]) -> bool:
    """Whether a tag is known, or that of its content in one of the codings."""
    return tag in known or any(tag + mark in known for mark in CODED.values())


# --- what a GET is answered -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Verdict:
    """How to answer a GET whose content is known.

    Attributes:
        status: 200, 206, 304, 412 or 416.
        start, stop: the bytes to be sent.
    """

    status: int
    start: int = 0
    stop: int = 0

    @property
    def size(self) -> int:
        return self.stop - self.start


def judge(headers: Headers, etag: bytes, length: int, ranges: bool) -> Verdict:
    """Weigh the conditions of a GET in the order of RFC 9110, section 13.2.2.

    Conditions and ranges that cannot be read are ignored.

    Args:
        etag: of the content, as in its header.
        length: bytes of the content.
        ranges: whether parts of it are sent.
    """
    weak, tag = etag.startswith(b"W/"), opaque(etag)
    wanted = _tags(headers, b"if-match")
    if wanted is not None and not (wanted.any or (not weak and wanted.match_strongly(tag))):
        return Verdict(412)
    known = _tags(headers, b"if-none-match")
    if known is not None and known.match(tag):
        return Verdict(304)
    if ranges and not weak and b"range" in headers and _is_of_these_bytes(headers, tag, wanted):
        return _part(headers[b"range"].decode("latin-1"), length)
    return Verdict(200, 0, length)


def as_known(headers: Headers, etag: bytes) -> bytes:
    """The ETag as `If-None-Match` names it: that of a coding where the client has that."""
    known, tag = _tags(headers, b"if-none-match"), opaque(etag)
    for mark in CODED.values():
        if known is not None and (tag + mark) in known.strong | known.weak:
            return b'"%b"' % (tag + mark).encode("latin-1")
    return etag


def _tags(headers: Headers, name: bytes) -> Tags | None:
    if (text := headers.get(name)) is None:
        return None
    try:
        return read_tags(text.decode("latin-1"))
    except ValueError:
        return None


def _is_of_these_bytes(headers: Headers, tag: str, wanted: Tags | None) -> bool:
    """Whether the client that asks for a part has the others of these bytes, not of a coding of
    them. A date in `If-Range` never says so: nothing here has one."""
    given = headers.get(b"if-range")
    if given is not None and given.strip() != b'"%b"' % tag.encode("latin-1"):
        return False
    return wanted is None or wanted.any or tag in wanted.strong


def _part(text: str, length: int) -> Verdict:
    """One range of bytes; several, and other units, are answered by the whole."""
    found = _RANGE.fullmatch(text)
    if found is None or found[1] == found[2] == "":
        return Verdict(200, 0, length)
    if not found[1]:  # the last so many
        start, stop = max(length - int(found[2]), 0), length
    else:
        start, last = int(found[1]), int(found[2] or length)
        if found[2] and last < start:
            return Verdict(200, 0, length)
        stop = min(last + 1, length)
    return Verdict(206, start, stop) if start < stop else Verdict(416)
