"""Plain POSTs of messages, answered without a task, a scope or a parser.

    data ──┬── a whole POST of messages, its head seen before ──> intake ──durable──> 202
           └── everything else ──> uvicorn's protocol, parser and ASGI

Devices repeat themselves: the bytes of a request's head are the same each time but for its length.
A head is looked at once, strictly; what it means is remembered under its bytes. Whatever is not
plain (another header, another encoding, a token to look up, a bad line, a shut gate) goes the
ordinary way, which then gives the answer.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from lakebed.http import problems
from lakebed.sources.http.ingest import ACCEPTED, PATIENCE, SLOW, Ingest, takes_messages
from lakebed.sources.http.request_heads import CachedHead
from lakebed.sources.lingering import LingeringClose
from lakebed.vocabulary.errors import Unavailable
from lakebed.vocabulary.times import now

_BEGINS = b"POST /api/v1/messages"
_HEAD_END = b"\r\n\r\n"
_MOST_WAITING = 2**18  # bytes behind a request under way, before the socket is left alone
_STATUS = b"HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
_ANSWER = _STATUS % (len(ACCEPTED), ACCEPTED)


class FastPathProtocol(HttpToolsProtocol):
    """uvicorn's protocol with a short way in front of it. One request is under way at a time."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._ingest: Ingest = self.config.app.ingest  # type: ignore[union-attr]
        self._in_message = False  # the parser stands inside a request
        self._behind: list[bytes] = []  # what came behind the request under way,
        self._behind_size = 0  # and how much that is
        self._under_way = 0  # the number of the request that waits for the journal; 0: none
        self._numbers = 0
        self._end_waiting: Callable[[], object] | None = None
        self._asked_at = 0.0  # when that request was offered
        self._patience: asyncio.TimerHandle | None = None
        self._pieces: list[bytes] = []  # a plain request that is not there to its end
        self._missing = 0  # bytes of it that are still to come
        self._leaving = False
        self._heard_all = False  # the client has closed its side
        self._unreadable = ""  # what is wrong with what came behind the requests under way
        self._answered_at = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        within = ClosingTransport(transport, self._has_unread_input, self.connection_lost)
        super().connection_made(within)  # type: ignore[arg-type]

    def data_received(self, data: bytes) -> None:
        if self._under_way:
            self._wait(data)
            return
        if self._unreadable:
            return
        if self._pieces:
            self._pieces.append(data)
            self._missing -= len(data)
            if self._missing > 0:
                return
            data = b"".join(self._pieces)
            self._pieces.clear()
        if not (data.startswith(_BEGINS) and self._is_idle() and self._take(data)):
            super().data_received(data)

    def _is_idle(self) -> bool:
        between = self.cycle is None or self.cycle.response_complete
        return between and not self._in_message and not self.pipeline

    def _wait(self, data: bytes) -> None:
        self._behind.append(data)
        self._behind_size += len(data)
        if self._behind_size > _MOST_WAITING:
            self.flow.pause_reading()

    # --- the short way ----------------------------------------------------------------------------

    def _take(self, data: bytes) -> bool:
        """Whether the request was taken; the ordinary way gets it otherwise."""
        edge = data.find(_HEAD_END) + len(_HEAD_END)
        cached_head = self._ingest.cached_head(data[:edge]) if edge >= len(_HEAD_END) else None
        if cached_head is None:
            return False
        stop = edge + cached_head.length
        if len(data) < stop:
            self._pieces.append(data)
            self._missing = stop - len(data)
            return True
        if not self._offer(cached_head, data[edge:stop]):
            return False
        self._unset_keepalive_if_required()
        if len(data) > stop:
            self._wait(data[stop:])
        return True

    def _offer(self, cached_head: CachedHead, body: bytes) -> bool:
        number = self._numbers + 1
        refuse = partial(self._refused, number)
        if cached_head.channel is not None:
            done = partial(self._durable, number, _ANSWER)
            end = self._ingest.offer_one(cached_head.channel, body, now(), done, refuse)
        else:
            found = self._ingest.whole(cached_head, body)
            if found is None:
                return False
            channels, payloads, sparse = found
            answer = msgspec.json.encode({"accepted": len(payloads), "rejected": []})
            done = partial(self._durable, number, _STATUS % (len(answer), answer))
            end = self._ingest.offer(channels, payloads, now(), done, refuse, **sparse)
        if end is None:
            return False
        self._numbers = self._under_way = number
        self._end_waiting = end
        self._asked_at = self.loop.time()
        if self._patience is None:
            self._patience = self.loop.call_later(PATIENCE, self._look_at_wait)
        return True

    def _look_at_wait(self) -> None:
        """One timer for all requests of a connection: it looks how old the one under way is."""
        self._patience = None
        if self._under_way:
            left = self._asked_at + PATIENCE - self.loop.time()
            if left > 0:
                self._patience = self.loop.call_later(left, self._look_at_wait)
            else:
                self._refused(self._under_way, Unavailable(SLOW))

    def _durable(self, number: int, answer: bytes) -> None:
        if number == self._under_way:
            self._answer(answer)

    def _refused(self, number: int, refusal: Unavailable) -> None:
        if number == self._under_way:
            self._answer(problems.whole(*problems.of_error(refusal)))

    def _stop_waiting(self) -> None:
        self._under_way = 0
        if self._end_waiting is not None:
            self._end_waiting()
            self._end_waiting = None

    def _answer(self, answer: bytes) -> None:
        self._stop_waiting()
        if self.transport.is_closing():
            return
        self.transport.write(answer)
        self.server_state.total_requests += 1
        if self._leaving:
            self.transport.close()
            return
        self._stay()
        if self._behind:
            data = b"".join(self._behind)
            self._behind.clear()
            self._behind_size = 0
            self.flow.resume_reading()
            self.data_received(data)
        if self._heard_all and not self._answer_is_due():
            self.transport.close()

    # --- the connection ---------------------------------------------------------------------------

    def _stay(self) -> None:
        """Keep the connection for a while: one timer that looks again, not one per request."""
        self._answered_at = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._look_again(self.timeout_keep_alive)

    def _look_again(self, after: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(after, self.timeout_keep_alive_handler)

    def timeout_keep_alive_handler(self) -> None:
        self.timeout_keep_alive_task = None
        left = self._answered_at + self.timeout_keep_alive - self.loop.time()
        if self._under_way or self._pieces:
            self._look_again(self.timeout_keep_alive)
        elif left > 0:
            self._look_again(left)
        else:
            super().timeout_keep_alive_handler()

    # --- the end --------------------------------------------------------------------------------

    def _answer_is_due(self) -> bool:
        """Whether an answer is due to messages that have come to their end."""
        cycle = self.cycle
        unanswered = cycle is not None and not cycle.response_complete and not cycle.more_body
        return bool(self._under_way) or (unanswered and takes_messages(cycle.scope["path"]))

    def _has_unread_input(self) -> bool:
        """Whether the client may have sent bytes that no request has taken."""
        return bool(self._in_message or self._behind or self._pieces or self._unreadable)

    def eof_received(self) -> bool:  # type: ignore[override]  # uvicorn always lets it close
        """A client that says no more may still read."""
        self._heard_all = True
        return self._answer_is_due() and self.scheme == "http"  # with TLS there is no half-close

    def send_400_response(self, msg: str) -> None:
        """Answer what cannot be read, behind the requests before it: they may be durable."""
        self._unreadable = msg
        cycle = self.cycle
        if self.pipeline and cycle.more_body:
            self.pipeline.popleft()  # the newest: its body is what cannot be read
        elif not self.pipeline and (cycle is None or cycle.response_complete or cycle.more_body):
            super().send_400_response(msg)

    def on_response_complete(self) -> None:
        waits = bool(self.pipeline)
        super().on_response_complete()
        if waits or self.transport.is_closing():
            return
        if self._unreadable:
            super().send_400_response(self._unreadable)
        elif self._heard_all:
            self.transport.close()

    def shutdown(self) -> None:
        if self._under_way:
            self._leaving = True
        else:
            super().shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        if self._patience is not None:
            self._patience.cancel()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    # --- what the parser tells --------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._in_message = True
        super().on_message_begin()

    def on_message_complete(self) -> None:
        self._in_message = False
        super().on_message_complete()


class ClosingTransport:
    """The transport as uvicorn sees it: `close` lets a client that still sends read its answer.

    Args:
        has_unread_input: whether the client may have sent bytes that nobody reads.
        lost: the protocol's `connection_lost`.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        has_unread_input: Callable[[], bool],
        lost: Callable[[Exception | None], None],
    ) -> None:
        self._transport = transport
        self._has_unread_input = has_unread_input
        self._lost = lost
        self.get_extra_info = transport.get_extra_info
        self.is_closing = transport.is_closing
        self.write: Callable[[bytes], object] = transport.write
        self.pause_reading: Callable[[], object] = transport.pause_reading
        self.resume_reading: Callable[[], object] = transport.resume_reading

    def close(self) -> None:
        if self.is_closing() or not self._has_unread_input():
            self._transport.close()
            return
        self.write = self.pause_reading = self.resume_reading = _nothing
        self.is_closing = _always
        LingeringClose(self._transport, self._lost).close()


def _nothing(*_: object) -> None:
    pass


def _always() -> bool:
    return True
