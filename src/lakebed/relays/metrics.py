"""The metrics of relays.

status of each relay (`Told`) ──> RelayMetrics.samples   of role api, about all relays
delivery ──> DeliveryTimes.observe ──> metrics           of the process that runs relays

The oldest `named` relays have series of their own; the rest share one, whose labels are empty, so
the number of series does not grow with owners. Who is named changes only when one is deleted.
"""

import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Literal, NamedTuple, get_args

from lakebed.ports.metrics import (
    CounterMetric,
    Distribution,
    GaugeMetric,
    HistogramMetric,
    Sample,
)

State = Literal["starting", "running", "retrying", "paused", "stopped"]

_OF = ("owner", "relay")
LAG_MESSAGES = GaugeMetric("lakebed_relay_lag_messages", "Records that wait for a relay.", _OF)
LAG_BYTES = GaugeMetric("lakebed_relay_lag_bytes", "Bytes that the journal holds for a relay.", _OF)
LAG_SECONDS = GaugeMetric(
    "lakebed_relay_lag_seconds", "Age of the oldest message that waits for a relay.", _OF
)
DELIVERED = CounterMetric(
    "lakebed_relay_delivered_total", "Records that the target of a relay has taken.", _OF
)
RETRIES = CounterMetric(
    "lakebed_relay_retries_total", "Deliveries of a relay that failed and were tried again.", _OF
)
DEAD_LETTERS = CounterMetric(
    "lakebed_relay_dead_letters_total", "Records that the target of a relay refused for ever.", _OF
)
STATE = GaugeMetric("lakebed_relay_state", "1 for the state that a relay is in.", (*_OF, "state"))
DELIVERY = HistogramMetric(
    "lakebed_relay_delivery_seconds",
    "How long a delivery took, by the kind of target and what became of it.",
    ("target", "outcome"),
)

NAMED = 100
"""Relays that have series of their own."""


class Told(NamedTuple):
    """What is known of a relay at this moment.

    Attributes:
        id: its lasting identity, which orders relays by age.
        messages, bytes, seconds: what waits for it, and since when the oldest of it.
        delivered, retries, refused: since it was made.
    """

    id: tuple[int, str]
    owner: str
    relay: str
    state: State
    messages: int = 0
    bytes: int = 0
    seconds: float = 0.0
    delivered: int = 0
    retries: int = 0
    refused: int = 0


class RelayMetrics:
    """Makes samples of what is told of relays. Any thread."""

    def __init__(self, named: int = NAMED) -> None:
        self._named, self._lock = named, threading.Lock()
        self._seen: dict[tuple[int, str], Told] = {}  # of the rest, when last looked
        self._rest: Counter[str] = Counter()  # counts since the start: of those that left, too

    def samples(self, relays: Iterable[Told]) -> Iterator[Sample]:
        """The samples of all relays."""
        each = iter(sorted(relays))
        for one in islice(each, self._named):
            of = (one.owner, one.relay)
            yield from _waiting(one.messages, one.bytes, one.seconds, *of)
            yield DELIVERED(one.delivered, *of)
            yield RETRIES(one.retries, *of)
            yield DEAD_LETTERS(one.refused, *of)
            for state in get_args(State):
                yield STATE(state == one.state, *of, state)
        rest = list(each)
        if rest or self._seen:
            with self._lock:
                together = list(self._together(rest))
            yield from together

    def _together(self, rest: list[Told]) -> Iterator[Sample]:
        """One series for the rest; its counters only grow, whoever joins or leaves it."""
        for one in rest:
            before = self._seen.get(one.id, one)
            for count in ("delivered", "retries", "refused"):
                grown = getattr(one, count) - getattr(before, count)
                self._rest[count] += max(0, grown)
        self._seen = {one.id: one for one in rest}
        messages, size = sum(one.messages for one in rest), sum(one.bytes for one in rest)
        yield from _waiting(messages, size, max((one.seconds for one in rest), default=0.0), "", "")
        yield DELIVERED(self._rest["delivered"], "", "")
        yield RETRIES(self._rest["retries"], "", "")
        yield DEAD_LETTERS(self._rest["refused"], "", "")
        states = Counter(one.state for one in rest)
        for state in get_args(State):
            yield STATE(states[state], "", "", state)


def _waiting(messages: int, size: int, seconds: float, owner: str, relay: str) -> Iterator[Sample]:
    yield LAG_MESSAGES(messages, owner, relay)
    yield LAG_BYTES(size, owner, relay)
    yield LAG_SECONDS(seconds, owner, relay)


class DeliveryTimes:
    """How long deliveries take, in a process that runs relays. Any thread."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], Distribution] = {}

    def observe(self, target: str, outcome: str, seconds: float) -> None:
        """Count a delivery.

        Args:
            target: the kind of target, such as `kafka`; not its address.
            outcome: `delivered`, or `retry`.
        """
        key = (target, outcome)
        found = self._found.get(key) or self._found.setdefault(key, DELIVERY.distribution())
        found.observe(seconds)

    def metrics(self) -> Iterator[Sample]:
        for (target, outcome), found in sorted(self._found.copy().items()):
            yield found.sample(target, outcome)
