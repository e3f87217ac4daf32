"""Counters of a listener, read by metrics and health."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lakebed.ports.health import Health

if TYPE_CHECKING:
    from prometheus_client import Metric

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


def metrics(listeners: Sequence[Stats]) -> "Iterator[Metric]":
    """The metric families for /metrics."""
    from prometheus_client.core import CounterMetricFamily

    taken = CounterMetricFamily(
        "lakebed_listener_messages",
        "Messages taken by listeners without acknowledgements.",
        labels=["listener", "transport"],
    )
    lost = CounterMetricFamily(
        "lakebed_listener_lost",
        "Messages of listeners that are lost, as nobody sends them again.",
        labels=["listener", "reason"],
    )
    for one in listeners:
        for transport in ("tcp", "udp"):
            taken.add_metric([one.listener, transport], one.messages[transport])
        for reason in (KERNEL, INCOMPLETE, CUT_OFF, STOPPED):
            lost.add_metric([one.listener, reason], one.lost[reason])
    yield taken
    yield lost
