"""Bodies of many messages in the forms that HTTP takes; each leads to the topics of `load.topic`.

Series have the labels that an exporter behind Prometheus or an SDK gives them.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass

import cramjam
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from bench.load import Load, topic, value
from lakebed.sources.http.remote_write.remote_write_1_pb2 import Label, WriteRequest
from lakebed.sources.http.remote_write.remote_write_2_pb2 import Request

_LABELS = {
    "__name__": "temperature", "env": "production", "instance": "10.0.0.17:9100", "job": "plant",
    "region": "eu-central-1", "unit": "celsius",
}  # fmt: skip
_PAST = 60_000  # milliseconds that the first sample lies back
_PROTOBUF = "application/x-protobuf"


@dataclass(frozen=True, slots=True)
class Form:
    """A form of requests.

    Attributes:
        path: with a query.
        headers: besides those that every request has.
        body: of the messages with these numbers.
    """

    path: str
    headers: dict[str, str]
    body: Callable[[range, Load], bytes]


def _ndjson(share: range, load: Load) -> bytes:
    lines = (f'{{"topic":"{topic(i, load)}","value":{value(i):.2f}}}' for i in share)
    return "\n".join(lines).encode()


def _ndjson_ids(share: range, load: Load) -> bytes:
    lines = (f'{{"topic":"{topic(i, load)}","value":{value(i):.2f},"id":"{i}"}}' for i in share)
    return "\n".join(lines).encode()


def _influx(share: range, load: Load) -> bytes:
    n, prefix = load.topics, load.prefix
    lines = (f"{prefix},n={i % n:06d} temperature={value(i):.2f}" for i in share)
    return "\n".join(lines).encode()


_BEGAN = round(time.time() * 1000) - _PAST


def _time(i: int, load: Load) -> int:
    """Milliseconds: each series has another in each round."""
    return _BEGAN + i // load.topics


def _labels(i: int, load: Load) -> dict[str, str]:
    return dict(sorted((_LABELS | {"n": f"{i % load.topics:06d}"}).items()))


def _remote_write_1(share: range, load: Load) -> bytes:
    request = WriteRequest()
    for i in share:
        series = request.timeseries.add()
        series.labels.extend(
            Label(name=name, value=text).SerializeToString()
            for name, text in _labels(i, load).items()
        )
        series.samples.add(value=round(value(i), 2), timestamp=_time(i, load))
    return bytes(cramjam.snappy.compress_raw(request.SerializeToString()))


def _remote_write_2(share: range, load: Load) -> bytes:
    symbols = {"": 0}
    request = Request()
    for i in share:
        texts = [text for label in _labels(i, load).items() for text in label]
        references = [symbols.setdefault(text, len(symbols)) for text in texts]
        series = request.timeseries.add(labels_refs=references)
        series.samples.add(value=round(value(i), 2), timestamp=_time(i, load))
    request.symbols.extend(symbols)
    return bytes(cramjam.snappy.compress_raw(request.SerializeToString()))


def _otlp(share: range, load: Load) -> bytes:
    request = ExportMetricsServiceRequest()
    of_resource = request.resource_metrics.add()
    for name in ("job", "instance", "region"):
        of_resource.resource.attributes.add(key=name).value.string_value = _LABELS[name]
    metric = of_resource.scope_metrics.add().metrics.add(name="temperature", unit="celsius")
    for i in share:
        point = metric.gauge.data_points.add(
            as_double=round(value(i), 2), time_unix_nano=_time(i, load) * 10**6
        )
        for name, text in (("n", f"{i % load.topics:06d}"), ("env", "production")):
            point.attributes.add(key=name).value.string_value = text
    return request.SerializeToString()


def _cloudevents(share: range, load: Load) -> bytes:
    return json.dumps(
        [
            {
                "specversion": "1.0", "id": str(i), "source": "/bench", "type": "temperature",
                "n": f"{i % load.topics:06d}", "data": round(value(i), 2),
            }
            for i in share
        ],
        separators=(",", ":"),
    ).encode()  # fmt: skip


_SNAPPY = {"Content-Type": _PROTOBUF, "Content-Encoding": "snappy"}
_V2 = {"Content-Type": f"{_PROTOBUF};proto=io.prometheus.write.v2.Request"}
FORMS = {
    "ndjson": Form("/api/v1/messages/batch", {}, _ndjson),
    "ndjson-ids": Form("/api/v1/messages/batch", {}, _ndjson_ids),
    "influx": Form("/write", {}, _influx),
    "influx-2": Form("/api/v2/write?bucket=bench", {}, _influx),
    "remote-write-1": Form("/api/v1/write?topic=plant/%7Bn%7D/NAME", _SNAPPY, _remote_write_1),
    "remote-write-2": Form(
        "/api/v1/write?topic=plant/%7Bn%7D/NAME", _SNAPPY | _V2, _remote_write_2
    ),
    "otlp": Form("/v1/metrics?topic=plant/%7Bn%7D/NAME", {"Content-Type": _PROTOBUF}, _otlp),
    "cloudevents": Form(
        "/api/v1/cloudevents?topic=plant/%7Bn%7D/TYPE",
        {"Content-Type": "application/cloudevents-batch+json"},
        _cloudevents,
    ),
}
"""By name."""
