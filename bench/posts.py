"""A load generator for HTTP/1.1: kept connections, each with one request under way.

Requests are built beforehand. Answers are not parsed beyond their status line and their end.
"""

import asyncio
import re
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

from bench.apart import apart
from bench.forms import FORMS
from bench.load import Load, Measured, payload, topic
from bench.pace import Pace, drive_at

_OK, _DONE, _EXPORTED = b"HTTP/1.1 202", b"HTTP/1.1 204", b"HTTP/1.1 200"


@dataclass(frozen=True, slots=True)
class Posts:
    """How a `Load` goes over HTTP.

    Attributes:
        load: what to send; `connections` and `rate` count for HTTP too.
        lines: messages of one request: 1 for a POST per message, more for NDJSON.
        form: of these, one of `FORMS`.
    """

    load: Load
    lines: int = 1
    form: str = "ndjson"

    def requests(self) -> list[bytes]:
        load = self.load
        if self.lines == 1:
            heads = [
                self._head(f"/api/v1/messages?topic={topic(i, load)}", len(payload(0)))
                for i in range(load.topics)
            ]
            return [heads[i % load.topics] + payload(i) for i in range(load.messages)]
        return [
            self._batch(range(start, min(start + self.lines, load.messages)))
            for start in range(0, load.messages, self.lines)
        ]

    def _batch(self, share: range) -> bytes:
        form = FORMS[self.form]
        body = form.body(share, self.load)
        return self._head(form.path, len(body), form.headers) + body

    def _head(self, path: str, length: int, headers: Mapping[str, str] | None = None) -> bytes:
        more = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        return (
            f"POST {path} HTTP/1.1\r\nHost: {self.load.host}\r\n{more}"
            f"Authorization: Bearer {self.load.token}\r\nContent-Length: {length}\r\n\r\n"
        ).encode()


class _Poster(asyncio.Protocol):
    """One connection. `free` is told when it can take another request."""

    def __init__(self, free: "deque[_Poster]", work: "_Work") -> None:
        self._free, self._work = free, work
        self._due = 0.0
        self._answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._free.append(self)

    def post(self, request: bytes, due: float) -> None:
        self._due = due
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        if not self._is_whole():
            return
        answer, self._answer = self._answer, b""
        if not answer.startswith((_OK, _DONE, _EXPORTED)):
            self._work.fail(RuntimeError(f"refused: {answer[:300]!r}"))
            return
        self._work.answered(time.perf_counter() - self._due)
        self._free.append(self)
        self._work.next()

    def _is_whole(self) -> bool:
        if self._answer.startswith(_EXPORTED):  # its body, if any, is protobuf
            head, end, body = self._answer.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: *(\d+)", head)
            return bool(end) and len(body) >= (int(length[1]) if length else 0)
        return self._answer.endswith(b"\r\n\r\n" if self._answer.startswith(_DONE) else b"}")

    def connection_lost(self, error: Exception | None) -> None:
        self._work.fail(error or ConnectionError("the server closed the connection"))


class _Work:
    """Requests that are due, and the connections that are free for them."""

    def __init__(self, requests: Sequence[bytes]) -> None:
        self._requests = requests
        self._due: deque[tuple[int, float]] = deque()
        self._left = len(requests)
        self.free: deque[_Poster] = deque()
        self.waits: list[float] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def due(self, i: int) -> None:
        self._due.append((i, time.perf_counter()))
        self.next()

    def all_due(self) -> None:
        """As fast as it goes: a request is due at the moment in which it can leave."""
        self._due.extend((i, 0.0) for i in range(len(self._requests)))
        self.next()

    def next(self) -> None:
        while self._due and self.free:
            i, moment = self._due.popleft()
            self.free.popleft().post(self._requests[i], moment or time.perf_counter())

    def answered(self, wait: float) -> None:
        self.waits.append(wait)
        self._left -= 1
        if not self._left and not self.done.done():
            self.done.set_result(None)

    def fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)


async def _drive(posts: Posts) -> Measured:
    loop, load = asyncio.get_running_loop(), posts.load
    requests = posts.requests()
    work = _Work(requests)
    for _ in range(load.connections):
        await loop.create_connection(partial(_Poster, work.free, work), load.host, load.port)
    began, cpu, behind = time.monotonic(), time.process_time(), 0.0
    if load.rate:
        behind = await drive_at(Pace(load.rate / posts.lines, len(requests)), work.due)
    else:
        work.all_due()
    await work.done
    return Measured(
        began, time.monotonic() - began, time.process_time() - cpu, work.waits, behind
    )  # fmt: skip


def run(posts: Posts) -> Measured:
    """Send it all from another process."""
    measured: Measured = apart(_drive, posts)
    return measured
