"""SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK (MQTT 5 sections 3.8 to 3.11)."""

from dataclasses import dataclass, field

from lakebed.sources.mqtt.codec import properties as props
from lakebed.sources.mqtt.codec import wire
from lakebed.sources.mqtt.codec.handshake import no_flags
from lakebed.sources.mqtt.codec.properties import Properties
from lakebed.sources.mqtt.codec.reasons import malformed, violation
from lakebed.sources.mqtt.codec.wire import V5, Reader


@dataclass(frozen=True, slots=True)
class SubscriptionRequest:
    """One subscription of a SUBSCRIBE: the filter and its options."""

    filter: str
    qos: int = 0
    no_local: bool = False
    retain_as_published: bool = False
    retain_handling: int = 0

    @classmethod
    def decode(cls, body: Reader, version: int) -> "SubscriptionRequest":
        name, options = body.text(), body.byte()
        handling = options >> 4 & 3
        reserved = 0xC0 if version == V5 else 0xFC
        if options & reserved or options & 3 == 3:
            raise malformed("subscription options are out of bounds")
        if handling == 3:
            raise violation("retain handling is at most 2")
        return cls(name, options & 3, bool(options & 4), bool(options & 8), handling)

    def encode(self) -> bytes:
        options = (
            self.qos
            | self.no_local << 2
            | self.retain_as_published << 3
            | self.retain_handling << 4
        )
        return wire.text(self.filter) + bytes((options,))


@dataclass(frozen=True, slots=True)
class Subscribe:
    packet_id: int
    requests: tuple[SubscriptionRequest, ...]
    properties: Properties = field(default_factory=dict)

    @classmethod
    def decode(cls, body: Reader, flags: int, version: int) -> "Subscribe":
        if flags != 2:
            raise malformed("reserved flags of SUBSCRIBE are wrong")
        packet_id = body.packet_id()
        properties = props.parse(body, "subscribe") if version == V5 else {}
        if len(properties.get("subscription_identifier", ())) > 1:
            raise violation("a SUBSCRIBE with two subscription identifiers")
        requests = []
        while len(body):
            requests.append(SubscriptionRequest.decode(body, version))
        if not requests:
            raise violation("a SUBSCRIBE without filters")
        return cls(packet_id, tuple(requests), properties)

    def encode(self, version: int) -> bytes:
        head = wire.u16(self.packet_id)
        between = props.encode(self.properties) if version == V5 else b""
        return wire.packet(0x82, head, between, *(request.encode() for request in self.requests))


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    packet_id: int
    filters: tuple[str, ...]
    properties: Properties = field(default_factory=dict)

    @classmethod
    def decode(cls, body: Reader, flags: int, version: int) -> "Unsubscribe":
        if flags != 2:
            raise malformed("reserved flags of UNSUBSCRIBE are wrong")
        packet_id = body.packet_id()
        properties = props.parse(body, "unsubscribe") if version == V5 else {}
        filters = []
        while len(body):
            filters.append(body.text())
        if not filters:
            raise violation("an UNSUBSCRIBE without filters")
        return cls(packet_id, tuple(filters), properties)

    def encode(self, version: int) -> bytes:
        head = wire.u16(self.packet_id)
        between = props.encode(self.properties) if version == V5 else b""
        return wire.packet(0xA2, head, between, *map(wire.text, self.filters))


@dataclass(frozen=True, slots=True)
class SubAck:
    packet_id: int
    reasons: tuple[int, ...]
    properties: Properties = field(default_factory=dict)

    @classmethod
    def decode(cls, body: Reader, flags: int, version: int) -> "SubAck":
        no_flags(flags, "SUBACK")
        packet_id = body.packet_id()
        properties = props.parse(body, "suback") if version == V5 else {}
        return cls(packet_id, tuple(body.take(len(body))), properties)

    def encode(self, version: int) -> bytes:
        """Encode it; 3.1.1 has one code for every refusal, 0x80."""
        head = wire.u16(self.packet_id)
        if version == V5:
            return wire.packet(0x90, head, props.encode(self.properties), bytes(self.reasons))
        return wire.packet(0x90, head, bytes(min(reason, 0x80) for reason in self.reasons))


@dataclass(frozen=True, slots=True)
class UnsubAck:
    packet_id: int
    reasons: tuple[int, ...]
    properties: Properties = field(default_factory=dict)

    @classmethod
    def decode(cls, body: Reader, flags: int, version: int) -> "UnsubAck":
        no_flags(flags, "UNSUBACK")
        packet_id = body.packet_id()
        five = version == V5
        properties = props.parse(body, "unsuback") if five else {}
        reasons = tuple(body.take(len(body))) if five else ()
        body.finish()
        return cls(packet_id, reasons, properties)

    def encode(self, version: int) -> bytes:
        head = wire.u16(self.packet_id)
        if version == V5:
            return wire.packet(0xB0, head, props.encode(self.properties), bytes(self.reasons))
        return wire.packet(0xB0, head)
