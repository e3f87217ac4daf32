"""Records as columns, as JSON and as text, the same for every target.

    message   id topic time received   value: the JSON value or the text; payload: the bytes
    policy    id topic time received   policy, and the columns that the policy gave

A payload that is JSON is shown as it was sent. A string stands for the payload of its characters,
so what Lakebed shows, Lakebed reads back as the same bytes (`sources/http/ndjson.py`).
"""

from base64 import b64encode
from typing import Any, Final

import msgspec

from lakebed.ports.relays import TIMES, Record
from lakebed.vocabulary.times import to_rfc3339

OWN: Final = ("id", "topic", "time", "received", "policy", "what", "attributes", "payload")
"""Columns that every record has; what a policy gave does not replace them."""

_SCALARS = frozenset(b"-0123456789tfn{[")

_encoder = msgspec.json.Encoder()
encode = _encoder.encode


def json_value(payload: bytes) -> dict[str, Any]:
    """`{"value": …}` of a payload, or `{"payload_base64": …}` where it is no text."""
    if payload and payload[0] in _SCALARS and payload[-1] > 0x20 and b"\n" not in payload:
        try:
            msgspec.json.decode(payload)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            pass
        else:
            return {"value": msgspec.Raw(payload)}
    try:
        return {"value": payload.decode()}
    except UnicodeDecodeError:
        return {"payload_base64": b64encode(payload).decode()}


def shown(record: Record) -> dict[str, Any]:
    """The record as one JSON object on one line."""
    found: dict[str, Any] = {
        "id": record.id,
        "topic": record.topic,
        "time": to_rfc3339(record.time),
    }
    if record.payload is not None:
        found |= json_value(record.payload)
    for name, value in record.values.items():
        if name not in found:
            found[name] = to_rfc3339(value) if _is_time(name, value) else value
    found["received"] = to_rfc3339(record.received)
    if record.policy:
        found["policy"] = record.policy
        if record.what != "kept":
            found["what"] = record.what
    if record.attributes:
        found["attributes"] = record.attributes
    return found


def _is_time(name: str, value: object) -> bool:
    return name in TIMES and isinstance(value, int)


def body_of(record: Record) -> bytes:
    """What a target that takes payloads gets: the payload as it was sent, else `shown` as JSON."""
    return record.payload if record.payload is not None else encode(shown(record))


def text_of(record: Record, name: str) -> str:
    """A column as text, for names and keys; empty where the record has none."""
    match name:
        case "id" | "topic" | "policy" | "what":
            return str(getattr(record, name))
        case "time" | "received":
            return to_rfc3339(getattr(record, name))
        case "payload":
            return (record.payload or b"").decode(errors="replace")
    value = record.values.get(name, record.attributes.get(name))
    if value is None:
        return ""
    if _is_time(name, value):
        return to_rfc3339(value)
    return value if isinstance(value, str) else encode(value).decode()


def fields_of(record: Record) -> dict[str, float | bool | str]:
    """Numbers, truth values and texts of a record by name, for stores of time series.

    Those of a policy are its columns, without begin and end; those of a message the members of its
    JSON object, else `value`. What is nested or no text is left out.
    """
    found: dict[str, Any]
    if record.values:
        found = {name: value for name, value in record.values.items() if name not in TIMES}
    else:
        found = _members(record.payload or b"")
    shown = {name: value for name, value in found.items() if isinstance(value, int | float | str)}
    return {name: value for name, value in shown.items() if name}


def _members(payload: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(payload)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        try:
            value = payload.decode()
        except UnicodeDecodeError:
            return {}
    return value if isinstance(value, dict) else {"value": value}
