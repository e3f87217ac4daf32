"""Spans of what is sampled reach the collector, under their parents; of the rest nothing."""

import sys
from collections.abc import Iterator

import numpy as np
import pytest
from tests.servers.collecting import Collector, collecting

from lakebed.ingest.tracing import begin
from lakebed.ports.tracing import MOST, contexts, is_sampled, with_context
from lakebed.telemetry.opening import open_reporter, open_tracer
from lakebed.telemetry.otlp import OtlpTracer
from lakebed.telemetry.settings import TelemetrySection
from lakebed.vocabulary.attributes import Attributes, Coded
from lakebed.vocabulary.errors import SettingsError
from lakebed.vocabulary.messages import Batch, Channel
from lakebed.vocabulary.sparse import NOTHING

ONE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TWO = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
UNSAMPLED = ONE[:-2] + "00"
BY = Attributes(principal="token:shed", decisions=(("client", "shed"),))


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as found:
        yield found


@pytest.fixture
def tracer(collector: Collector) -> Iterator[OtlpTracer]:
    collector.posted.clear()
    found = OtlpTracer(collector.url, 1.0, ["gateway"])
    yield found
    found.close()


def batch(*attributes: Attributes | None) -> Batch:
    n = len(attributes)
    found = [one or Attributes() for one in attributes]
    sparse = NOTHING if not any(attributes) else NOTHING._replace(attributes=Coded.of(found))
    payloads, received = [b"1"] * n, np.full(n, 1_800_000_000_000_000)
    return Batch((Channel("ann", "t"),), np.zeros(n, np.int32), payloads, received, sparse)


def test_a_span_belongs_to_its_first_parent_and_links_to_the_others(
    tracer: OtlpTracer, collector: Collector
) -> None:
    span = tracer.start("receive", [UNSAMPLED, ONE, TWO], since=1_800_000_000_000_000)
    assert span is not None
    assert span.context.startswith(ONE[:36])
    assert is_sampled(span.context)
    span.end("KeyError", messages=3)
    tracer.close()
    (found,) = collector.spans()
    assert (found.trace_id.hex(), found.parent_span_id.hex()) == tuple(ONE.split("-")[1:3])
    assert [link.trace_id.hex() for link in found.links] == [TWO.split("-")[1]]
    assert found.start_time_unix_nano == 1_800_000_000_000_000_000
    assert found.status.code == 2
    assert {one.key for one in found.attributes} == {"messages", "error.type"}


def test_a_share_of_traces_begins_here(collector: Collector) -> None:
    none = OtlpTracer(collector.url, 0.0, [])
    assert none.start("receive") is None
    assert none.start("receive", [ONE]) is not None
    none.close()


def test_what_a_caller_does_not_sample_is_not_traced(tracer: OtlpTracer) -> None:
    assert tracer.start("receive", [UNSAMPLED]) is None
    assert tracer.start("receive", ["00-0-0-01"]) is None


def test_a_collector_that_is_away_stops_nothing() -> None:
    away = OtlpTracer("http://127.0.0.1:1", 1.0, [])
    span = away.start("receive")
    assert span is not None
    span.end()
    away.close()


@pytest.mark.parametrize(
    "context",
    ["", "00", ONE + "-x", ONE.upper(), "01" + ONE[2:], "00-" + "0" * 32 + ONE[35:], UNSAMPLED],
)
def test_contexts_are_of_the_form_of_level_1_and_sampled(context: str) -> None:
    assert not is_sampled(context)


@pytest.mark.parametrize("first", [None, BY, with_context(BY, ONE)])
def test_the_first_message_of_an_append_has_its_context(
    tracer: OtlpTracer, first: Attributes | None
) -> None:
    marked, trace = begin(tracer, batch(first, None, BY, with_context(None, TWO)))
    assert trace is not None
    trace.end()
    attributes = marked.sparse.attributes
    assert attributes is not None
    assert attributes[0].principal == ("" if first is None else BY.principal)
    (own,) = [value for name, value in attributes[0].decisions if name == "traceparent"]
    assert own not in (ONE, TWO)
    assert (attributes[1], attributes[2]) == (Attributes(), BY)
    assert set(contexts(attributes)) == {own, TWO}


def test_what_is_not_sampled_is_appended_as_it_is(collector: Collector) -> None:
    tracer = OtlpTracer(collector.url, 0.0, [])
    given = batch(BY, None)
    assert begin(tracer, given) == (given, None)
    tracer.close()


def test_few_contexts_of_a_batch_are_looked_at() -> None:
    many = [with_context(None, f"00-{n:032x}-{n:016x}-01") for n in range(1, 3 * MOST)]
    assert len(contexts(Coded.of(many))) == MOST


def test_nothing_is_opened_that_is_not_asked_for() -> None:
    assert open_tracer(TelemetrySection(), ["api"]) is None
    assert open_reporter(TelemetrySection(), ["api"]) is None


def test_a_missing_package_is_named_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("lakebed.telemetry.otlp", "lakebed.telemetry.sentry"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    for module in ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp", "sentry_sdk"):
        monkeypatch.setitem(sys.modules, module, None)
    asked = TelemetrySection(otlp="http://collector:4318", sentry="https://key@sentry.example/7")
    with pytest.raises(SettingsError, match=r"telemetry.otlp: .*install lakebed\[telemetry\]"):
        open_tracer(asked, [])
    with pytest.raises(SettingsError, match=r"telemetry.sentry: .*install lakebed\[telemetry\]"):
        open_reporter(asked, [])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("otlp", "collector:4318"), ("otlp", "ftp://collector"), ("sentry", "https://sentry/7"),
        ("sentry", "https://key@sentry"), ("sample", "1.1"), ("sample", "-1"),
    ],
)  # fmt: skip
def test_addresses_that_cannot_be_are_refused(key: str, value: str) -> None:
    with pytest.raises(ValueError, match=key):
        TelemetrySection.model_validate({key: value})
