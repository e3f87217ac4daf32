"""Decodes bodies of many messages into columns for the intake.

A valid body is decoded in one call, a body with an invalid line line by line, so that the other
lines are accepted and the invalid ones named.
"""

import binascii
import re
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from lakebed.access.principals import Principal
from lakebed.http.problems import TooLarge
from lakebed.ingest.keys import sent_key
from lakebed.ingest.offers import Columns
from lakebed.sources.http.targets import Over, channel_of
from lakebed.vocabulary.errors import Denied
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.sparse import Sparse
from lakebed.vocabulary.time_parsing import SENT_TIMES, parse_time
from lakebed.vocabulary.times import UNSET as NO_TIME
from lakebed.vocabulary.times import Micros

MOST_LINES = 1_000_000
"""Most messages in one body."""

MOST_REJECTED = 10_000
"""Most invalid lines named in one answer; further ones are only counted."""

LONGEST_ID = 1024
"""Most bytes of a message id."""

BOM = b"\xef\xbb\xbf"
"""A mark that some programs write before UTF-8; it is not part of the first line."""

_QUOTE = 0x22
_REMEMBERED = 50_000  # topics of one sender

Id: TypeAlias = int | str
"""A whole number, which is another id than a text of its digits; "" is none."""

Message: TypeAlias = tuple[Channel, bytes, Micros, Id]
"""Channel, payload, event time and id."""


class Line(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """One line of a batch."""

    topic: str
    value: msgspec.Raw | UnsetType = UNSET
    payload_base64: str | UnsetType = UNSET
    time: int | float | str | UnsetType = UNSET
    id: int | str | UnsetType = UNSET


class Event(msgspec.Struct, gc=False):
    """The fields of an event that are read; the whole event becomes the payload."""

    name: str
    time: int | float | str | UnsetType = UNSET
    id: int | str | UnsetType = UNSET


@dataclass(slots=True)
class Decoded:
    """Messages for the intake, and the lines (counted from 1) that were rejected.

    Attributes:
        channels, payloads, events, ids: parallel columns of the messages; event `NO_TIME` and id ""
            if the sender gave none.
        rejected: number and error of invalid lines, up to MOST_REJECTED; `refused` counts all.
    """

    channels: list[Channel] = field(default_factory=list)
    payloads: list[bytes] = field(default_factory=list)
    events: list[Micros] = field(default_factory=list)
    ids: list[Id] = field(default_factory=list)
    rejected: list[dict[str, Any]] = field(default_factory=list)
    refused: int = 0

    def take(self, channel: Channel, payload: bytes, event: Micros, id: Id) -> None:
        self.channels.append(channel)
        self.payloads.append(payload)
        self.events.append(event)
        self.ids.append(id)

    def reject(self, line: int, error: Exception) -> None:
        self.refused += 1
        if len(self.rejected) < MOST_REJECTED:
            self.rejected.append({"line": line, "error": _sentence(error)})

    def columns(self, sender: str, received: Micros) -> Columns:
        """The accepted messages, to be offered to the intake.

        Args:
            sender: the owner that the sender belongs to.
        """
        event = ids = keys = None
        if self.events.count(NO_TIME) < len(self.events):
            event = self.events
        if self.ids.count("") < len(self.ids):
            ids = list(map(str, self.ids))
            pairs = zip(self.channels, self.ids, strict=True)
            keys = [b"" if id == "" else sent_key(channel, sender, id) for channel, id in pairs]
        return Columns(self.channels, self.payloads, received, Sparse(event, ids, keys))


class Sender:
    """Finds the channels of a principal's topics, and caches them. Thread-safe.

    Args:
        owner: whose topics are meant that name no owner; "" for the principal's own.
    """

    def __init__(
        self,
        principal: Principal,
        limit: int,
        over: Over = lambda owner, topic: None,
        owner: str = "",
    ) -> None:
        self._over = over
        self._owner = owner or principal.owner
        self.principal = principal
        self.limit = limit
        self.known: dict[str, Channel] = {}

    def channel(self, topic: str) -> Channel:
        """The channel of a topic. Raises ValueError if it is invalid, Denied if it is forbidden."""
        known = self.known.get(topic)
        if known is None:
            known = channel_of(self.principal, self._owner, topic, self._over)
            if len(self.known) >= _REMEMBERED:
                self.known.clear()
            self.known[topic] = known
        return known

    def check_size(self, payload: bytes) -> bytes:
        if len(payload) > self.limit:
            raise ValueError(f"the payload is longer than the {self.limit} bytes that are allowed")
        return payload


_LINE = msgspec.json.Decoder(Line)
_EVENT = msgspec.json.Decoder(Event)
_PARTS = msgspec.json.Decoder(list[msgspec.Raw])
_TELEGRAF = re.compile(rb'\{\s*"metrics"\s*:\s*\[')
_BAD = (ValueError, msgspec.MsgspecError, RecursionError, Denied)


def batch(body: bytes, sender: Sender) -> Decoded:
    """NDJSON lines `{"topic", "value" or "payload_base64", "time"?, "id"?}`.

    Raises:
        TooLarge: more than MOST_LINES lines.
    """
    body = body.removeprefix(BOM)
    lines = _count_lines(body)
    try:
        body.decode()  # msgspec leaves the inside of `value` unchecked
        decoded = _LINE.decode_lines(body)
        if len(decoded) == lines:
            return _columns(decoded, sender)
    except _BAD:
        pass  # decoding line by line says which line
    found = Decoded()
    return _one_by_one(
        found, _split(body), lambda raw: found.take(*_message(_LINE.decode(raw), sender))
    )


def events(body: bytes, sender: Sender) -> Decoded:
    """One event, an array of events, or NDJSON with one event per line.

    Raises:
        TooLarge: more than MOST_LINES events.
    """
    found = Decoded()
    parts = _events(body.removeprefix(BOM))
    return _one_by_one(found, parts, lambda raw: found.take(*_event(raw, sender)))


def _events(body: bytes) -> Iterable[tuple[int, bytes]]:
    text = body.strip()
    if text[:1] == b"[":
        try:
            parts = _PARTS.decode(text)
        except (msgspec.MsgspecError, RecursionError, ValueError):
            return [(1, text)]  # decoding it as an event says what is wrong
        if len(parts) > MOST_LINES:
            raise _too_many()
        return [(number, bytes(part)) for number, part in enumerate(parts, 1)]
    if b"\n" in text and _is_one(text):
        return [(1, text)]
    _count_lines(body)
    return _split(body)


def _is_one(text: bytes) -> bool:
    """Whether a text is a single JSON value that is formatted over several lines."""
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except _BAD:
        return False
    return True


def _count_lines(body: bytes) -> int:
    lines = body.count(b"\n") + (not body.endswith(b"\n"))
    if lines > MOST_LINES:
        raise _too_many()
    return lines


def _too_many() -> TooLarge:
    return TooLarge("body", f"it holds more than {MOST_LINES} messages: send it in pieces")


def _split(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Lines that are not blank, with their numbers."""
    for number, line in enumerate(body.split(b"\n"), 1):
        if stripped := line.strip():
            yield number, stripped


def _one_by_one(
    found: Decoded, parts: Iterable[tuple[int, bytes]], take: Callable[[bytes], None]
) -> Decoded:
    for number, raw in parts:
        try:
            raw.decode()
            take(raw)
        except _BAD as error:
            found.reject(number, _explained(raw, error))
    return found


def _explained(raw: bytes, error: Exception) -> Exception:
    """What is wrong; of what Telegraf sends as JSON, where it belongs."""
    if _TELEGRAF.match(raw) is None:
        return error
    return ValueError(
        "this is Telegraf's JSON, whose metrics have no topics: send them to /write, with"
        ' data_format = "influx"'
    )


def _columns(decoded: list[Line], sender: Sender) -> Decoded:
    """Decode column by column; after any error the body is decoded line by line."""
    known = sender.known
    channels = [known.get(line.topic) or sender.channel(line.topic) for line in decoded]
    payloads = [_payload(line) for line in decoded]
    if max(map(len, payloads), default=0) > sender.limit:
        raise ValueError("a payload is too long")
    events = [
        NO_TIME if line.time is UNSET else parse_time(line.time, SENT_TIMES) for line in decoded
    ]
    ids = [_id(line.id) for line in decoded]
    return Decoded(channels, payloads, events, ids)


def _message(line: Line, sender: Sender) -> Message:
    return (
        sender.channel(line.topic),
        sender.check_size(_payload(line)),
        _time(line.time),
        _id(line.id),
    )


def _payload(line: Line) -> bytes:
    if line.value is UNSET:
        if line.payload_base64 is UNSET:
            raise ValueError("it needs `value` or `payload_base64`")
        return from_base64(line.payload_base64)
    if line.payload_base64 is not UNSET:
        raise ValueError("it may have `value` or `payload_base64`, not both")
    return payload_of(line.value)


def payload_of(value: msgspec.Raw) -> bytes:
    """The payload of a value: the text of a string, the JSON text of any other value."""
    raw = bytes(value)
    if raw[0] != _QUOTE:
        return raw
    if b"\\" not in raw:
        return raw[1:-1]
    return msgspec.json.decode(raw, type=str).encode()


def from_base64(text: str, field: str = "payload_base64") -> bytes:
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"`{field}` is not base64 (RFC 4648 section 4)") from None


def _event(raw: bytes, sender: Sender) -> Message:
    event = _EVENT.decode(raw)
    if not event.name:
        raise ValueError("`name` must not be empty")
    return (
        sender.channel(f"events/{event.name}"),
        sender.check_size(raw),
        _time(event.time),
        _id(event.id),
    )


def _time(given: int | float | str | UnsetType) -> Micros:
    return NO_TIME if given is UNSET else parse_time(given, SENT_TIMES)


def _id(given: Id | UnsetType) -> Id:
    if given is UNSET:
        return ""
    check_id(str(given))
    return given


def check_id(id: str) -> str:
    """Check an id. Raises ValueError if it is invalid."""
    if not 1 <= len(id.encode()) <= LONGEST_ID or "\0" in id:
        raise ValueError(f"an id is text of 1 to {LONGEST_ID} bytes without NUL")
    return id


def _sentence(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return str(error)
