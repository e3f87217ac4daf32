"""Metrics: what a part measures of itself, by a name, a kind and a meaning that are documented.

    USED = GaugeMetric("lakebed_journal_used_bytes", "Bytes of messages that the journal holds.")
    USED(4096) ──> Sample ──┬─> Health.samples        what is known by looking at the part
                            └─> Contribution.metrics  what the part has counted     ──> /metrics

A metric is a constant of the module that measures it, so that `tests/unit/test_docs_metrics.py`
finds all of them. Names are those of Prometheus: base units as suffix (`_bytes`, `_seconds`,
`_ratio`), `_total` for counters. Labels have few values: neither owners, units nor topics can add
to them.
"""

import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, ClassVar, NamedTuple

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
"""Bounds for the durations of calls: from a fast fsync to a store that hangs."""

LAG = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0)
"""Bounds for how long messages wait: from none to a consumer that was away."""

SIZES = (1, 3, 10, 30, 100, 300, 1000, 3000, 10_000, 30_000)
"""Bounds for how many messages share one call."""


class Buckets(NamedTuple):
    """What a histogram has observed.

    Attributes:
        counts: of observations up to each bound, and above the last; not cumulative.
        total: their sum.
    """

    counts: tuple[int, ...]
    total: float


class Sample(NamedTuple):
    """A metric's value at this moment, for one set of label values."""

    metric: "Metric"
    value: "float | Buckets"
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Metric:
    """What is measured; `CounterMetric`, `GaugeMetric` or `HistogramMetric`.

    Attributes:
        name: as Prometheus shows it, with its unit.
        help: one sentence.
        labels: names of labels, whose values a sample gives in this order.
        per: by how many a value is divided, where the part counts in smaller units.
    """

    name: str
    help: str
    labels: tuple[str, ...] = ()
    per: float = 1.0
    kind: ClassVar[str] = ""

    def __call__(self, value: float, *labels: object) -> Sample:
        if len(labels) != len(self.labels):
            raise ValueError(f"{self.name} has the labels {self.labels}, not {labels}")
        return Sample(self, value / self.per, tuple(map(str, labels)))


@dataclass(frozen=True, slots=True)
class CounterMetric(Metric):
    """Grows from 0 at the start of the process, or of the instance where its text says so."""

    kind: ClassVar[str] = "counter"

    def __post_init__(self) -> None:
        if not self.name.endswith("_total"):
            raise ValueError(f"the counter {self.name} does not end in _total")


@dataclass(frozen=True, slots=True)
class GaugeMetric(Metric):
    """Rises and falls."""

    kind: ClassVar[str] = "gauge"


@dataclass(frozen=True, slots=True)
class HistogramMetric(Metric):
    """Observations in buckets, counted by a `Distribution`.

    Attributes:
        bounds: upper bounds of the buckets, ascending; there is one more above the last.
    """

    bounds: Sequence[float] = SECONDS
    kind: ClassVar[str] = "histogram"

    def distribution(self) -> "Distribution":
        """A distribution without observations."""
        return Distribution(self)


class Distribution:
    """Counts the observations of a histogram, for one set of label values. Any thread.

    Observe calls and batches, never single messages: an observation takes half a microsecond.
    """

    __slots__ = ("_bounds", "_counts", "_lock", "_metric", "_total")

    def __init__(self, metric: HistogramMetric) -> None:
        self._metric, self._bounds = metric, metric.bounds
        self._counts = [0] * (len(metric.bounds) + 1)
        self._total = 0.0
        self._lock = threading.Lock()

    def observe(self, value: float, times: int = 1) -> None:
        """Count a value, `times` for that many of a batch."""
        place = bisect_left(self._bounds, value)
        with self._lock:
            self._counts[place] += times
            self._total += value * times

    def observe_counts(self, counts: Iterable[int], total: float) -> None:
        """Add values that are counted by bucket already, and their sum."""
        with self._lock:
            self._counts = [old + int(new) for old, new in zip(self._counts, counts, strict=True)]
            self._total += total

    def sample(self, *labels: object) -> Sample:
        with self._lock:
            seen = Buckets(tuple(self._counts), self._total)
        return Sample(self._metric, seen, tuple(map(str, labels)))


def cumulative(metric: Metric, found: Buckets) -> list[tuple[str, float]]:
    """The buckets of a histogram as Prometheus wants them: each with what lies below it."""
    assert isinstance(metric, HistogramMetric)
    bounds = [*(str(float(bound)) for bound in metric.bounds), "+Inf"]
    return list(zip(bounds, map(float, accumulate(found.counts)), strict=True))


def measured(
    metrics: Mapping[str, Metric], figures: Mapping[str, Any], *labels: object
) -> Iterator[Sample]:
    """The samples of those figures that have a metric; of a mapping, one for each of its keys."""
    for figure, metric in metrics.items():
        value = figures.get(figure)
        if isinstance(value, Mapping):
            for key, one in value.items():
                yield metric(one, *labels, key)
        elif value is not None:
            yield metric(value, *labels)
