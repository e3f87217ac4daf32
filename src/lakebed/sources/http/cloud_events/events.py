"""Decodes CloudEvents into messages: the data is the payload.

    id     ──┬──> id of the message, once within its topic
    source ──┘                                        source, type, subject, …
    time   ─────> event time                             └──> topic, properties

An event has the same payload however it is sent.
"""

import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

import msgspec

from lakebed.http.problems import TooLarge
from lakebed.sources.http import ndjson
from lakebed.sources.http.ndjson import MOST_LINES, Decoded, Sender
from lakebed.vocabulary.errors import BadRequest, Denied, show
from lakebed.vocabulary.time_parsing import SENT_TIMES, parse_time
from lakebed.vocabulary.times import UNSET as NO_TIME
from lakebed.vocabulary.topic_templates import fill, level, tag_levels

MOST_ATTRIBUTES = 100
"""Most attributes of an event."""

_PREFIX = b"ce-"
_REQUIRED = ("id", "source", "type")
_NOT_PROPERTIES = ("id", "time", "specversion", "datacontenttype")
_NOT_MEMBERS = (*_NOT_PROPERTIES, "type")
_NAME = re.compile("[a-z0-9]{1,100}")
_NO_SOURCE = re.compile("[\x00-\x20\x7f]")
_RAW = msgspec.json.Decoder(dict[str, msgspec.Raw])
_VALUE = msgspec.json.Decoder(str | bool | int | None)
_PARTS = msgspec.json.Decoder(list[msgspec.Raw])
_ONE = msgspec.json.Decoder(msgspec.Raw)
_BAD = (ValueError, msgspec.MsgspecError, RecursionError, Denied)

Properties = tuple[tuple[str, str], ...]
Payload = Callable[["Event"], bytes]
"""What becomes the payload of an event's message."""


class Event(NamedTuple):
    """An event.

    Attributes:
        attributes: of its context, by name.
        payload: its data.
    """

    attributes: Mapping[str, str]
    payload: bytes


def data_of(event: Event) -> bytes:
    """The data of an event."""
    return event.payload


def object_of(event: Event) -> bytes:
    """The data of an event as a JSON object, with the attributes beside it.

    A member of the data goes before an attribute of its name. Data that is no object is the member
    `data`, or `data_base64` where it is no text.
    """
    attributes, payload = event
    members: dict[str, Any] = {
        name: value for name, value in attributes.items() if name not in _NOT_MEMBERS
    }
    if not payload:
        return msgspec.json.encode(members)
    if _is_json(attributes.get("datacontenttype", "application/json")):
        payload.decode()  # msgspec leaves the inside of values unchecked
        if payload.lstrip()[:1] == b"{":
            return msgspec.json.encode(members | _RAW.decode(payload))
        return msgspec.json.encode(members | {"data": _ONE.decode(payload)})
    try:
        return msgspec.json.encode(members | {"data": payload.decode()})
    except UnicodeDecodeError:
        return msgspec.json.encode(members | {"data_base64": b64encode(payload).decode()})


class Events(NamedTuple):
    """The events of a request.

    Attributes:
        found: their messages, and those that are rejected, counted from 1.
        surroundings: of each message its content type and its properties.
    """

    found: Decoded
    surroundings: list[tuple[str, Properties]]


def binary(
    headers: Mapping[bytes, bytes],
    body: bytes,
    sender: Sender,
    template: str,
    payload: Payload = data_of,
) -> Events:
    """An event whose attributes are headers, and whose data is the body.

    Raises:
        BadRequest: it is none.
    """
    attributes: dict[str, str] = {}
    try:
        for name, value in headers.items():
            if name.startswith(_PREFIX):
                attributes[name[len(_PREFIX) :].decode()] = _header(value)
        if (media := headers.get(b"content-type")) is not None:
            attributes["datacontenttype"] = media.decode("latin-1")
        return _single(Event(attributes, body), sender, template, payload)
    except _BAD as error:
        raise _wrong(error) from None


def structured(body: bytes, sender: Sender, template: str, payload: Payload = data_of) -> Events:
    """An event that is JSON.

    Raises:
        BadRequest: it is none.
        Denied: it may not be published to its topic.
    """
    try:
        return _single(_event(body.removeprefix(ndjson.BOM)), sender, template, payload)
    except _BAD as error:
        raise _wrong(error) from None


def batched(body: bytes, sender: Sender, template: str, payload: Payload = data_of) -> Events:
    """An array of events that are JSON.

    Raises:
        BadRequest: it is none.
        TooLarge: it holds more than MOST_LINES events.
    """
    try:
        parts = _PARTS.decode(body.removeprefix(ndjson.BOM))
    except _BAD as error:
        raise _wrong(error) from None
    if len(parts) > MOST_LINES:
        raise TooLarge("body", f"it holds more than {MOST_LINES} events: send it in pieces")
    events = Events(Decoded(), [])
    for number, part in enumerate(parts, 1):
        try:
            _take(events, _event(bytes(part)), sender, template, payload)
        except _BAD as error:
            events.found.reject(number, error)
    return events


def _wrong(error: Exception) -> Exception:
    if isinstance(error, (BadRequest, Denied)):
        return error
    if isinstance(error, UnicodeDecodeError):
        return BadRequest("event", "it is not UTF-8")
    if isinstance(error, RecursionError):
        return BadRequest("event", "it is nested too deeply")
    return BadRequest("event", str(error))


def _header(value: bytes) -> str:
    """Section 3.1.3.2 of the binding: characters beyond ASCII are percent-encoded UTF-8."""
    text = value.decode("latin-1").strip()
    if text[:1] == '"' and text[-1:] == '"' and len(text) > 1:
        text = re.sub(r"\\(.)", r"\1", text[1:-1])
    return unquote_to_bytes(text.encode("latin-1")).decode()


def _event(raw: bytes) -> Event:
    """Sections 2 and 3 of the format."""
    raw.decode()  # msgspec leaves the inside of `data` unchecked
    members = _RAW.decode(raw)
    data, encoded = members.pop("data", None), members.pop("data_base64", None)
    if len(members) > MOST_ATTRIBUTES:
        raise _too_many()
    given = {name: _VALUE.decode(value) for name, value in members.items()}
    attributes = {name: _text(value) for name, value in given.items() if value is not None}
    if encoded is not None and bytes(encoded) != b"null":
        if data is not None:
            raise ValueError("it may have `data` or `data_base64`, not both")
        return Event(
            attributes, ndjson.from_base64(msgspec.json.decode(encoded, type=str), "data_base64")
        )
    if data is None:
        return Event(attributes, b"")
    if _is_json(attributes.get("datacontenttype", "application/json")):
        return Event(attributes, bytes(data))
    return Event(attributes, ndjson.payload_of(data))


def _text(value: str | bool | int) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _is_json(media: str) -> bool:
    kind = media.partition(";")[0].strip().lower()
    return kind.endswith(("/json", "+json"))


def _single(event: Event, sender: Sender, template: str, payload: Payload) -> Events:
    events = Events(Decoded(), [])
    _take(events, event, sender, template, payload)
    return events


def _take(events: Events, event: Event, sender: Sender, template: str, payload: Payload) -> None:
    attributes = event.attributes
    _check(attributes)
    channel = sender.channel(_topic(attributes, template))
    # an id is one of its source, and several sources may share a topic; no source has a space
    id = ndjson.check_id(f"{attributes['source']} {attributes['id']}")
    time = attributes.get("time", "")
    moment = parse_time(time, SENT_TIMES) if time else NO_TIME
    events.found.take(channel, sender.check_size(payload(event)), moment, id)
    named = tuple(one for one in attributes.items() if one[0] not in _NOT_PROPERTIES)
    events.surroundings.append((attributes.get("datacontenttype", ""), named))


def _check(attributes: Mapping[str, str]) -> None:
    """Sections "Context Attributes" and "Type System" of the specification."""
    if len(attributes) > MOST_ATTRIBUTES:
        raise _too_many()
    version = attributes.get("specversion", "")
    if version != "1.0":
        raise ValueError(f"`specversion` is 1.0, not {show(version)}")
    for name in _REQUIRED:
        if not attributes.get(name):
            raise ValueError(f"it needs `{name}`")
    for name in attributes:
        if _NAME.fullmatch(name) is None:
            raise ValueError(f"{show(name)} is no name: it has lower-case letters and digits")
    if _NO_SOURCE.search(attributes["source"]) is not None:
        raise ValueError("`source` is a URI reference, which has neither spaces nor controls")


def _too_many() -> ValueError:
    return ValueError(f"it has more than {MOST_ATTRIBUTES} attributes")


def _topic(attributes: Mapping[str, str], template: str) -> str:
    levels = {
        "TYPE": [level(attributes["type"])],
        "SOURCE": _segments(attributes["source"]),
        "SUBJECT": _segments(attributes.get("subject", "")),
        **tag_levels(template, {}, more=attributes),
    }
    return fill(template, levels)


def _segments(path: str) -> list[str]:
    """A level for each segment that is not empty."""
    return [level(segment) for segment in path.split("/") if segment]
