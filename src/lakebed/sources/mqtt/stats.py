"""What an endpoint or a client counts: plain numbers, read by the metrics."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Stats:
    """Since the start of the process.

    Attributes:
        connections: opened by devices, or by us to a broker.
        publishes: messages received, by QoS 0, 1, 2.
        resent: QoS 2 messages that were there already by their packet id.
        refused: messages not taken, by reason.
        disconnects: ended connections, by reason; "closed" where the peer just went away.
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
