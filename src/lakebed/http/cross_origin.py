"""Lets pages of other sites ask, where the settings name them (CORS, Fetch Standard, section 3.2).

A browser sends no cookie for them and shows them no answer that one was sent for: no answer here
allows credentials. Such a page has a token of its own.
"""

import re
from collections.abc import Sequence

from lakebed.http.asgi import App, Headers, Message, Receive, Scope, Send

METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE"
EXPOSED = (
    b"ETag, Location, Retry-After, Content-Range, Accept-Ranges, Content-Disposition,"
    b" WWW-Authenticate, X-Next-Cursor, X-Policy, X-Gaps, X-Influxdb-Version"
)
"""Headers of answers that scripts may read, beside those that they always may."""

_MAX_AGE = b"600"  # seconds that a browser remembers the answer to a preflight
_NAMES = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z, \t-]{1,2000}")


class CrossOrigin:
    """Wraps an application.

    Args:
        origins: as browsers write them; `*` for all.
    """

    def __init__(self, app: App, origins: Sequence[str]) -> None:
        self._app = app
        self._all = "*" in origins
        self._origins = frozenset(origin.encode() for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        origin = headers.get(b"origin")
        allowed = self._allowed(origin)
        wanted = headers.get(b"access-control-request-method")
        if allowed and scope["method"] == "OPTIONS" and wanted is not None:
            asked = headers.get(b"access-control-request-headers", b"")
            await _answer_preflight(send, allowed, asked)
            return

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                found = [*message.get("headers", ()), *allowed]
                if allowed:
                    found.append((b"access-control-expose-headers", EXPOSED))
                message = {**message, "headers": found}
            await send(message)

        await self._app(scope, receive, marked if allowed else self._varied(send))

    def _allowed(self, origin: bytes | None) -> Headers:
        """The headers that allow an origin; none for one that is not allowed."""
        if origin is None:
            return []
        if self._all:
            return [(b"access-control-allow-origin", b"*")]
        if origin not in self._origins:
            return []
        return [(b"access-control-allow-origin", origin), (b"vary", b"Origin")]

    def _varied(self, send: Send) -> Send:
        """Say to caches that the answer to another origin is another."""
        if self._all:
            return send

        async def varied(message: Message) -> None:
            if message["type"] == "http.response.start":
                found = [*message.get("headers", ()), (b"vary", b"Origin")]
                message = {**message, "headers": found}
            await send(message)

        return varied


async def _answer_preflight(send: Send, allowed: Headers, asked: bytes) -> None:
    headers = [
        *allowed,
        (b"access-control-allow-methods", METHODS),
        (b"access-control-max-age", _MAX_AGE),
        (b"vary", b"Access-Control-Request-Headers"),
    ]
    if _NAMES.fullmatch(asked):
        headers.append((b"access-control-allow-headers", asked))
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body"})
