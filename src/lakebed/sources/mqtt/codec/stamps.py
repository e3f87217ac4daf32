"""Reads event time and id of a message from its user properties `time` and `id` (MQTT 5)."""

from collections.abc import Collection, Mapping
from typing import Any

from lakebed.sources.mqtt.codec.reasons import ProtocolError, Reason, Refuse
from lakebed.sources.mqtt.codec.wire import decode_text
from lakebed.vocabulary.time_parsing import SENT_TIMES, parse_time
from lakebed.vocabulary.times import UNSET, Micros

_USER_PROPERTY = 0x26

STAMPS = frozenset(("id", "time"))
"""User properties that are columns of their own."""


def read_stamps(data: bytes, at: int, end: int) -> tuple[Micros, str] | None:
    """Read event time and id from data[at:end]; None unless all is valid user properties."""
    event, identifier = UNSET, ""
    try:
        while at < end:
            key_end = at + 3 + (data[at + 1] << 8 | data[at + 2])
            value = key_end + 2
            stop = value + (data[key_end] << 8 | data[key_end + 1])
            key = data[at + 3 : key_end]
            if data[at] != _USER_PROPERTY or stop > end or (key == b"id" and stop == value):
                return None
            text = decode_text(data[value:stop])
            if key == b"id":
                identifier = text
            elif key == b"time":
                event = parse_time(text, SENT_TIMES)
            else:
                decode_text(key)
            at = stop
    except (IndexError, ValueError, ProtocolError):
        return None
    return (event, identifier) if identifier or event != UNSET else None


def message_properties(
    payload: bytes, found: Mapping[str, Any], stamps: Collection[str] = STAMPS
) -> tuple[Micros, str]:
    """Read a message's event time and id from its user properties `time` and `id`.

    Args:
        stamps: which of the two count.

    Raises:
        Refuse: the time is invalid, the id is empty, or the payload is said to be UTF-8 but is not.
    """
    event, identifier = UNSET, ""
    if found.get("payload_format_indicator"):
        try:
            payload.decode()
        except UnicodeDecodeError:
            raise Refuse(Reason.PAYLOAD_FORMAT_INVALID, "the payload is not UTF-8") from None
    for key, value in found.get("user_property", ()):
        if key not in stamps:
            continue
        if key == "time":
            try:
                event = parse_time(value, SENT_TIMES)
            except ValueError as error:
                raise Refuse(Reason.IMPLEMENTATION_SPECIFIC_ERROR, f"time: {error}") from None
        elif key == "id":
            if not value:
                raise Refuse(Reason.IMPLEMENTATION_SPECIFIC_ERROR, "id: it is empty")
            identifier = value
    return event, identifier
