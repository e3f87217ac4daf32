"""Writes samples as Prometheus' text format."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client import Metric as Family
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from lakebed.ports.metrics import Buckets, Metric, Sample, cumulative

CONTENT_TYPE = CONTENT_TYPE_LATEST


def exposition(samples: Iterable[Sample]) -> bytes:
    """The samples by metric, and what Prometheus' libraries tell of every process (`process_…`)."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(samples))
    ProcessCollector(registry=registry)
    return generate_latest(registry)


class _Collector(Collector):
    def __init__(self, samples: Iterable[Sample]) -> None:
        self._samples = samples

    def describe(self) -> Iterator[Family]:
        return iter(())  # collecting is not free: not once more at registration

    def collect(self) -> Iterator[Family]:
        found: defaultdict[Metric, list[Sample]] = defaultdict(list)
        for sample in self._samples:
            found[sample.metric].append(sample)
        for metric, samples in sorted(found.items(), key=lambda one: one[0].name):
            yield _family(metric, samples)


def _family(metric: Metric, samples: Iterable[Sample]) -> Family:
    if metric.kind == "histogram":
        histogram = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        for sample in samples:
            assert isinstance(sample.value, Buckets)
            buckets = cumulative(metric, sample.value)
            histogram.add_metric(sample.labels, buckets, sample.value.total)
        return histogram
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family: CounterMetricFamily | GaugeMetricFamily
    family = kind(metric.name, metric.help, labels=metric.labels)
    for sample in samples:
        assert not isinstance(sample.value, Buckets)
        family.add_metric(sample.labels, sample.value)
    return family
