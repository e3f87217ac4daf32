"""Metrics about limits."""

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from lakebed.limits.book import LimitBook

if TYPE_CHECKING:
    from prometheus_client import Metric


def metrics(book: LimitBook) -> Iterator["Metric"]:
    """The metric families for /metrics. Any thread."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    over = CounterMetricFamily(
        "lakebed_limits_over", "Messages that were over a limit.", labels=["of", "over"]
    )
    for (kind, what), count in sorted(book.over.copy().items()):
        over.add_metric([kind, what], count)
    yield over
    near = GaugeMetricFamily(
        "lakebed_limits_near", "Owners and units that use 80 % of a limit.", labels=["of"]
    )
    found = Counter(subject.kind for subject, _, _ in book.usage.warned)
    for kind in ("owner", "unit"):
        near.add_metric([kind], found[kind])
    yield near
