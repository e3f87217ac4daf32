"""Counters of sources that read a queue, for metrics and health."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from lakebed.ports.metrics import CounterMetric, GaugeMetric, Sample

JOINED = GaugeMetric("lakebed_queue_joined", "Whether the queue answered last.", ("source",))
MESSAGES = CounterMetric(
    "lakebed_queue_messages_total",
    "Messages that a queue delivered, also those that it delivered again.",
    ("source",),
)
TAKEN = CounterMetric(
    "lakebed_queue_taken_total", "Messages of a queue that became durable.", ("source",)
)
BYTES = CounterMetric(
    "lakebed_queue_taken_bytes_total",
    "Bytes of payloads of a queue that became durable.",
    ("source",),
)
REFUSED = CounterMetric(
    "lakebed_queue_refused_total",
    "Messages of a queue that were put aside or dropped.",
    ("source", "reason"),
)
LOST = CounterMetric(
    "lakebed_queue_lost_total",
    "Messages that a queue deleted before they were read.",
    ("source",),
)
LAG = GaugeMetric("lakebed_queue_lag_messages", "Messages that wait in a queue.", ("source",))
FAILURES = CounterMetric(
    "lakebed_queue_failures_total", "Requests to a queue that failed.", ("source",)
)


@dataclass(slots=True)
class Stats:
    """Counts since the start of the process.

    Attributes:
        received: messages that the queue delivered, also those that it delivered again.
        taken: of these, durable now, whether for the first time or not.
        refused: of these, put aside or dropped, by reason.
        bytes: of the payloads taken.
        appends: offers that became durable.
        failures: requests or polls that failed.
        lost: messages that were deleted there before they were read.
        lag: messages that wait there; None if the queue does not tell.
        connected: whether the last one succeeded.
    """

    name: str
    received: int = 0
    taken: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    bytes: int = 0
    appends: int = 0
    failures: int = 0
    lost: int = 0
    lag: int | None = None
    connected: bool = False

    @property
    def completeness(self) -> float:
        """The share of what was received that is stored."""
        ended = self.taken + self.refused.total()
        return self.taken / ended if ended else 1.0

    def figures(self) -> dict[str, Any]:
        return {
            "joined": self.connected,
            "received": self.received,
            "taken": self.taken,
            "refused": self.refused.total(),
            "failures": self.failures,
        }


def metrics(all: Sequence[Stats]) -> Iterator[Sample]:
    """What sources that read a queue have counted."""
    for one in all:
        yield JOINED(one.connected, one.name)
        yield MESSAGES(one.received, one.name)
        yield TAKEN(one.taken, one.name)
        yield BYTES(one.bytes, one.name)
        yield FAILURES(one.failures, one.name)
        yield LOST(one.lost, one.name)
        if one.lag is not None:
            yield LAG(one.lag, one.name)
        for reason, count in sorted(one.refused.copy().items()):
            yield REFUSED(count, one.name, reason)
