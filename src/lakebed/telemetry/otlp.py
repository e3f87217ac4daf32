"""Sends spans to a collector of OpenTelemetry, by OTLP over HTTP. Needs the extra `telemetry`.

start ──sampled?──> SDK's span ──end──> queue of 2,048 ──every second──> POST URL/v1/traces

Where the collector is away spans are dropped once the queue is full: nothing waits for it. Headers
that it wants are in the SDK's own variable, `OTEL_EXPORTER_OTLP_HEADERS`.
"""

import random
from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.trace import Span as SdkSpan

from lakebed import __version__
from lakebed.ports.tracing import MOST, Span, is_sampled
from lakebed.system.processes import process_name
from lakebed.vocabulary.times import Micros

_QUEUE, _BATCH = 2048, 512  # spans
_EVERY = 1.0  # seconds
_TIMEOUT = 3.0  # seconds of a request; a stop waits no longer


class OtlpTracer:
    """Implements `ports.tracing.Tracer`.

    Args:
        url: of the collector, without a path.
        sample: share of traces that begin here.
        roles: of this process.
    """

    def __init__(self, url: str, sample: float, roles: Sequence[str]) -> None:
        self._sample = sample
        resource = Resource.create(
            {
                "service.name": "lakebed",
                "service.version": __version__,
                "service.instance.id": process_name(),
                "lakebed.roles": list(roles),
            }
        )
        exporter = OTLPSpanExporter(endpoint=f"{url}/v1/traces", timeout=_TIMEOUT)
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,  # it is decided here
            resource=resource,
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(exporter, _QUEUE, _EVERY * 1000, _BATCH, _TIMEOUT * 1000)
        )
        self._tracer = self._provider.get_tracer("lakebed", __version__)

    def start(self, name: str, parents: Sequence[str] = (), since: Micros = 0) -> Span | None:
        sampled = [context for context in parents[:MOST] if is_sampled(context)]
        if not sampled and (parents or random.random() >= self._sample):  # noqa: S311
            return None
        contexts = [_parsed(context) for context in sampled]
        parent = set_span_in_context(NonRecordingSpan(contexts[0])) if contexts else None
        return _Span(
            self._tracer.start_span(
                name,
                parent,
                links=[Link(context) for context in contexts[1:]],
                start_time=since * 1000 if since else None,
            )
        )

    def close(self) -> None:
        """Send what waits. Blocks for some seconds at most."""
        self._provider.shutdown()


class _Span:
    def __init__(self, span: SdkSpan) -> None:
        self._span = span
        own = span.get_span_context()
        self.context = f"00-{own.trace_id:032x}-{own.span_id:016x}-01"

    def end(self, failed: str = "", **attributes: str | int) -> None:
        for name, value in attributes.items():
            self._span.set_attribute(name.replace("__", "."), value)
        if failed:
            self._span.set_attribute("error.type", failed)
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()


def _parsed(context: str) -> SpanContext:
    _, trace, span, flags = context.split("-")
    return SpanContext(int(trace, 16), int(span, 16), True, TraceFlags(int(flags, 16)))
