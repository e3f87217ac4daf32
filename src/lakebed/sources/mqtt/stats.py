"""Counters of an endpoint or a client, read by the metrics."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from lakebed.ports.metrics import CounterMetric, Sample

PUBLISHES = CounterMetric("lakebed_mqtt_publishes_total", "Messages received by MQTT.", ("qos",))
REFUSED = CounterMetric("lakebed_mqtt_refused_total", "MQTT messages not taken.", ("reason",))
DISCONNECTS = CounterMetric(
    "lakebed_mqtt_disconnects_total", "MQTT connections ended.", ("reason",)
)
EVENTS = CounterMetric(
    "lakebed_mqtt_events_total", "What else happened at the MQTT endpoint.", ("event",)
)
FEED = CounterMetric("lakebed_mqtt_feed_total", "Messages of the live feed.", ("outcome",))


@dataclass(slots=True)
class Stats:
    """Counts since the start of the process.

    Attributes:
        connections: opened by devices, or by us to a broker.
        publishes: messages received, by QoS 0, 1, 2.
        resent: repeated QoS 2 messages, detected by their packet id.
        refused: messages not accepted, by reason.
        disconnects: ended connections, by reason; "closed" where the peer gave none.
        delivered, dropped: messages of the live feed sent, and left out for slow readers.
        wills: published because a connection broke.
    """

    connections: int = 0
    publishes: list[int] = field(default_factory=lambda: [0, 0, 0])
    resent: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    disconnects: Counter[str] = field(default_factory=Counter)
    delivered: int = 0
    dropped: int = 0
    wills: int = 0

    def metrics(self) -> Iterator[Sample]:
        """What the endpoint has counted."""
        for qos, count in enumerate(self.publishes):
            yield PUBLISHES(count, qos)
        for reason, count in sorted(self.refused.items()):
            yield REFUSED(count, reason)
        for reason, count in sorted(self.disconnects.items()):
            yield DISCONNECTS(count, reason)
        yield EVENTS(self.connections, "connections")
        yield EVENTS(self.resent, "resent")
        yield EVENTS(self.wills, "wills")
        yield FEED(self.delivered, "delivered")
        yield FEED(self.dropped, "dropped")
