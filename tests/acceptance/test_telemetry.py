"""A server tells a collector what it does, and Sentry what goes wrong."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.server import Server, eventually
from tests.servers.collecting import Collector, collecting

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SECRET = "the-payload-of-a-cellar"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as found:
        yield found


def test_a_message_is_traced_from_its_request_to_its_row_and_errors_are_reported(
    collector: Collector, tmp_path: Path
) -> None:
    told = {
        "TELEMETRY__OTLP": collector.url,
        "TELEMETRY__SENTRY": collector.dsn,
        "TELEMETRY__SAMPLE": "0",  # nothing but what a caller traces
    }
    with Server(tmp_path / "home", told) as server:
        server.put_policy(name="all", topics=["#"], type="text", keep="archive", buffer="0s")
        server.wait_in_force()
        server.send("plant/untraced", "1")
        server.send("plant/1", SECRET, traceparent=CALLER)
        eventually(lambda: len(server.records("plant/1", "all")) == 1)
        second = Server(tmp_path / "home", told)
        second.spawn()
        assert second.wait() == 3  # another process holds the home
        second.close()
        wanted = {"HTTP POST", "receive", "append", "absorb", "write"}
        eventually(lambda: {span.name for span in collector.spans()} >= wanted, 30)
    spans = {span.name: span for span in collector.spans()}
    assert spans.keys() == wanted
    assert {span.trace_id.hex() for span in spans.values()} == {CALLER.split("-")[1]}
    assert spans["HTTP POST"].parent_span_id.hex() == CALLER.split("-")[2]
    way = ["HTTP POST", "receive", "append", "absorb", "write"]
    for before, after in pairwise(way):
        assert spans[after].parent_span_id == spans[before].span_id, after
        assert spans[before].start_time_unix_nano <= spans[after].end_time_unix_nano
    assert attributes(spans["HTTP POST"]) == {
        "http.request.method": "POST",
        "http.route": "/api/v1/messages",
        "http.response.status_code": 202,
    }
    assert attributes(spans["append"]) == {"messages": 1}
    (event,) = collector.events()
    assert (event["level"], event["message"]) == ("fatal", "the server ended")
    assert event["exception"]["values"][-1]["type"] == "Fatal"
    sent = b"".join(posted.body for posted in collector.posted)
    assert SECRET.encode() not in sent
    assert server.token.encode() not in sent
    assert b"plant/1" not in sent


def attributes(span: Span) -> dict[str, str | int]:
    return {one.key: one.value.string_value or one.value.int_value for one in span.attributes}
