"""Counters of a listener, read by metrics and health."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from lakebed.ports.health import Health
from lakebed.ports.metrics import CounterMetric, GaugeMetric, Sample

MESSAGES = CounterMetric(
    "lakebed_listener_messages_total",
    "Messages taken by listeners without acknowledgements.",
    ("listener", "transport"),
)
LOST = CounterMetric(
    "lakebed_listener_lost_total",
    "Messages of listeners that are lost, as nobody sends them again.",
    ("listener", "reason"),
)
CONNECTIONS = GaugeMetric(
    "lakebed_listener_connections", "Connections to a listener that are open.", ("listener",)
)

KERNEL, INCOMPLETE, CUT_OFF, STOPPED = "kernel", "incomplete", "cut_off", "stopped"
"""Why messages were lost: the kernel's buffer of the UDP port was full; pieces did not come; a
connection ended within a message; the process stopped before it was durable."""


@dataclass(slots=True)
class Stats:
    """Counts since the start of the process.

    Attributes:
        messages: taken, by transport: tcp, udp.
        refused: by reason.
        lost: that nobody will send again, by reason.
        connections: open now.
    """

    listener: str
    messages: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    connections: int = 0

    def health(self) -> Health:
        """Ready always: who sends by UDP cannot be held back."""
        lost = self.lost.total()
        message = ""
        if lost:
            reasons = ", ".join(f"{count} {why}" for why, count in self.lost.most_common() if count)
            message = f"{lost} messages were lost since the start: {reasons}"
        detail = {
            "messages": self.messages.total(),
            "refused": self.refused.total(),
            "lost": lost,
            "connections": self.connections,
        }
        return Health(True, message, detail)


def metrics(listeners: Sequence[Stats]) -> Iterator[Sample]:
    """What listeners have counted."""
    for one in listeners:
        yield CONNECTIONS(one.connections, one.listener)
        for transport in ("tcp", "udp"):
            yield MESSAGES(one.messages[transport], one.listener, transport)
        for reason in (KERNEL, INCOMPLETE, CUT_OFF, STOPPED):
            yield LOST(one.lost[reason], one.listener, reason)
