"""PUBACK, PUBREC, PUBREL, PUBCOMP and the pings (MQTT 5 sections 3.4 to 3.7, 3.12, 3.13)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from lakebed.sources.mqtt.codec import properties as props
from lakebed.sources.mqtt.codec import wire
from lakebed.sources.mqtt.codec.handshake import no_flags
from lakebed.sources.mqtt.codec.properties import Properties
from lakebed.sources.mqtt.codec.reasons import malformed
from lakebed.sources.mqtt.codec.wire import V5, Reader

PUBACK, PUBREC, PUBREL, PUBCOMP = 4, 5, 6, 7
PINGREQ = b"\xc0\x00"
PINGRESP = b"\xd0\x00"

_PLAIN = {kind: bytes((kind << 4 | 2 * (kind == PUBREL), 2)) for kind in (4, 5, 6, 7)}
_NAMES = {PUBACK: "puback", PUBREC: "pubrec", PUBREL: "pubrel", PUBCOMP: "pubcomp"}


def answers(kind: int, packet_ids: Sequence[bytes]) -> bytes:
    """One successful answer of `kind` for each packet id (two bytes as they came), in order."""
    head = _PLAIN[kind]
    return head + head.join(packet_ids) if packet_ids else b""


@dataclass(frozen=True, slots=True)
class Answer:
    """A PUBACK, PUBREC, PUBREL or PUBCOMP, as `kind` says: they have one format."""

    kind: int
    packet_id: int
    reason: int = 0
    properties: Properties = field(default_factory=dict)

    def encode(self, version: int) -> bytes:
        head, number = _PLAIN[self.kind], wire.u16(self.packet_id)
        if version != V5 or not (self.reason or self.properties):
            return head + number
        tail = props.encode(self.properties) if self.properties else b""
        return wire.packet(head[0], number, bytes((self.reason,)), tail)

    @classmethod
    def decode(cls, kind: int, body: Reader, flags: int, version: int) -> "Answer":
        name = _NAMES[kind]
        if flags != 2 * (kind == PUBREL):
            raise malformed(f"reserved flags of {name.upper()} are wrong")
        packet_id = body.packet_id()
        five = version == V5
        reason = body.byte() if five and len(body) else 0
        properties = props.parse(body, name) if five and len(body) else {}
        body.finish()
        return cls(kind, packet_id, reason, properties)


@dataclass(frozen=True, slots=True)
class Ping:
    """PINGREQ at the endpoint, PINGRESP at the client."""

    code: ClassVar[bytes] = PINGREQ

    @classmethod
    def decode(cls, body: Reader, flags: int, version: int) -> "Ping":
        no_flags(flags, "a ping")
        body.finish()
        return cls()
