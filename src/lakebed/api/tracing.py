"""Traces requests: one span from the first byte of a request to the end of its answer.

What is recorded names the route, never the path, the query or the body: these have topics, codes
and tokens. Requests that are answered without ASGI, of senders without `traceparent`, have no span
of their own: what they send is traced with the append that makes it durable.
"""

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from starlette.routing import Match, Mount

from lakebed.http.asgi import Message, Receive, Scope, Send
from lakebed.ports.tracing import CURRENT, TRACEPARENT, Span, Tracer, is_sampled

if TYPE_CHECKING:
    from lakebed.api.app import Application

FOLLOWED = 100
"""Traces of callers that are recorded in a second, because anybody may send such a header."""

_HEADER = TRACEPARENT.encode()
_LONGEST = 100  # bytes of a header that is looked at


class Traced:
    """Wraps the application. Event loop only."""

    def __init__(self, app: "Application", tracer: Tracer) -> None:
        self._app, self._tracer = app, tracer
        self.ingest, self.at_once = app.ingest, app.at_once
        self._second, self._followed = 0, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        span = self._start(scope) if scope["type"] == "http" else None
        if span is None:
            await self._app(scope, receive, send)
            return
        status = 0

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        entered = CURRENT.set(span.context)
        failed = "cancelled"
        try:
            await self._app(scope, receive, sent)
            failed = str(status) if status >= 500 else ""
        except Exception as error:
            failed = type(error).__name__
            raise
        finally:
            CURRENT.reset(entered)
            span.end(
                failed,
                http__request__method=scope["method"],
                http__route=self._route(scope),
                http__response__status_code=status,
            )

    def _start(self, scope: Scope) -> Span | None:
        parent = _traceparent(scope["headers"])
        name = f"HTTP {scope['method']}"
        if not parent:
            return self._tracer.start(name)
        if not is_sampled(parent) or self._is_too_much():
            return None
        return self._tracer.start(name, [parent])

    def _is_too_much(self) -> bool:
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._followed = second, 0
        self._followed += 1
        return self._followed > FOLLOWED

    def _route(self, scope: Scope) -> str:
        if scope["path"] in self.ingest.paths:
            return str(scope["path"])
        for route in self._app.control.routes:
            if not isinstance(route, Mount) and route.matches(scope)[0] != Match.NONE:
                return str(getattr(route, "path", ""))
        return ""


def _traceparent(headers: Iterable[tuple[bytes, bytes]]) -> str:
    for name, value in headers:
        if name == _HEADER:
            return value[:_LONGEST].decode("latin-1")
    return ""
