"""The bus as an HTTP server of threads.

GET /events?cursor=&offset=&limit=&wait=   {"events": […], "next_cursor": "…"}, and a Link header
GET /stream?cursor=            lines of JSON, or server-sent events if these are asked for
POST /events                   events to hold: a list, or lines of JSON
POST /ack                      {"cursor"} or {"ids"}
POST /metrics, GET /metrics    figures that come back, and a look at them
GET /failures, PUT /failures   what goes wrong on request
GET /state                     counts
"""

import hmac
import json
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from lakebed.simulation.bus.events import Events, Generator
from lakebed.simulation.bus.failures import Failures

_MOST_BODY = 64 * 2**20  # bytes
_LONGEST_WAIT = 60.0  # seconds
_HANG = 60.0
_TURN = 0.05  # seconds between two batches of made events
_UNHARMED = ("/failures", "/state")


class DevBus:
    """
    Args:
        rate: events made in a second.
        token: that requests must have as a bearer; "" for none.
    """

    def __init__(
        self, host: str, port: int, events: Events, failures: Failures, rate: float, seed: int,
        token: str = "",
    ) -> None:  # fmt: skip
        self.events, self.failures, self.rate = events, failures, rate
        self.token = token
        self._generator = Generator(seed, failures.late, failures.malformed)
        self.stopping = threading.Event()
        self._server = ThreadingHTTPServer((host, port), _handler(self))
        self._server.daemon_threads = True

    @property
    def address(self) -> tuple[str, int]:
        host, port = self._server.server_address[:2]
        return str(host), int(port)

    def run(self) -> None:
        """Serve until `stop`."""
        threading.Thread(target=self._make, name="events", daemon=True).start()
        self._server.serve_forever(poll_interval=0.05)

    def stop(self) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self.events.close()

    def _make(self) -> None:
        due = 0.0
        while not self.stopping.wait(_TURN):
            due += self.rate * _TURN
            self._generator.late = self.failures.late
            self._generator.malformed = self.failures.malformed
            if due >= 1:
                self.events.append(self._generator.make(int(due), time.time()))
                due -= int(due)


def _handler(bus: DevBus) -> type[BaseHTTPRequestHandler]:
    return type("Handler", (_Handler,), {"bus": bus})


class _Handler(BaseHTTPRequestHandler):
    bus: DevBus
    protocol_version = "HTTP/1.1"
    timeout = 120  # seconds that a connection may say nothing

    def log_message(self, format: str, *args: Any) -> None:
        """Log no requests: polling would fill the terminal."""

    def do_GET(self) -> None:
        self._serve({
            "/events": self._read, "/stream": self._stream, "/metrics": self._metrics,
            "/failures": lambda: self._answer(asdict(self.bus.failures)),
            "/state": lambda: self._answer(self.bus.events.state()),
        })  # fmt: skip

    def do_POST(self) -> None:
        self._serve({
            "/events": self._append, "/ack": self._acknowledge, "/metrics": self._take_metrics,
        })  # fmt: skip

    def do_PUT(self) -> None:
        self._serve({"/failures": self._fail})

    def _serve(self, routes: dict[str, Callable[[], None]]) -> None:
        split = urlsplit(self.path)
        self.query = {key: values[-1] for key, values in parse_qs(split.query).items()}
        failures = self.bus.failures
        try:
            if (route := routes.get(split.path)) is None:
                self._answer({"error": "there is no such path"}, 404)
                return
            given = self.headers.get("Authorization", "")
            if self.bus.token and not hmac.compare_digest(given, f"Bearer {self.bus.token}"):
                self._answer({"error": "give the token as a bearer"}, 401)
                return
            if split.path not in _UNHARMED:
                failures.sleep()
                if failures.happens(failures.hang):
                    self.bus.stopping.wait(_HANG)
                    self.close_connection = True
                    return
                if failures.happens(failures.errors):
                    self._body()
                    self._answer({"error": "an error on request"}, 503)
                    return
                if failures.happens(failures.drop / 2):
                    self.close_connection = True
                    return
            route()
        except (ValueError, KeyError, TypeError) as error:
            self._answer({"error": str(error)}, 400)
        except OSError:
            self.close_connection = True

    # --- events -----------------------------------------------------------------------------------

    def _read(self) -> None:
        start = int(self.query.get("cursor") or self.query.get("offset") or 0)
        limit = min(max(1, int(self.query.get("limit", 1000))), 100_000)
        wait = min(float(self.query.get("wait", 0)), _LONGEST_WAIT)
        found = self.bus.events.read(start, limit, wait)
        following = start + len(found)
        link = f'</events?cursor={following}&limit={limit}>; rel="next"'
        document = b'{"events":[%b],"next_cursor":"%d"}' % (
            b",".join(self._twice(found)),
            following,
        )
        self._send(document, "application/json", 200, {"Link": link})

    def _twice(self, found: list[bytes]) -> list[bytes]:
        """With some of the events a second time, as a bus that repeats itself."""
        failures = self.bus.failures
        if not failures.duplicates:
            return found
        return [
            one for raw in found for one in ([raw] * (1 + failures.happens(failures.duplicates)))
        ]

    def _stream(self) -> None:
        last = self.headers.get("Last-Event-ID") or self.query.get("cursor") or "0"
        at = int(last)
        sent_events = "text/event-stream" in self.headers.get("Accept", "")
        self.send_response(200)
        self.send_header(
            "Content-Type", "text/event-stream" if sent_events else "application/x-ndjson"
        )
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        failures = self.bus.failures
        while not self.bus.stopping.is_set():
            found = self.bus.events.read(at, 100, 1.0)
            pieces = []
            for raw in found:
                at += 1
                pieces.append(b"id: %d\ndata: %b\n\n" % (at, raw) if sent_events else raw + b"\n")
            text = b"".join(pieces) or (b": nothing yet\n\n" if sent_events else b"\n")
            self.wfile.write(b"%x\r\n%b\r\n" % (len(text), text))
            self.wfile.flush()
            if failures.happens(failures.drop):
                break
        self.close_connection = True

    def _append(self) -> None:
        body = self._body().strip()
        if body[:1] == b"[":
            found = [json.dumps(one, separators=(",", ":")).encode() for one in json.loads(body)]
        else:
            found = [one for one in body.splitlines() if one.strip()]
        self.bus.events.append(found)
        self._answer({"events": len(self.bus.events)}, 202)

    # --- what comes back --------------------------------------------------------------------------

    def _acknowledge(self) -> None:
        self.bus.events.acknowledge(json.loads(self._body()))
        self._answer(self.bus.events.state())

    def _take_metrics(self) -> None:
        found = json.loads(self._body())
        self.bus.events.metrics.extend(found if isinstance(found, list) else [found])
        self._answer({"metrics": len(self.bus.events.metrics)}, 202)

    def _metrics(self) -> None:
        self._answer({"metrics": list(self.bus.events.metrics)})

    def _fail(self) -> None:
        self.bus.failures.change(json.loads(self._body()))
        self._answer(asdict(self.bus.failures))

    # --- bytes ------------------------------------------------------------------------------------

    def _body(self) -> bytes:
        length = int(self.headers.get("Content-Length") or 0)
        if not 0 <= length <= _MOST_BODY:
            raise ValueError(f"a body has at most {_MOST_BODY} bytes")
        return self.rfile.read(length)

    def _answer(self, document: Any, status: int = 200) -> None:
        self._send(json.dumps(document).encode(), "application/json", status, {})

    def _send(self, body: bytes, content: str, status: int, headers: dict[str, str]) -> None:
        failures = self.bus.failures
        self.send_response(status)
        self.send_header("Content-Type", content)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if failures.happens(failures.drop / 2) and urlsplit(self.path).path not in _UNHARMED:
            self.wfile.write(body[: len(body) // 2])
            self.close_connection = True
            return
        self.wfile.write(body)
