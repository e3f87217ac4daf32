"""Exporters of OpenTelemetry send to /v1/metrics and /v1/logs."""

import gzip
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)
from tests.unit.sources.test_otlp import encoded, logged, metric, point

from lakebed.sources.http.settings import HttpSection
from lakebed.vocabulary.errors import TooMany, Unavailable

from .conftest import ANN, ROOMS, SETTINGS, Api, NoSeries, Open

MEDIA = {False: "application/x-protobuf", True: "application/json"}
both = pytest.mark.parametrize("is_json", [False, True], ids=["protobuf", "json"])
TAKEN = [("ann", "shop/http.requests/GET", b"1")]


def points(*services: str, good: bool = True) -> Any:
    request, added = metric(services[0] if services else "shop")
    for service in services[1:]:
        other, _ = metric(service)
        request.resource_metrics.extend(other.resource_metrics)
        point(request.resource_metrics[-1].scope_metrics[0].metrics[0], "gauge", as_int=2)
    point(added, "gauge", as_int=1)
    if not good:
        point(added, "gauge", time_unix_nano=2**63)
    return request


def export(
    api: Api, request: Any, is_json: bool = False, path: str = "/v1/metrics", token: str = ANN,
    **headers: str,
) -> Any:  # fmt: skip
    body = request if isinstance(request, bytes) else encoded(request, is_json)
    given = {"Content-Type": MEDIA[is_json]} | headers
    return api.post(path, content=body, headers=given, token=token)


@both
def test_data_points_are_durable_when_they_are_acknowledged(api: Api, is_json: bool) -> None:
    before = api.end
    answer = export(
        api, gzip.compress(encoded(points(), is_json)), is_json, **{"Content-Encoding": "gzip"}
    )
    assert (answer.status_code, answer.content) == (200, b"{}" if is_json else b"")
    assert answer.headers["content-type"] == MEDIA[is_json]
    assert api.appended(before) == TAKEN


@both
def test_log_records_are_durable_when_they_are_acknowledged(api: Api, is_json: bool) -> None:
    before = api.end
    assert export(api, logged(severity_number=9), is_json, "/v1/logs").status_code == 200
    ((owner, topic, _),) = api.appended(before)
    assert (owner, topic) == ("ann", "logs/shop/INFO")


@both
def test_what_is_refused_for_ever_is_counted_and_the_rest_is_durable(
    api: Api, is_json: bool
) -> None:
    before = api.end
    answer = export(api, points(good=False), is_json)
    assert answer.status_code == 200
    if is_json:
        partial = answer.json()["partialSuccess"]
        count, text = int(partial["rejectedDataPoints"]), partial["errorMessage"]
    else:
        found = ExportMetricsServiceResponse.FromString(answer.content).partial_success
        count, text = found.rejected_data_points, found.error_message
    assert count == 1
    assert text.startswith("refused, counted from 1: 2: ")
    assert api.appended(before) == TAKEN


def test_counts_of_many_records_are_read_as_they_are_written(api: Api) -> None:
    request = logged()
    records = request.resource_logs[0].scope_logs[0].log_records
    records.extend([records[0]] * 300)
    for record in records[1:]:
        record.time_unix_nano = 2**63
    answer = export(api, request, path="/v1/logs")
    found = ExportLogsServiceResponse.FromString(answer.content).partial_success
    assert found.rejected_log_records == 300
    assert len(found.error_message) > 128


def test_topics_are_authorized_one_by_one(api: Api) -> None:
    before = api.end
    answer = export(api, points("room", "hall"), path="/v1/metrics", token=ROOMS)
    found = ExportMetricsServiceResponse.FromString(answer.content).partial_success
    assert found.rejected_data_points == 1
    assert api.appended(before) == [("ann", "room/http.requests/GET", b"1")]


@both
@pytest.mark.parametrize(
    ("path", "token", "status", "says"),
    [
        ("/v1/metrics", "wrong", 401, "token"),
        ("/v1/metrics?owner=eve", ANN, 403, ""),
        ("/v1/metrics?topic=x", ANN, 400, "NAME"),
        ("/v1/logs?topic=%23", ANN, 400, "wildcard"),
        ("/v1/logs", ANN, 400, "ExportLogsServiceRequest"),
        ("/v1/metrics", ROOMS, 400, "counted from 1: 1: "),  # nothing of it is taken
        ("/v1/traces", ANN, 404, "traces are not kept"),
        ("/v1/traces", "wrong", 401, "token"),
    ],
)
def test_what_is_refused_as_a_whole_is_said_as_a_status(
    api: Api, is_json: bool, path: str, token: str, status: int, says: str
) -> None:
    before = api.end
    body: Any = b"\xff" if path == "/v1/logs" else points()
    answer = export(api, body, is_json, path, token)
    assert (answer.status_code, answer.headers["content-type"]) == (status, MEDIA[is_json])
    # of google.rpc.Status, `message` is the text with the number 2: the same as in this message
    text = (
        answer.json()["message"]
        if is_json
        else type(ExportMetricsServiceResponse().partial_success)
        .FromString(answer.content)
        .error_message
    )
    assert says in text
    assert api.end == before


def test_bodies_are_bounded_and_of_two_kinds(api: Api) -> None:
    assert export(api, bytes(100_001)).status_code == 413
    squeezed = gzip.compress(bytes(100_001))
    assert export(api, squeezed, **{"Content-Encoding": "gzip"}).status_code == 413
    for media in ("text/plain", "application/grpc", ""):
        answer = export(api, points(), **{"Content-Type": media})
        assert answer.status_code == 415
    assert export(api, points(), **{"Content-Encoding": "br"}).status_code == 415


@pytest.mark.parametrize("error", [Unavailable("full"), TooMany("a limit", 2_000_000)])
def test_senders_are_put_off_where_it_may_be_taken_later(
    api: Api, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def full(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(api.app.ingest.intake, "append", full)
    answer = export(api, points())
    assert answer.status_code in (429, 503)
    assert answer.headers["retry-after"] == "2"


def test_templates_are_settings(open_api: Open) -> None:
    section = HttpSection(otlp_metrics_topic="otel/NAME", otlp_logs_topic="otel/SEVERITY")
    other = open_api(NoSeries(), settings=SETTINGS.model_copy(update={"http": section}))
    assert export(other, points()).status_code == 200
    assert export(other, logged(severity_number=9), path="/v1/logs").status_code == 200
    assert [topic for _, topic, _ in other.appended(0)] == ["otel/http.requests", "otel/INFO"]
