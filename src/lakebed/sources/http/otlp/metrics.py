"""Decodes an export of metrics: each data point becomes a message.

    service.name=shop │ http.requests {method=GET} 5 @…   ──>   shop/http.requests/GET   5
    └ resource          └ NAME         └ ATTRIBUTEVALUES

Numbers are payloads as they are; histograms and summaries are JSON with the fields of OTLP. Data
points that say that there is no value (NO_RECORDED_VALUE) make no message. Exemplars, units,
descriptions, start times and temporality are not kept.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    SummaryDataPoint,
)

from lakebed.sources.http import numbers
from lakebed.sources.http.ndjson import Decoded
from lakebed.sources.http.otlp import attributes
from lakebed.sources.http.otlp.requests import Way, read, take, time_of
from lakebed.vocabulary.errors import Denied
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.topic_templates import fill, level, names_in, tag_levels

_NO_RECORDED_VALUE = 1  # DataPointFlags
_COST = 100  # bytes of a key's attribute besides its text

Point: TypeAlias = (
    NumberDataPoint | HistogramDataPoint | ExponentialHistogramDataPoint | SummaryDataPoint
)
_Context: TypeAlias = tuple[str, ...]


def decode(body: bytes, way: Way) -> Decoded:
    """An `ExportMetricsServiceRequest`; data points that are rejected are counted from 1.

    Raises:
        BadRequest: it is none.
        TooLarge: it holds more than MOST_LINES data points.
    """
    request = read(ExportMetricsServiceRequest(), body, way.is_json)
    found = Decoded()
    names = names_in(way.template)
    number = 0
    for of_resource in request.resource_metrics:
        resource = attributes.texts(of_resource.resource.attributes)
        for of_scope in of_resource.scope_metrics:
            scope = attributes.texts(of_scope.scope.attributes)
            context = attributes.chosen(names, scope, resource)
            for metric in of_scope.metrics:
                kind = metric.WhichOneof("data")
                if kind is None:
                    continue
                payload = _PAYLOADS[kind]
                for point in getattr(metric, kind).data_points:
                    number += 1
                    if point.flags & _NO_RECORDED_VALUE:
                        continue
                    try:
                        channel = _channel(metric, point, context, names, way)
                        content = way.sender.check_size(payload(point))
                        take(found, channel, content, time_of(point.time_unix_nano))
                    except (ValueError, Denied) as error:
                        found.reject(number, error)
    return found


def _channel(
    metric: Metric, point: Point, context: _Context, names: Sequence[str], way: Way
) -> Channel:
    given = tuple([(one.key, attributes.text(one.value)) for one in point.attributes])
    key = (metric.name, context, given)
    channel = way.topics.get(key)
    if channel is None:
        if not metric.name:
            raise ValueError("a metric has no name")
        if len(given) > attributes.MOST_ATTRIBUTES:
            raise attributes.too_many()
        levels = {
            "NAME": [level(metric.name)],
            **tag_levels(
                way.template,
                dict(given),
                "ATTRIBUTEVALUES",
                "ATTRIBUTES",
                dict(zip(names, context, strict=True)),
            ),
        }
        channel = way.sender.channel(fill(way.template, levels))
        texts = [metric.name, *context, *(text for pair in given for text in pair)]
        way.topics.keep(key, sum(map(len, texts)) + _COST * len(texts), channel)
    return channel


def _number(point: NumberDataPoint) -> bytes:
    kind = point.WhichOneof("value")
    if kind is None:
        raise ValueError("a data point has no value")
    return b"%d" % point.as_int if kind == "as_int" else numbers.written(point.as_double)


def _histogram(point: HistogramDataPoint) -> bytes:
    return _json(
        {
            **_totals(point),
            "explicitBounds": list(point.explicit_bounds),
            "bucketCounts": list(point.bucket_counts),
        }
    )


def _exponential(point: ExponentialHistogramDataPoint) -> bytes:
    return _json(
        {
            **_totals(point),
            "scale": point.scale,
            "zeroCount": point.zero_count,
            "zeroThreshold": point.zero_threshold,
            "positive": _buckets(point.positive),
            "negative": _buckets(point.negative),
        }
    )


def _totals(point: HistogramDataPoint | ExponentialHistogramDataPoint) -> dict[str, Any]:
    optional = [name for name in ("sum", "min", "max") if point.HasField(name)]
    return {"count": point.count, **{name: getattr(point, name) for name in optional}}


def _buckets(buckets: ExponentialHistogramDataPoint.Buckets) -> dict[str, Any]:
    return {"offset": buckets.offset, "bucketCounts": list(buckets.bucket_counts)}


def _summary(point: SummaryDataPoint) -> bytes:
    values = [{"quantile": one.quantile, "value": one.value} for one in point.quantile_values]
    return _json({"count": point.count, "sum": point.sum, "quantileValues": values})


_json = msgspec.json.encode
_PAYLOADS: Mapping[str, Callable[[Any], bytes]] = {
    "gauge": _number,
    "sum": _number,
    "histogram": _histogram,
    "exponential_histogram": _exponential,
    "summary": _summary,
}
