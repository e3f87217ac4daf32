"""A server that keeps what is posted to it: OTLP, and envelopes of Sentry."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from sentry_sdk.envelope import Envelope


class Posted(NamedTuple):
    path: str
    headers: dict[str, str]
    body: bytes


class Collector:
    """What was posted so far."""

    def __init__(self, address: str) -> None:
        self.url = f"http://{address}"
        self.dsn = f"http://public@{address}/7"
        self.posted: list[Posted] = []

    def spans(self) -> list[Span]:
        """All spans of the traces that were exported."""
        return [
            span
            for posted in self.posted
            if posted.path == "/v1/traces"
            for resource in ExportTraceServiceRequest.FromString(posted.body).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def events(self) -> list[dict[str, Any]]:
        """All events of the envelopes that came to the project."""
        return [
            item.payload.json
            for posted in self.posted
            if posted.path == "/api/7/envelope/"
            for item in Envelope.deserialize(posted.body).items
            if item.type == "event" and item.payload.json is not None
        ]


@contextmanager
def collecting() -> Iterator[Collector]:
    """Listens on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            headers = {name.lower(): value for name, value in self.headers.items()}
            found.posted.append(Posted(self.path, headers, body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found = Collector(f"127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()
