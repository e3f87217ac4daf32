"""MQTT 5 properties (section 2.2.2): a table of their types, packets and bounds.

Parsed, they are a dict by name; `user_property` is a list of pairs and `subscription_identifier`
a list of numbers, because only these two may appear more than once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lakebed.sources.mqtt.codec import wire
from lakebed.sources.mqtt.codec.reasons import ProtocolError, Reason, malformed, violation
from lakebed.sources.mqtt.codec.wire import Reader

Properties = Mapping[str, Any]
Kind = Literal["byte", "u16", "u32", "varint", "text", "binary", "pair"]


@dataclass(frozen=True, slots=True)
class Property:
    """One row of table 2-4; the value lies between `low` and `high`, both included."""

    code: int
    name: str
    kind: Kind
    packets: frozenset[str]
    low: int = 0
    high: int = 2**32 - 1

    @property
    def repeats(self) -> bool:
        return self.name in ("user_property", "subscription_identifier")


def _row(code: int, name: str, kind: Kind, packets: str, low: int = 0, high: int = 2**32 - 1) -> (
    Property
):  # fmt: skip
    return Property(code, name, kind, frozenset(packets.split()), low, high)


_ALL = (
    "connect connack publish puback pubrec pubrel pubcomp subscribe suback unsubscribe unsuback "
    "disconnect auth will"
)
_ANSWERS = "connack puback pubrec pubrel pubcomp suback unsuback disconnect auth"

TABLE = (
    _row(0x01, "payload_format_indicator", "byte", "publish will", high=1),
    _row(0x02, "message_expiry_interval", "u32", "publish will"),
    _row(0x03, "content_type", "text", "publish will"),
    _row(0x08, "response_topic", "text", "publish will"),
    _row(0x09, "correlation_data", "binary", "publish will"),
    _row(0x0B, "subscription_identifier", "varint", "publish subscribe", low=1),
    _row(0x11, "session_expiry_interval", "u32", "connect connack disconnect"),
    _row(0x12, "assigned_client_identifier", "text", "connack"),
    _row(0x13, "server_keep_alive", "u16", "connack"),
    _row(0x15, "authentication_method", "text", "connect connack auth"),
    _row(0x16, "authentication_data", "binary", "connect connack auth"),
    _row(0x17, "request_problem_information", "byte", "connect", high=1),
    _row(0x18, "will_delay_interval", "u32", "will"),
    _row(0x19, "request_response_information", "byte", "connect", high=1),
    _row(0x1A, "response_information", "text", "connack"),
    _row(0x1C, "server_reference", "text", "connack disconnect"),
    _row(0x1F, "reason_string", "text", _ANSWERS),
    _row(0x21, "receive_maximum", "u16", "connect connack", low=1),
    _row(0x22, "topic_alias_maximum", "u16", "connect connack"),
    _row(0x23, "topic_alias", "u16", "publish", low=1),
    _row(0x24, "maximum_qos", "byte", "connack", high=1),
    _row(0x25, "retain_available", "byte", "connack", high=1),
    _row(0x26, "user_property", "pair", _ALL),
    _row(0x27, "maximum_packet_size", "u32", "connect connack", low=1),
    _row(0x28, "wildcard_subscription_available", "byte", "connack", high=1),
    _row(0x29, "subscription_identifier_available", "byte", "connack", high=1),
    _row(0x2A, "shared_subscription_available", "byte", "connack", high=1),
)
_BY_CODE = {row.code: row for row in TABLE}
_BY_NAME = {row.name: row for row in TABLE}


def parse(reader: Reader, packet: str) -> dict[str, Any]:
    """Decode the properties of one packet; `packet` is its name, or "will".

    Raises:
        ProtocolError: a property is unknown, not allowed in this packet, out of bounds, or there
            twice although it may not repeat.
    """
    end = reader.varint() + reader.at
    if end > reader.end:
        raise malformed("properties are longer than their packet")
    body = Reader(reader.data, reader.at, end)
    reader.at = end
    found: dict[str, Any] = {}
    while len(body):
        row = _BY_CODE.get(body.varint())
        if row is None or packet not in row.packets:
            raise malformed(f"a property does not belong into {packet.upper()}")
        value = _read(body, row)
        if row.repeats:
            found.setdefault(row.name, []).append(value)
        elif row.name in found:
            raise violation(f"property {row.name} is there twice")
        else:
            found[row.name] = value
    return found


def _read(body: Reader, row: Property) -> Any:
    if row.kind == "pair":
        return body.text(), body.text()
    value = getattr(body, row.kind)()
    if isinstance(value, int) and not row.low <= value <= row.high:
        text = f"property {row.name} must not be {value}"
        if row.name == "topic_alias":
            raise ProtocolError(Reason.TOPIC_ALIAS_INVALID, text)
        raise violation(text)
    return value


def encode(properties: Properties) -> bytes:
    """Encode properties, with their length in front."""
    parts: list[bytes] = []
    for name, value in properties.items():
        row = _BY_NAME[name]
        for one in value if row.repeats else (value,):
            parts.append(bytes((row.code,)))
            parts.append(_write(row.kind, one))
    body = b"".join(parts)
    return wire.varint(len(body)) + body


def _write(kind: Kind, value: Any) -> bytes:
    match kind:
        case "byte":
            return bytes((value,))
        case "u16":
            return wire.u16(value)
        case "u32":
            return wire.u32(value)
        case "varint":
            return wire.varint(value)
        case "text":
            return wire.text(value)
        case "binary":
            return wire.binary(value)
        case "pair":
            return wire.text(value[0]) + wire.text(value[1])
