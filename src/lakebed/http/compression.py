"""Compresses answers by gzip or zstd, as clients accept it.

    application ──> Compressed ──┬── short, an event stream, a page, compressed already ──> as it is
                                 ├── whole ──> compressed at once
                                 └── a stream ──> piece by piece, each flushed

A compressed answer that holds a secret and something an attacker chose tells of the secret by its
length (BREACH). So pages are never compressed, as they hold the token of forms, nor answers to
anything but GET, which show new secrets; and what a browser sends a cookie or a password along with
by itself is compressed only where no other site has made it ask. `docs/why/security.md` tells more.
"""

import asyncio
import zlib
from collections.abc import Callable
from functools import partial
from typing import Protocol

import zstandard

from lakebed.http.asgi import App, Headers, Message, Receive, Scope, Send
from lakebed.http.entity_tags import CODED
from lakebed.http.negotiation import coding
from lakebed.http.tokens import is_basic

SHORTEST = 1_024
"""Bytes of a whole answer that are worth it."""

_IN_THREAD = 2**15  # bytes of a piece that would hold the event loop up
_GZIP_LEVEL = 1  # of records: to a 6.7th at 210 MB/s of CPU; level 6 to a 7.7th at 80
_ZSTD_LEVEL = 1  # to an 8th at 440 MB/s
_TYPES = {
    b"application/json",
    b"application/problem+json",
    b"application/x-ndjson",
    b"application/yaml",
    b"application/openmetrics-text",
    b"application/vnd.apache.arrow.stream",
    b"application/vnd.lakebed.points",
    b"text/csv",
    b"text/plain",
    b"text/javascript",
    b"text/css",
    b"image/svg+xml",
}
_VARY = b"Accept-Encoding"


class Compressed:
    """Wraps an application."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "GET":
            send = _Answer(_coding(dict(scope["headers"])), send).send
        await self._app(scope, receive, send)


def _coding(headers: dict[bytes, bytes]) -> str | None:
    chosen = coding(headers.get(b"accept-encoding", b"").decode("latin-1"))
    return chosen if chosen is not None and _is_own(headers) else None


def _is_own(headers: dict[bytes, bytes]) -> bool:
    """Whether no other site can have made a browser send this with what it knows of its user."""
    basic = is_basic(headers.get(b"authorization", b""))
    if b"cookie" not in headers and not basic:
        return True
    site = headers.get(b"sec-fetch-site")
    if site is None:  # a program, or a browser without TLS; old ones are known by their cookie
        return b"cookie" not in headers
    return site in (b"same-origin", b"none")


class _Coder(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self, mode: int, /) -> bytes: ...


class _Answer:
    def __init__(self, coding: str | None, send: Send) -> None:
        self._coding = coding
        self._send = send
        self._start: Message | None = None  # of a whole answer: its length is not known yet
        self._coder: _Coder | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._begin(message)
        elif self._start is not None:
            start, self._start = self._start, None
            await self._whole(start, message)
        elif self._coder is not None:
            body, more = message.get("body", b""), message.get("more_body", False)
            coded = await _apart(len(body), partial(self._piece, self._coder, body, more))
            await self._send({**message, "body": coded})
        else:
            await self._send(message)

    async def _begin(self, start: Message) -> None:
        headers: Headers = list(start.get("headers", ()))
        if not _is_compressible(start["status"], dict(headers)):
            await self._send(start)
            return
        headers = _varying(headers)
        start = {**start, "headers": headers}
        length = dict(headers).get(b"content-length")
        if self._coding is None or (length is not None and int(length) < SHORTEST):
            await self._send(start)
        elif length is not None:
            self._start = start
        else:
            self._coder = _coder(self._coding)
            await self._send({**start, "headers": _coded(headers, self._coding)})

    async def _whole(self, start: Message, message: Message) -> None:
        assert self._coding is not None
        if message.get("more_body", False):  # in pieces, although its length is known
            self._coder = _coder(self._coding)
            await self._send({**start, "headers": _coded(start["headers"], self._coding)})
            await self.send(message)
            return
        body = message.get("body", b"")
        coded = await _apart(len(body), partial(self._piece, _coder(self._coding), body, False))
        if len(coded) < len(body):
            headers = _coded(start["headers"], self._coding)
            headers.append((b"content-length", b"%d" % len(coded)))
            start, message = {**start, "headers": headers}, {**message, "body": coded}
        await self._send(start)
        await self._send(message)

    def _piece(self, coder: _Coder, body: bytes, more: bool) -> bytes:
        """A piece, up to its last byte: readers of a stream wait for none."""
        found = coder.compress(body) if body else b""
        if body or not more:
            found += coder.flush(_flush(self._coding, more))
        return found


def _coder(name: str) -> _Coder:
    if name == "gzip":
        return zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return zstandard.ZstdCompressor(_ZSTD_LEVEL, write_content_size=False).compressobj()


def _flush(name: str | None, more: bool) -> int:
    if name == "gzip":
        return zlib.Z_SYNC_FLUSH if more else zlib.Z_FINISH
    return zstandard.COMPRESSOBJ_FLUSH_BLOCK if more else zstandard.COMPRESSOBJ_FLUSH_FINISH


async def _apart(size: int, work: Callable[[], bytes]) -> bytes:
    """Do it in a thread if it would hold the event loop up."""
    return await asyncio.to_thread(work) if size > _IN_THREAD else work()


def _is_compressible(status: int, headers: dict[bytes, bytes]) -> bool:
    media = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if media not in _TYPES or status == 206 or b"content-encoding" in headers:
        return False
    return b"no-transform" not in headers.get(b"cache-control", b"").lower()


def _varying(headers: Headers) -> Headers:
    """Say to caches that the answer depends on what the client accepts."""
    for number, (name, value) in enumerate(headers):
        if name == b"vary":
            known = value.lower()
            if _VARY.lower() not in known and known.strip() != b"*":
                headers[number] = (name, value + b", " + _VARY)
            return headers
    return [*headers, (b"vary", _VARY)]


def _coded(headers: Headers, name: str) -> Headers:
    """The headers of the compressed form; without a length."""
    found = [one for one in headers if one[0] not in (b"content-length", b"accept-ranges")]
    for number, (header, value) in enumerate(found):
        if header == b"etag" and value.endswith(b'"') and not value.startswith(b"W/"):
            found[number] = (header, value[:-1] + CODED[name].encode() + b'"')
    return [*found, (b"content-encoding", name.encode())]
