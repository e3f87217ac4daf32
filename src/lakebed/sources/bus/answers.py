"""Takes the answers of a bus apart: pages of JSON, lines of JSON, server-sent events. Pure."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from lakebed.vocabulary.errors import Unavailable

MOST_EVENTS = 200_000
"""Events of one answer."""

LONGEST_CURSOR = 8 * 1024
"""Characters of a cursor."""

_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_items = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode = msgspec.json.Decoder().decode

Tokens = tuple[str, ...]


class BadAnswer(Unavailable):
    """The bus answered with what cannot be read: it is asked again."""


class Page(NamedTuple):
    """
    Attributes:
        events: as they were written.
        cursor: of the next page; None if the answer has none.
    """

    events: list[bytes]
    cursor: str | None


def read_page(body: bytes, items: Tokens, cursor: Tokens | None, lines: bool) -> Page:
    """
    Args:
        lines: whether the body is lines of JSON.

    Raises:
        BadAnswer: it is not what it should be.
    """
    text = body.strip()
    if not text:
        return Page([], None)
    if lines:
        return Page(_bounded([one for one in text.splitlines() if one.strip()]), None)
    try:
        if text[:1] == b"[":
            return Page(_bounded([bytes(one) for one in _items(text)]), None)
        found = _part(text, items)
        if found is None:  # an answer without events
            events = []
        elif found.lstrip()[:1] == b"[":
            events = [bytes(one) for one in _items(found)]
        else:
            events = [found] if found != b"null" else []
        at = None if cursor is None else _part(text, cursor)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise BadAnswer(f"its answer is not the JSON that it should be: {error}") from None
    return Page(_bounded(events), None if at is None else cursor_text(_decode(at)))


def _part(text: bytes, tokens: Tokens) -> bytes | None:
    """The part at a pointer as it is written; None if there is none."""
    for token in tokens:
        members = _members(text)
        if token not in members:
            return None
        text = bytes(members[token])
    return text


def _bounded(events: list[bytes]) -> list[bytes]:
    if len(events) > MOST_EVENTS:
        raise BadAnswer(f"its answer has {len(events)} events, and may have {MOST_EVENTS}")
    return events


def cursor_text(found: Any) -> str | None:
    """A cursor as it is sent back.

    Raises:
        BadAnswer: it is neither text nor number.
    """
    if found in (None, ""):
        return None
    if isinstance(found, bool) or not isinstance(found, (str, int)):
        raise BadAnswer("its cursor is neither text nor a whole number")
    text = str(found)
    if len(text) > LONGEST_CURSOR:
        raise BadAnswer(f"its cursor is longer than {LONGEST_CURSOR} characters")
    return text


class Lines:
    """Lines of a stream, however it is cut into chunks.

    Args:
        longest: bytes of one line.
    """

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._rest = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that end in it. Raises BadAnswer if one does not end."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > self._longest:
            raise BadAnswer(f"a line of its stream is longer than {self._longest} bytes")
        return [line.removesuffix(b"\r") for line in lines]


class StreamEvent(NamedTuple):
    """
    Attributes:
        id: the last id that server-sent events had, up to this one; None of lines.
    """

    data: bytes
    id: str | None


class ServerSentEvents:
    """Fields of an event stream (WHATWG HTML, section 9.2.6) as events."""

    def __init__(self, longest: int, id: str = "") -> None:
        self._longest = longest
        self._data: list[bytes] = []
        self._size = 0
        self.id = id

    def feed(self, line: bytes) -> Iterator[StreamEvent]:
        if not line:
            if self._data:
                yield StreamEvent(b"\n".join(self._data), self.id)
                self._data, self._size = [], 0
            return
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._size += len(value) + 1  # empty lines fill memory too
            if self._size > self._longest:
                raise BadAnswer(f"an event of its stream is longer than {self._longest} bytes")
            self._data.append(value)
        elif field == b"id" and b"\0" not in value and len(value) <= LONGEST_CURSOR:
            self.id = value.decode(errors="replace")
