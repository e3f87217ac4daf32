"""PUBLISH: encoded one by one, decoded into runs of columns (MQTT 5 section 3.3)."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from lakebed.sources.mqtt.codec import properties as props
from lakebed.sources.mqtt.codec import wire
from lakebed.sources.mqtt.codec.properties import Properties
from lakebed.sources.mqtt.codec.reasons import Reason
from lakebed.sources.mqtt.codec.wire import V5
from lakebed.vocabulary.attributes import Attributes
from lakebed.vocabulary.times import Micros

T = TypeVar("T")


@dataclass(slots=True)
class Run(Generic[T]):
    """Consecutive publishes of one QoS, as parallel columns.

    Attributes:
        qos: of all of them.
        targets: the resolved topic of each.
        packet_ids: two bytes each, as received; empty at QoS 0.
        event: event times or `UNSET`; None where no message of the run has one.
        ids: idempotency ids, "" where a message has none; None where no message has one.
        attributes: of each message, or None; None where none are recorded of single messages.
    """

    qos: int
    targets: list[T]
    payloads: list[bytes]
    packet_ids: list[bytes]
    event: list[Micros] | None = None
    ids: list[str] | None = None
    attributes: list[Attributes | None] | None = None

    def __len__(self) -> int:
        return len(self.payloads)

    def cut(self, at: int) -> None:
        """Drop all but the first `at` messages."""
        for column in (
            self.targets, self.payloads, self.packet_ids, self.event, self.ids, self.attributes,
        ):  # fmt: skip
            if column is not None:
                del column[at:]


@dataclass(frozen=True, slots=True)
class Refused:
    """A well-formed publish that is refused; it must be answered with `reason`."""

    qos: int
    packet_id: bytes
    reason: Reason
    text: str


def publish(
    topic: str,
    payload: bytes,
    qos: int = 0,
    packet_id: int = 0,
    *,
    version: int = V5,
    retain: bool = False,
    duplicate: bool = False,
    properties: Properties | None = None,
) -> bytes:
    """Encode a PUBLISH packet; `packet_id` is for QoS 1 and 2 only."""
    parts = [wire.text(topic)]
    if qos:
        parts.append(wire.u16(packet_id))
    if version == V5:
        parts.append(props.encode(properties) if properties else b"\0")
    parts.append(payload)
    return wire.packet(0x30 | duplicate << 3 | qos << 1 | retain, *parts)
