"""The SDK of OpenTelemetry, with its exporters over HTTP, in both encodings."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.exporter.otlp.common.http import Compression
from opentelemetry.exporter.otlp.json import http as json_http
from opentelemetry.exporter.otlp.json.http import _log_exporter as json_logs
from opentelemetry.exporter.otlp.json.http import metric_exporter as json_metrics
from opentelemetry.exporter.otlp.proto.http import _log_exporter as proto_logs
from opentelemetry.exporter.otlp.proto.http import metric_exporter as proto_metrics
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from tests.server import Server

pytestmark = [
    pytest.mark.slow(8),
    # the SDK says so of its own handler, whose successor is a package of instrumentation
    pytest.mark.filterwarnings("ignore:.*LoggingHandler:DeprecationWarning"),
]
EXPORTERS: dict[str, Any] = {
    "protobuf": (proto_metrics.OTLPMetricExporter, proto_logs.OTLPLogExporter),
    "json": (json_metrics.OTLPMetricExporter, json_logs.OTLPLogExporter),
}
encodings = pytest.mark.parametrize("encoding", list(EXPORTERS))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("otlp") / "home") as started:
        policy = {"name": "all", "topics": ["#"], "keep": "archive", "type": "text"}
        started.put_policies([policy | {"buffer": "0s"}])
        yield started


def options(server: Server, signal: str) -> dict[str, Any]:
    return {
        "endpoint": f"{server.url}/v1/{signal}",
        "headers": {"Authorization": f"Bearer {server.token}"},
        "compression": Compression.GZIP,
    }


def values(server: Server, topic: str) -> list[str]:
    server.settle()
    return [str(record["value"]) for record in server.records(topic, "all")]


@encodings
def test_metrics_of_the_sdk_are_stored(server: Server, encoding: str) -> None:
    exporter = EXPORTERS[encoding][0](**options(server, "metrics"))
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=60_000)
    meters = MeterProvider([reader], Resource({"service.name": encoding}))
    meter = meters.get_meter("shop")
    meter.create_counter("requests").add(3, {"method": "GET"})
    meter.create_gauge("level").set(0.25)
    meter.create_histogram("duration").record(1.5)
    assert meters.force_flush()
    meters.shutdown()
    assert values(server, f"{encoding}/requests/GET")[0] == "3"
    assert values(server, f"{encoding}/level")[0] == "0.25"
    duration = json.loads(values(server, f"{encoding}/duration")[0])
    assert (duration["count"], duration["sum"]) == (1, 1.5)
    assert sum(duration["bucketCounts"]) == 1


@encodings
def test_logs_of_the_sdk_are_stored(server: Server, encoding: str) -> None:
    exporter = EXPORTERS[encoding][1](**options(server, "logs"))
    loggers = LoggerProvider(Resource({"service.name": encoding}))
    loggers.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    record = logging.LogRecord("stock", logging.ERROR, "shop.py", 7, "no %s", ("bolts",), None)
    tracer = TracerProvider().get_tracer("x")
    with tracer.start_as_current_span("sale") as span:
        LoggingHandler(logger_provider=loggers).emit(record)
    loggers.shutdown()
    (found,) = map(json.loads, values(server, f"logs/{encoding}/ERROR"))
    assert (found["body"], found["severityNumber"], found["scope"]) == ("no bolts", 17, "stock")
    assert found["traceId"] == f"{span.get_span_context().trace_id:032x}"
    assert found["spanId"] == f"{span.get_span_context().span_id:016x}"
    assert found["resource"] == {"service.name": encoding}


def test_an_exporter_of_traces_is_told_at_once(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    traces = TracerProvider()
    exporter = json_http.OTLPSpanExporter(**options(server, "traces"))
    traces.add_span_processor(SimpleSpanProcessor(exporter))
    traces.get_tracer("x").start_span("sale").end()
    traces.shutdown()
    assert "code: 404" in caplog.text  # which exporters do not repeat
