"""Counters of an endpoint or a client, read by the metrics."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client import Metric


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

    def metrics(self) -> "Iterator[Metric]":
        """The metric families for /metrics."""
        by_qos = {str(qos): count for qos, count in enumerate(self.publishes)}
        yield _counter("publishes", "Messages received by MQTT.", "qos", by_qos)
        yield _counter("refused", "MQTT messages not taken.", "reason", self.refused)
        yield _counter("disconnects", "MQTT connections ended.", "reason", self.disconnects)
        events = {"resent": self.resent, "wills": self.wills, "connections": self.connections}
        yield _counter("events", "What else happened at the MQTT endpoint.", "event", events)
        feed = {"delivered": self.delivered, "dropped": self.dropped}
        yield _counter("feed", "Messages of the live feed.", "outcome", feed)


def _counter(name: str, text: str, label: str, counts: Mapping[str, int]) -> "Metric":
    from prometheus_client.core import CounterMetricFamily

    family = CounterMetricFamily(f"lakebed_mqtt_{name}", text, labels=[label])
    for value, count in sorted(counts.items()):
        family.add_metric([value], count)
    return family
