"""CONNECT, CONNACK, DISCONNECT and AUTH (MQTT 5 sections 3.1, 3.2, 3.14, 3.15)."""

from dataclasses import dataclass, field
from typing import Any

from lakebed.sources.mqtt.codec import properties as props
from lakebed.sources.mqtt.codec import wire
from lakebed.sources.mqtt.codec.properties import Properties
from lakebed.sources.mqtt.codec.reasons import ProtocolError, Reason, malformed, violation
from lakebed.sources.mqtt.codec.wire import V3, V5, V31, Reader

CONNECT_MAXIMUM = 2**17
"""Bytes of a CONNECT: an unauthenticated peer cannot make us buffer more."""

_LEVELS = {("MQIsdp", V31), ("MQTT", V3), ("MQTT", V5)}
_BRIDGE = 0x80
"""The bit of the protocol level by which bridges of Mosquitto say what they are, before MQTT 5."""
_RETURN_CODES = {  # CONNACK of 3.1.1, section 3.2.2.3
    Reason.UNSUPPORTED_PROTOCOL_VERSION: 1,
    Reason.CLIENT_IDENTIFIER_NOT_VALID: 2,
    Reason.SERVER_UNAVAILABLE: 3,
    Reason.SERVER_BUSY: 3,
    Reason.BAD_USER_NAME_OR_PASSWORD: 4,
    Reason.NOT_AUTHORIZED: 5,
}


@dataclass(frozen=True, slots=True)
class Will:
    """A message that the server publishes when the client's connection breaks."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    properties: Properties = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Connect:
    """The packet that opens a connection.

    Attributes:
        clean_start: Clean Session in 3.1.1.
        keep_alive: seconds; 0 for none.
        bridge: whether a broker says that it is a bridge.
    """

    client_id: str
    version: int = V5
    clean_start: bool = True
    keep_alive: int = 0
    username: str | None = None
    password: bytes | None = None
    will: Will | None = None
    properties: Properties = field(default_factory=dict)
    bridge: bool = False

    def encode(self) -> bytes:
        will = self.will
        flags = (
            self.clean_start << 1
            | (will is not None) << 2
            | (will.qos << 3 | will.retain << 5 if will else 0)
            | (self.password is not None) << 6
            | (self.username is not None) << 7
        )
        name = "MQIsdp" if self.version == V31 else "MQTT"
        level = self.version | _BRIDGE if self.bridge else self.version
        parts = [wire.text(name), bytes((level, flags)), wire.u16(self.keep_alive)]
        five = self.version == V5
        if five:
            parts.append(props.encode(self.properties))
        parts.append(wire.text(self.client_id))
        if will:
            if five:
                parts.append(props.encode(will.properties))
            parts += [wire.text(will.topic), wire.binary(will.payload)]
        if self.username is not None:
            parts.append(wire.text(self.username))
        if self.password is not None:
            parts.append(wire.binary(self.password))
        return wire.packet(0x10, *parts)


class UnknownVersion(ProtocolError):
    """CONNECT has an unsupported protocol level: `version`."""

    def __init__(self, version: int) -> None:
        super().__init__(
            Reason.UNSUPPORTED_PROTOCOL_VERSION, f"protocol level {version} is not 3, 4 or 5"
        )
        self.version = version


def take_connect(data: bytes) -> tuple[Connect, int] | None:
    """Decode the CONNECT that opens a connection; return it with its length, or None if incomplete.

    Raises:
        ProtocolError: the bytes are no CONNECT, or one larger than `CONNECT_MAXIMUM`.
    """
    if not data:
        return None
    if data[0] != 0x10:
        raise violation("a connection must begin with CONNECT")
    header = Reader(data, 1, min(len(data), 5))
    if all(byte > 127 for byte in data[1:5]) and len(data) < 5:
        return None
    length = header.varint()
    if length > CONNECT_MAXIMUM:
        raise ProtocolError(Reason.PACKET_TOO_LARGE, f"a CONNECT of {length} bytes")
    end = header.at + length
    if end > len(data):
        return None
    return _connect(Reader(data, header.at, end)), end


def _connect(body: Reader) -> Connect:
    name, level = body.text(), body.byte()
    bridge = level in (_BRIDGE | V31, _BRIDGE | V3)
    version = level & ~_BRIDGE if bridge else level
    if name not in ("MQTT", "MQIsdp"):
        raise ProtocolError(
            Reason.UNSUPPORTED_PROTOCOL_VERSION, f"the protocol is not MQTT but {name[:20]!r}"
        )
    if (name, version) not in _LEVELS:
        raise UnknownVersion(level)
    flags, keep_alive = body.byte(), body.u16()
    if flags & 1:
        raise malformed("the reserved flag of CONNECT is set")
    properties: dict[str, Any] = props.parse(body, "connect") if version == V5 else {}
    if "authentication_data" in properties and "authentication_method" not in properties:
        raise violation("authentication data without a method")
    client_id = body.text()
    will = _will(body, flags, version)
    username = body.text() if flags & 0x80 else None
    password = body.binary() if flags & 0x40 else None
    if version != V5 and password is not None and username is None:
        raise violation("a password without a user name needs MQTT 5")
    body.finish()
    return Connect(
        client_id,
        version,
        bool(flags & 2),
        keep_alive,
        username,
        password,
        will,
        properties,
        bridge,
    )


def _will(body: Reader, flags: int, version: int) -> Will | None:
    qos = flags >> 3 & 3
    if not flags & 4:
        if flags & 0x38:
            raise malformed("flags of a will without a will")
        return None
    if qos == 3:
        raise malformed("a will with QoS 3")
    properties = props.parse(body, "will") if version == V5 else {}
    topic = body.text()
    check_topic_name(topic)
    return Will(topic, body.binary(), qos, bool(flags & 0x20), properties)


def check_topic_name(topic: str) -> None:
    """Raise unless a topic name is non-empty and without wildcards (sections 3.3.2.1 and 4.7)."""
    if not topic:
        raise violation("a topic name is empty")
    if "+" in topic or "#" in topic:
        raise ProtocolError(Reason.TOPIC_NAME_INVALID, "a topic name contains a wildcard")


@dataclass(frozen=True, slots=True)
class ConnAck:
    session_present: bool = False
    reason: int = 0
    properties: Properties = field(default_factory=dict)

    def encode(self, version: int) -> bytes:
        if version != V5:
            reason = _RETURN_CODES.get(Reason(self.reason), 5) if self.reason else 0
            return wire.packet(0x20, bytes((self.session_present, reason)))
        head = bytes((self.session_present, self.reason))
        return wire.packet(0x20, head, props.encode(self.properties))

    @classmethod
    def decode(cls, body: Reader, flags: int, version: int) -> "ConnAck":
        """In 3.1.1 `reason` is the return code, 0 to 5."""
        no_flags(flags, "CONNACK")
        present, reason = body.byte(), body.byte()
        if present > 1 or (present and reason):
            raise malformed("reserved bits of CONNACK are set")
        properties = props.parse(body, "connack") if version == V5 else {}
        body.finish()
        return cls(bool(present), reason, properties)


@dataclass(frozen=True, slots=True)
class Disconnect:
    reason: int = 0
    properties: Properties = field(default_factory=dict)

    def encode(self, version: int) -> bytes:
        if version != V5 or not (self.reason or self.properties):
            return b"\xe0\x00"
        return wire.packet(0xE0, bytes((self.reason,)), props.encode(self.properties))

    @classmethod
    def decode(cls, body: Reader, flags: int, version: int) -> "Disconnect":
        no_flags(flags, "DISCONNECT")
        reason, properties = _tail(body, "disconnect") if version == V5 else (0, {})
        body.finish()
        return cls(reason, properties)


@dataclass(frozen=True, slots=True)
class Auth:
    """Extended authentication (section 4.12): decoded, always refused."""

    reason: int = 0
    properties: Properties = field(default_factory=dict)

    def encode(self, version: int) -> bytes:
        return wire.packet(0xF0, bytes((self.reason,)), props.encode(self.properties))

    @classmethod
    def decode(cls, body: Reader, flags: int, version: int) -> "Auth":
        if version != V5:
            raise malformed("AUTH needs MQTT 5")
        no_flags(flags, "AUTH")
        reason, properties = _tail(body, "auth")
        body.finish()
        return cls(reason, properties)


def _tail(body: Reader, packet: str) -> tuple[int, dict[str, Any]]:
    reason = body.byte() if len(body) else 0
    return reason, props.parse(body, packet) if len(body) else {}


def no_flags(flags: int, name: str) -> None:
    if flags:
        raise malformed(f"reserved flags of {name} are set")
