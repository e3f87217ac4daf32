"""Answers conditions and ranges of GET: 304, 206, 412 and 416.

    application ──200, whole──> Conditional ──ETag──┬── the caller has it ──> 304
                                                    ├── Range ─────────────> 206, 416
                                                    └──────────────────────> 200

An answer without an ETag gets one of its bytes. Streams pass as they are, and so does what must
not be stored.
"""

import msgspec

from lakebed.http.asgi import App, Headers, Message, Receive, Scope, Send
from lakebed.http.entity_tags import Verdict, as_known, judge, tag_of
from lakebed.http.problems import MEDIA_TYPE, document

_REVALIDATE = (b"cache-control", b"private, no-cache")
_OF_CONTENT = (b"content-length", b"content-type", b"content-range", b"content-disposition")


class Conditional:
    """Wraps an application. HEAD must have become GET before."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = send if scope["method"] != "GET" else _Answer(scope, send).send
        await self._app(scope, receive, answer)


class _Answer:
    """Holds the head of a whole answer back until its body is there."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope = scope
        self._send = send
        self._start: Message | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if _is_whole(message):
                self._start = message
                return
        elif self._start is not None:
            start, self._start = self._start, None
            if not message.get("more_body", False):
                await self._judged(start, message.get("body", b""))
                return
            await self._send(start)
        await self._send(message)

    async def _judged(self, start: Message, body: bytes) -> None:
        headers: Headers = list(start["headers"])
        named = dict(headers)
        etag = named.get(b"etag")
        if etag is None:
            etag = b'"%b"' % tag_of(body).encode()
            headers.append((b"etag", etag))
        if b"cache-control" not in named:
            headers.append(_REVALIDATE)
        ranges = named.get(b"accept-ranges") == b"bytes"
        asked = dict(self._scope["headers"])
        verdict = judge(asked, etag, len(body), ranges)
        if verdict.status == 304:
            headers = [one for one in headers if one[0] != b"etag"]
            headers.append((b"etag", as_known(asked, etag)))
        headers, body = _answered(verdict, headers, body)
        await self._send({**start, "status": verdict.status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})


def _is_whole(start: Message) -> bool:
    """Whether an answer has a known length and may be stored."""
    headers = dict(start.get("headers", ()))
    if start["status"] != 200 or b"content-length" not in headers:
        return False
    return b"no-store" not in headers.get(b"cache-control", b"").lower()


def _answered(verdict: Verdict, headers: Headers, body: bytes) -> tuple[Headers, bytes]:
    """The head and the body of the answer to a verdict."""
    if verdict.status == 200:
        return headers, body
    length = len(body)
    if verdict.status == 206:
        found = b"bytes %d-%d/%d" % (verdict.start, verdict.stop - 1, length)
        headers = [one for one in headers if one[0] != b"content-length"]
        headers += [(b"content-length", b"%d" % verdict.size), (b"content-range", found)]
        return headers, body[verdict.start : verdict.stop]
    headers = [one for one in headers if one[0] not in _OF_CONTENT]
    if verdict.status == 304:
        return headers, b""
    if verdict.status == 416:
        headers.append((b"content-range", b"bytes */%d" % length))
        told = f"Range: there are {length} bytes"
    else:
        told = "If-Match: it is another by now: read it again"
    problem = msgspec.json.encode(document(verdict.status, told))
    headers += [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", b"%d" % len(problem)),
    ]
    return headers, problem
