"""One request and its response, as an ASGI application sees them (specification HTTP 2.3)."""

import asyncio
import logging
from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING

from lakebed.http import problems
from lakebed.http.asgi import App, Message, Scope
from lakebed.vocabulary.errors import Unavailable

if TYPE_CHECKING:
    from lakebed.http.connection import HttpConnection

_STATUS = {
    status.value: b"HTTP/1.1 %d %b\r\n" % (status, status.phrase.encode()) for status in HTTPStatus
}
_WITHOUT_BODY = frozenset((204, 304))
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

log = logging.getLogger(__name__)


class Exchange:
    """Made by its connection, which brings the body; `run` brings the response.

    Attributes:
        length: bytes of the body as the head tells them; 0 where it does not.
        chunked: the body comes in chunks instead.
        stays: whether the connection stays open behind the response.
        unread: bytes of the body that wait for `receive`.
    """

    __slots__ = (
        "_body",
        "_changed",
        "_chunked",
        "_complete",
        "_connection",
        "_continue",
        "_ended",
        "_gone",
        "_input_ended",
        "_left",
        "_read_all",
        "_scope",
        "_started",
        "chunked",
        "length",
        "stays",
        "unread",
    )  # fmt: skip

    def __init__(self, connection: "HttpConnection", scope: Scope, stays: bool) -> None:
        self._connection = connection
        self._scope = scope
        self.stays = stays
        self.length = 0
        self.chunked = False
        self._continue = False  # the client waits for a word before it sends the body
        for name, value in scope["headers"]:
            if name == b"content-length":
                self.length = int(value)
            elif name == b"transfer-encoding":
                self.chunked = True
            elif name == b"expect":
                self._continue = value.lower() == b"100-continue"
        self._body: list[bytes] = []
        self.unread = 0
        self._ended = False  # the body is there to its end,
        self._read_all = False  # and the application has it
        self._input_ended = False  # the client says no more,
        self._gone = False  # the client has disconnected
        self._changed = asyncio.Event()
        self._started = self._complete = False  # the response
        self._chunked = False
        self._left = 0  # bytes that the response still owes

    @property
    def is_due(self) -> bool:
        """Whether the request has come to its end and the response has not begun."""
        return self._ended and not (self._started or self._gone)

    # --- the request ------------------------------------------------------------------------------

    def take(self, body: bytes) -> None:
        """Add to the body; drop the data if the response is complete."""
        if not self._complete:
            self._body.append(body)
            self.unread += len(body)
            self._changed.set()

    def end(self) -> None:
        self._ended = True
        self._continue = False
        self._changed.set()

    def input_ended(self) -> None:
        """Note that the client sends no more. It may have gone, or wait for the response."""
        self._input_ended = True
        self._changed.set()

    def disconnect(self) -> None:
        """Note that the client has disconnected."""
        self._gone = True
        self._changed.set()

    async def receive(self) -> Message:
        if self._continue:
            self._continue = False
            self._connection.write(_CONTINUE)
        over = self._gone or self._complete or (self._read_all and self._input_ended)
        if not over:
            await self._changed.wait()
            self._changed.clear()
        if self._gone or self._complete or self._read_all:
            return {"type": "http.disconnect"}
        self._read_all = self._ended
        body = b"".join(self._body)
        self._body.clear()
        self.unread = 0
        self._connection.body_taken()
        return {"type": "http.request", "body": body, "more_body": not self._ended}

    # --- the response -----------------------------------------------------------------------------

    async def run(self, app: App) -> None:
        """Run the application; answer with an error if it fails."""
        try:
            await app(self._scope, self.receive, self.send)
            if not (self._complete or self._gone):
                raise RuntimeError("the application ended without a whole response")
        except asyncio.CancelledError:  # the server stops: the sender should retry elsewhere
            await self._fail(Unavailable("the process is stopping"))
        except Exception as error:
            await self._fail(error)
        finally:
            self._complete = True
            self._connection.answered(self)

    async def _fail(self, error: Exception) -> None:
        self.stays = False
        status, document, headers = problems.of_error(error)
        if not self._started:
            await problems.answer_json(self.send, status, document, headers, problems.MEDIA_TYPE)

    async def send(self, message: Message) -> None:
        await self._connection.drain()
        if self._gone:
            return
        if not self._started:
            self._connection.write(self._head(message["status"], message.get("headers", ())))
            self._started = True
        elif not self._complete:
            self._send_body(message.get("body", b""), message.get("more_body", False))
        else:
            raise RuntimeError("the response is complete: nothing may be sent after it")

    def _head(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        """Encode the head, with the length of the body or chunked framing (section 6)."""
        if self._continue:  # it is unknown whether the client still sends its body
            self._continue = self.stays = False
        without = status in _WITHOUT_BODY or self._scope["method"] == "HEAD"
        framed = closes = False
        head = [_STATUS[status]]
        for name, value in headers:
            if b"\n" in value or b"\r" in value or b"\0" in value:
                raise RuntimeError(f"the header {name!r} has an invalid value")
            name = name.lower()
            if name == b"content-length":
                framed, self._left = True, 0 if without else int(value)
            elif name == b"connection":
                closes = value.lower() == b"close"
            head.append(b"%b: %b\r\n" % (name, value))
        if closes:
            self.stays = False
        elif not self.stays:
            head.append(b"connection: close\r\n")
        if not (framed or without):
            self._frame_by_chunks(head)
        return b"".join([*head, b"\r\n"])

    def _frame_by_chunks(self, head: list[bytes]) -> None:
        """Use chunks; without them, in HTTP/1.0, the connection's end is the end of the body."""
        if self._scope["http_version"] == "1.1":
            self._chunked = True
            head.append(b"transfer-encoding: chunked\r\n")
        else:
            self._left = -1

    def _send_body(self, body: bytes, more: bool) -> None:
        if self._chunked:
            framed = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            self._connection.write(framed if more else framed + b"0\r\n\r\n")
        elif self._scope["method"] != "HEAD" and body:
            self._count_sent(len(body))
            self._connection.write(body)
        if not more:
            self._complete = True
            self._body.clear()
            if self._left > 0:
                raise RuntimeError("the response is shorter than its Content-Length")

    def _count_sent(self, size: int) -> None:
        if self._left < 0:
            return
        if size > self._left:
            raise RuntimeError("the response is longer than its Content-Length")
        self._left -= size
