"""OTLP becomes messages: each data point one, and each log record."""

import json
from base64 import b64encode
from contextlib import suppress
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from tests.unit.sources.senders import SENDER

from lakebed.http.problems import TooLarge
from lakebed.sources.http.ndjson import Decoded
from lakebed.sources.http.otlp import logs, metrics, requests
from lakebed.sources.http.otlp.requests import Way
from lakebed.sources.http.topic_cache import TopicCache
from lakebed.vocabulary.errors import BadRequest
from lakebed.vocabulary.times import UNSET
from lakebed.vocabulary.topic_templates import (
    OTLP_LOGS,
    OTLP_LOGS_WORDS,
    OTLP_METRICS,
    OTLP_METRICS_WORDS,
)

NANOSECONDS = 1769860800_123456789
MICROSECONDS = 1769860800_123457
TRACE = bytes(range(16))


def of_text(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))


def metric(service: str = "shop") -> tuple[ExportMetricsServiceRequest, Any]:
    """A request, and a metric in it to fill."""
    request = ExportMetricsServiceRequest()
    of_resource = request.resource_metrics.add()
    of_resource.resource.attributes.append(of_text("service.name", service))
    of_scope = of_resource.scope_metrics.add()
    of_scope.scope.attributes.append(of_text("library", "x"))
    return request, of_scope.metrics.add(name="http.requests")


def point_of(service: str) -> ExportMetricsServiceRequest:
    request, added = metric(service)
    point(added, "gauge", as_int=1)
    return request


def point(metric: Any, kind: str, **fields: Any) -> Any:
    given = {"time_unix_nano": NANOSECONDS, "attributes": [of_text("method", "GET")]} | fields
    return getattr(metric, kind).data_points.add(**given)


def logged(**fields: Any) -> ExportLogsServiceRequest:
    request = ExportLogsServiceRequest()
    of_resource = request.resource_logs.add()
    of_resource.resource.attributes.append(of_text("service.name", "shop"))
    of_scope = of_resource.scope_logs.add()
    of_scope.scope.name = "stock"
    of_scope.log_records.add(**{"time_unix_nano": NANOSECONDS} | fields)
    return request


def encoded(request: Any, is_json: bool) -> bytes:
    """As senders encode it: in OTLP's JSON ids are hexadecimal, and enumerations are numbers."""
    if not is_json:
        return bytes(request.SerializeToString())
    found = json_format.MessageToJson(request, use_integers_for_enums=True)
    return found.replace(b64encode(TRACE).decode(), TRACE.hex()).encode()


def decode(request: Any, is_json: bool = False, template: str = "") -> Decoded:
    body = request if isinstance(request, bytes) else encoded(request, is_json)
    if isinstance(request, ExportLogsServiceRequest):
        template = template or OTLP_LOGS
        topics = TopicCache().of(SENDER, OTLP_LOGS_WORDS, template)
        return logs.decode(body, Way(SENDER, template, topics, is_json))
    template = template or OTLP_METRICS
    topics = TopicCache().of(SENDER, OTLP_METRICS_WORDS, template)
    return metrics.decode(body, Way(SENDER, template, topics, is_json))


def messages(found: Decoded) -> list[tuple[str, bytes, int]]:
    columns = zip(found.channels, found.payloads, found.events, strict=True)
    return [(one.topic, payload, event) for one, payload, event in columns]


both = pytest.mark.parametrize("is_json", [False, True], ids=["protobuf", "json"])


@both
def test_numbers_are_messages_on_topics_of_service_name_and_attributes(is_json: bool) -> None:
    request, added = metric()
    point(added, "sum", as_int=2**60)
    point(added, "sum", as_double=0.5, time_unix_nano=0)
    point(added, "sum", as_double=float("inf"), attributes=[])
    assert messages(decode(request, is_json)) == [
        ("shop/http.requests/GET", b"%d" % 2**60, MICROSECONDS),
        ("shop/http.requests/GET", b"0.5", UNSET),
        ("shop/http.requests", b"+Inf", MICROSECONDS),
    ]


@both
@pytest.mark.parametrize(
    ("template", "topic"),
    [
        ("otel/{service.name}/{library}/NAME/ATTRIBUTES", "otel/shop/x/http.requests/method=GET"),
        ("NAME/{method}/ATTRIBUTEVALUES", "http.requests/GET"),
        ("{none}/NAME", "-/http.requests"),
        ("a//NAME", "a//http.requests"),
    ],
)
def test_a_template_names_attributes_of_point_scope_and_resource(
    is_json: bool, template: str, topic: str
) -> None:
    request, added = metric()
    point(added, "gauge", as_int=1)
    ((found, _, _),) = messages(decode(request, is_json, template))
    assert found == topic


def test_attributes_of_every_type_are_levels() -> None:
    request, added = metric("a/b")
    values = [
        AnyValue(bool_value=True), AnyValue(int_value=3), AnyValue(double_value=1.5), AnyValue(),
        AnyValue(bytes_value=b"\xff"), AnyValue(string_value=""),
    ]  # fmt: skip
    values[3].array_value.values.append(AnyValue(string_value="x"))
    given = [KeyValue(key=f"k{index}", value=value) for index, value in enumerate(values)]
    point(added, "gauge", as_int=1, attributes=given)
    ((topic, _, _),) = messages(decode(request))
    assert topic == 'a%2Fb/http.requests/true/3/1.5/["x"]/"%2Fw=="/-'


@both
def test_distributions_are_json_of_their_fields(is_json: bool) -> None:
    request, added = metric()
    point(added, "histogram", count=3, sum=4.5, explicit_bounds=[1], bucket_counts=[1, 2])
    (found,) = decode(request, is_json).payloads
    assert json.loads(found) == {
        "count": 3, "sum": 4.5, "explicitBounds": [1.0], "bucketCounts": [1, 2],
    }  # fmt: skip
    request, added = metric()
    buckets = {"offset": -1, "bucket_counts": [1, 2]}
    point(added, "exponential_histogram", count=3, min=0.5, scale=2, positive=buckets)
    (found,) = decode(request, is_json).payloads
    assert json.loads(found) == {
        "count": 3, "min": 0.5, "scale": 2, "zeroCount": 0, "zeroThreshold": 0.0,
        "positive": {"offset": -1, "bucketCounts": [1, 2]},
        "negative": {"offset": 0, "bucketCounts": []},
    }  # fmt: skip
    request, added = metric()
    point(added, "summary", count=1, sum=2, quantile_values=[{"quantile": 0.5, "value": 2}])
    (found,) = decode(request, is_json).payloads
    assert json.loads(found)["quantileValues"] == [{"quantile": 0.5, "value": 2.0}]


@both
def test_what_says_that_there_is_no_value_is_none(is_json: bool) -> None:
    request, added = metric()
    point(added, "gauge", flags=1)
    found = decode(request, is_json)
    assert (found.payloads, found.refused) == ([], 0)


@both
def test_a_bad_data_point_is_named_and_the_others_are_taken(is_json: bool) -> None:
    request, added = metric()
    point(added, "gauge", as_int=1)
    point(added, "gauge", as_int=1, time_unix_nano=2**63)
    point(added, "gauge")
    many = [of_text(f"k{number}", "v") for number in range(1001)]
    point(added, "gauge", as_int=1, attributes=many)
    request.resource_metrics[0].scope_metrics[0].metrics.add().gauge.data_points.add(as_int=1)
    found = decode(request, is_json)
    assert len(found.payloads) == 1
    assert [entry["line"] for entry in found.rejected] == [2, 3, 4, 5]
    for entry, why in zip(
        found.rejected, ("years 1970", "no value", "1000 attributes", "no name"), strict=True
    ):
        assert why in entry["error"]


@both
def test_a_log_record_is_json_with_its_resource(is_json: bool) -> None:
    request = logged(
        severity_number=17, severity_text="Error", trace_id=TRACE, event_name="sold.out",
        body=AnyValue(string_value="no stock"),
        attributes=[KeyValue(key="item", value=AnyValue(int_value=7))],
    )  # fmt: skip
    ((topic, payload, event),) = messages(decode(request, is_json))
    assert (topic, event) == ("logs/shop/ERROR", MICROSECONDS)
    assert json.loads(payload) == {
        "severityText": "Error", "severityNumber": 17, "eventName": "sold.out",
        "body": "no stock", "attributes": {"item": 7}, "traceId": TRACE.hex(), "scope": "stock",
        "resource": {"service.name": "shop"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("number", "text", "level"),
    [(1, "", "TRACE"), (8, "", "DEBUG"), (9, "", "INFO"), (13, "x", "WARN"), (24, "", "FATAL"),
     (0, "note", "note"), (0, "", "-")],
)  # fmt: skip
def test_severity_is_the_range_of_its_number(number: int, text: str, level: str) -> None:
    request = logged(severity_number=number, severity_text=text)
    assert decode(request).channels[0].topic == f"logs/shop/{level}"


def test_a_template_of_logs_names_attributes_scope_and_event() -> None:
    request = logged(event_name="e", attributes=[of_text("user", "u")])
    template = "{user}/SCOPE/EVENT/{service.name}/{none}"
    assert decode(request, template=template).channels[0].topic == "u/stock/e/shop/-"


def test_bodies_of_logs_may_be_anything_within_bounds() -> None:
    body = AnyValue()
    body.kvlist_value.values.add(key="a").value.array_value.values.add(bytes_value=b"x")
    (payload,) = decode(logged(body=body, observed_time_unix_nano=5)).payloads
    assert json.loads(payload)["body"] == {"a": ["eA=="]}
    request = logged(attributes=[of_text(f"k{number}", "v") for number in range(1001)])
    assert decode(request).refused == 1
    request = logged()
    request.resource_logs[0].resource.attributes.extend(
        of_text(f"k{number}", "v") for number in range(1001)
    )
    with pytest.raises(BadRequest, match="1000 attributes"):
        decode(request)


def test_a_record_without_a_time_has_that_of_its_observation() -> None:
    (found,) = decode(logged(time_unix_nano=0, observed_time_unix_nano=NANOSECONDS)).events
    assert found == MICROSECONDS


@both
def test_more_than_one_request_may_hold_is_refused_as_a_whole(
    is_json: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "MOST_LINES", 1)
    request, added = metric()
    point(added, "gauge", as_int=1)
    point(added, "gauge", as_int=1)
    with pytest.raises(TooLarge):
        decode(request, is_json)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"1", b'"x"', b"null", b"{", b"\xff", b"[" * 100_000,
        b'{"resourceMetrics": 1}', b'{"resourceMetrics": [1]}',
        b'{"resourceMetrics": [{"resource": 1}]}',
        b'{"resourceMetrics": {"a": 1}}',
        b'{"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": 5}]}]}]}',
        b'{"resourceMetrics": [{"schemaUrl": "\\ud800"}]}',
        b'{"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "x", "gauge":'
        b' {"dataPoints": [{"asInt": "99999999999999999999"}]}}]}]}]}',
    ],
)  # fmt: skip
def test_json_that_is_no_export_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest, match="ExportMetricsServiceRequest as JSON"):
        decode(body, is_json=True)


def test_json_may_have_fields_that_are_not_known() -> None:
    assert decode(b'{"resourceMetrics": [{"new": [1]}], "x": {}}', is_json=True).refused == 0


@both
@given(body=st.binary(max_size=60))
def test_no_bytes_break_it(is_json: bool, body: bytes) -> None:
    request, added = metric()
    point(added, "gauge", as_int=1)
    for raw in (body, encoded(request, is_json)[:-3] + body):
        with suppress(BadRequest):
            decode(raw, is_json)
