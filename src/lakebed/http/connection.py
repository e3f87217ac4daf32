"""The server's side of one HTTP/1.1 connection: bytes to requests, requests to an ASGI application.

    data ──> httptools ──> Exchange, Exchange, …      pipelined requests wait for those before them
                              └── task: app(scope, receive, send) ──> transport

Sections are those of RFC 9112.
"""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import unquote

import httptools

from lakebed.http import problems
from lakebed.http.asgi import App, Headers, Scope
from lakebed.http.exchange import Exchange
from lakebed.system.descriptors import Descriptors
from lakebed.system.lingering import LingeringClose

KEEP_ALIVE = 5.0
"""Seconds a connection may be silent after an answer,"""

FIRST_REQUEST = 60.0
"""and until the head of its first request, or of one that has begun, is there."""

LARGEST_HEAD = 2**16
"""Bytes of a request's first line and header fields."""

_LARGEST_BODY_UNREAD = 2**16  # bytes of a body that the application has not asked for yet


@dataclass(slots=True)
class Shared:
    """State that the connections of one server share."""

    app: App
    descriptors: Descriptors = field(default_factory=Descriptors)
    connections: set["HttpConnection"] = field(default_factory=set)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)


class HttpConnection(asyncio.Protocol):
    """Serves one client until it disconnects, or `finish` is called. Event loop only."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._base: Scope = {}
        self._exchanges: deque[Exchange] = deque()  # the first is being answered
        self._unfinished: Exchange | None = None  # its body is not there to its end
        self._url = b""
        self._headers: Headers = []
        self._in_message = False
        self._head_size = 0  # bytes of a head that is not there to its end, but for its first read
        self._head_is_new = False
        self._unparsed = 0  # bytes of a body that the parser does not tell from what follows
        self._refusal: bytes | None = None  # to be sent last: the bytes are no HTTP
        self._leaving = False
        self._input_ended = False  # the client has closed its side
        self._reading = True
        self._writable = asyncio.Event()
        self._writable.set()
        self._silent_since = self._loop.time()
        self._may_be_silent = FIRST_REQUEST
        self._timer: asyncio.TimerHandle | None = None

    # --- what the transport calls -----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._shared.connections.add(self)
        opened = transport.get_extra_info("socket")
        if opened is not None and self._shared.descriptors.refuses(opened.fileno(), "http", 0.5):
            self._transport.abort()
            return
        tls = transport.get_extra_info("sslcontext") is not None
        self._base = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "scheme": "https" if tls else "http",
            "server": _address(transport.get_extra_info("sockname")),
            "client": _address(transport.get_extra_info("peername")),
            "root_path": "",
        }
        self._wait_for_request(FIRST_REQUEST)

    def data_received(self, data: bytes) -> None:
        if self._refusal is not None:
            return
        self._head_is_new = False
        if self._unparsed:
            data = self._take_unparsed(data)
        while data:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:  # it is ignored (RFC 9110 section 7.8)
                data = self._take_unparsed(data[upgrade.args[0] :])
                continue
            except httptools.HttpParserError:
                self._refuse(400, "this is not HTTP/1.1 as RFC 9112 has it")
            break
        if self._in_message and self._unfinished is None and not self._head_is_new:
            self._head_size += len(data)
            if self._head_size > LARGEST_HEAD:
                self._refuse(431, f"the head of a request has at most {LARGEST_HEAD} bytes")
        self._pause_or_resume()

    def eof_received(self) -> bool:
        """Keep the connection of a client that may still read; TLS has no half-close."""
        self._input_ended = True
        for exchange in self._exchanges:
            exchange.input_ended()
        return self._has_unanswered_request() and self._base["scheme"] == "http"

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._shared.connections.discard(self)
        self._writable.set()
        if self._timer is not None:
            self._timer.cancel()
        for exchange in self._exchanges:
            exchange.disconnect()

    def finish(self) -> None:
        """Answer the requests that have begun, then close."""
        self._leaving = True
        if not self.is_busy:
            self.close()

    @property
    def is_busy(self) -> bool:
        """Whether a request is being answered."""
        return bool(self._exchanges)

    @property
    def is_between_requests(self) -> bool:
        """Whether the next byte begins a request, which will be answered next."""
        return not (self._exchanges or self._in_message or self._refusal)

    def close(self) -> None:
        """Close; a client that still sends can read its answer before (section 9.6)."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        unanswered = bool(self._exchanges)  # behind them the socket was not read
        self._exchanges.clear()
        if unanswered or self._has_unread_input():
            self._transport = None  # nothing is written any more
            LingeringClose(transport, self.connection_lost).close()
        else:
            transport.close()

    def give_away(self) -> asyncio.Transport | None:
        """Forget the socket between two requests: another protocol has it now."""
        transport, self._transport = self._transport, None
        self._shared.connections.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        return transport

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _has_unanswered_request(self) -> bool:
        """Whether a request has come to its end and its answer has not begun."""
        return bool(self._exchanges) and self._exchanges[0].is_due

    def _has_unread_input(self) -> bool:
        """Whether the client may have sent bytes that no request has taken."""
        return self._in_message or self._refusal is not None

    # --- what the parser calls --------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._in_message = True
        self._head_size = 0
        self._head_is_new = True
        self._url = b""
        self._headers = []

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Raises ValueError where the target is none (section 3.2), or the body has no length."""
        url = httptools.parse_url(self._url)
        version = self._parser.get_http_version()
        path = url.path.decode("ascii")
        scope = {
            **self._base,
            "http_version": version,
            "method": self._parser.get_method().decode("ascii"),
            "path": unquote(path) if "%" in path else path,
            "raw_path": url.path,
            "query_string": url.query or b"",
            "headers": self._headers,
        }
        stays = version == "1.1" and self._parser.should_keep_alive()
        self._unfinished = exchange = Exchange(self, scope, stays)
        if self._parser.should_upgrade() and exchange.chunked:
            raise ValueError("an upgrade that cannot be ignored")
        self._exchanges.append(exchange)
        if len(self._exchanges) == 1:
            self._begin(exchange)

    def on_body(self, body: bytes) -> None:
        assert self._unfinished is not None
        self._unfinished.take(body)

    def on_message_complete(self) -> None:
        exchange = self._unfinished
        assert exchange is not None
        if self._parser.should_upgrade() and exchange.length:
            self._unparsed = exchange.length
        else:
            self._end_message(exchange)

    def _end_message(self, exchange: Exchange) -> None:
        self._in_message = False
        self._unfinished = None
        exchange.end()

    def _take_unparsed(self, data: bytes) -> bytes:
        """The body of a request that asks for an upgrade; returns what is behind it."""
        exchange = self._unfinished
        if exchange is None:
            return data
        body, rest = data[: self._unparsed], data[self._unparsed :]
        self._unparsed -= len(body)
        exchange.take(body)
        if not self._unparsed:
            self._end_message(exchange)
        return rest

    # --- requests, one after another --------------------------------------------------------------

    def _begin(self, exchange: Exchange) -> None:
        task = self._loop.create_task(exchange.run(self._shared.app))
        self._shared.tasks.add(task)
        task.add_done_callback(self._shared.tasks.discard)

    def answered(self, exchange: Exchange) -> None:
        """Continue after the first exchange: its response is complete, or was given up."""
        if self._transport is None:
            self._exchanges.clear()
            return
        self._exchanges.popleft()
        if not exchange.stays or self._leaving:
            self.close()
        elif self._exchanges:
            self._begin(self._exchanges[0])
        elif self._refusal is not None:
            self.write(self._refusal)
            self.close()
        elif self._input_ended:
            self.close()
        else:
            self._wait_for_request(KEEP_ALIVE)
        self._pause_or_resume()

    def _refuse(self, status: int, text: str) -> None:
        """Answer invalid bytes with an error, after all requests before them."""
        close = [(b"connection", b"close")]
        self._refusal = problems.whole(status, problems.document(status, text), close)
        if self._unfinished is not None:
            self._unfinished.stays = True  # until the refusal, which is its answer:
            self._unfinished.disconnect()  # its body ends nowhere
        if not self._exchanges:
            self.write(self._refusal)
            self.close()

    # --- the transport ----------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    async def drain(self) -> None:
        """Wait while the client does not read what was written."""
        await self._writable.wait()

    def body_taken(self) -> None:
        """Note that the application has read from a body."""
        self._pause_or_resume()

    def _pause_or_resume(self) -> None:
        """Pause reading while too much waits to be answered, else resume it."""
        if self._transport is None:
            return
        reading = not self._is_full()
        if reading != self._reading:
            self._reading = reading
            (self._transport.resume_reading if reading else self._transport.pause_reading)()

    def _is_full(self) -> bool:
        exchanges = self._exchanges
        return len(exchanges) > 1 or (
            len(exchanges) == 1 and exchanges[0].unread > _LARGEST_BODY_UNREAD
        )

    # --- silence ----------------------------------------------------------------------------------

    def _wait_for_request(self, seconds: float) -> None:
        """Close if no request comes in time. A connection has one timer, which is re-armed."""
        self._silent_since = self._loop.time()
        self._may_be_silent = seconds
        if self._timer is None:
            self._timer = self._loop.call_later(seconds, self._check_silence)

    def _check_silence(self) -> None:
        self._timer = None
        if self.is_busy:
            return  # its answer restarts the timer
        may_be_silent = FIRST_REQUEST if self._in_message else self._may_be_silent
        left = self._silent_since + may_be_silent - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._check_silence)
        else:
            self.close()


def _address(found: Any) -> tuple[str, int] | None:
    return (str(found[0]), int(found[1])) if isinstance(found, tuple) else None
