"""Metrics about limits."""

from collections import Counter
from collections.abc import Iterator

from lakebed.limits.book import LimitBook
from lakebed.ports.metrics import CounterMetric, GaugeMetric, Sample

OVER = CounterMetric(
    "lakebed_limits_over_total", "Messages that were over a limit.", ("of", "over")
)
NEAR = GaugeMetric("lakebed_limits_near", "Owners and units that use 80 % of a limit.", ("of",))


def metrics(book: LimitBook) -> Iterator[Sample]:
    """What is over a limit, and near one. Any thread."""
    for (kind, what), count in sorted(book.over.copy().items()):
        yield OVER(count, kind, what)
    found = Counter(subject.kind for subject, _, _ in book.usage.warned)
    for kind in ("owner", "unit"):
        yield NEAR(found[kind], kind)
