"""PUBLISH: encoded one by one, decoded into runs of columns (MQTT 5 section 3.3)."""

from collections.abc import Sequence
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
V = TypeVar("V")


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
        duplicate: whether they may have been sent before (DUP); only looked at with QoS 1, where
            it makes a run of its own.
        retained: whether a broker held them when it got our subscription (RETAIN); they make a run
            of their own where the decoder is told to.
    """

    qos: int
    targets: list[T]
    payloads: list[bytes]
    packet_ids: list[bytes]
    event: list[Micros] | None = None
    ids: list[str] | None = None
    attributes: list[Attributes | None] | None = None
    duplicate: bool = False
    retained: bool = False

    def __len__(self) -> int:
        return len(self.payloads)

    def only(self, places: Sequence[int]) -> "Run[T]":
        """A run of the messages at these places."""

        def of(column: list[V]) -> list[V]:
            return [column[place] for place in places]

        return Run(
            self.qos,
            of(self.targets),
            of(self.payloads),
            of(self.packet_ids) if self.packet_ids else [],
            None if self.event is None else of(self.event),
            None if self.ids is None else of(self.ids),
            None if self.attributes is None else of(self.attributes),
            retained=self.retained,
        )

    def cut(self, at: int) -> None:
        """Drop all but the first `at` messages."""
        for column in (
            self.targets, self.payloads, self.packet_ids, self.event, self.ids, self.attributes,
        ):  # fmt: skip
            if column is not None:
                del column[at:]


@dataclass(frozen=True, slots=True)
class Refused:
    """A well-formed publish that is refused; it must be answered with `reason`.

    Attributes:
        topic: as it was sent.
        payload: of a packet over the maximum only its beginning.
        size: bytes of the payload.
        temporary: sent again later, it may be taken.
    """

    qos: int
    packet_id: bytes
    reason: Reason
    text: str
    topic: str = ""
    payload: bytes = b""
    size: int = 0
    temporary: bool = False


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
