"""Plain POSTs of messages, answered without a task, a scope or a parser.

    data ──┬── a whole POST of messages, its head seen before ──> intake ──durable──> 202
           └── everything else ──> HttpConnection: parser, Exchange, ASGI

Devices repeat themselves: the bytes of a request's head are the same each time but for its length.
A head is looked at once, strictly; what it means is remembered under its bytes. Whatever is not
plain (another header, another encoding, a token to look up, a bad line, a shut gate) goes the
ordinary way, which then gives the answer.
"""

import asyncio
from collections.abc import Callable
from functools import partial

import msgspec

from lakebed.http import problems
from lakebed.http.connection import KEEP_ALIVE, HttpConnection, Shared
from lakebed.sources.http.ingest import ACCEPTED, PATIENCE, SLOW, Ingest
from lakebed.sources.http.request_heads import CachedHead
from lakebed.vocabulary.errors import Unavailable
from lakebed.vocabulary.times import now

_BEGINS = b"POST /api/v1/messages"
_HEAD_END = b"\r\n\r\n"
_MOST_WAITING = 2**18  # bytes behind a request under way, before the socket is left alone
_STATUS = b"HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
_ANSWER = _STATUS % (len(ACCEPTED), ACCEPTED)


class FastPathConnection(HttpConnection):
    """A connection with a short way in front. It takes one request at a time."""

    def __init__(self, shared: Shared, ingest: Ingest) -> None:
        super().__init__(shared)
        self._ingest = ingest
        self._behind: list[bytes] = []  # what came behind the request under way,
        self._behind_size = 0  # and how much that is
        self._under_way = 0  # the number of the request that waits for the journal; 0: none
        self._numbers = 0
        self._end_waiting: Callable[[], object] | None = None
        self._asked_at = 0.0  # when that request was offered
        self._patience: asyncio.TimerHandle | None = None
        self._pieces: list[bytes] = []  # a plain request that is not there to its end
        self._missing = 0  # bytes of it that are still to come

    def data_received(self, data: bytes) -> None:
        if self._under_way:
            self._wait(data)
            return
        if self._pieces:
            self._pieces.append(data)
            self._missing -= len(data)
            if self._missing > 0:
                return
            data = b"".join(self._pieces)
            self._pieces.clear()
        if not (data.startswith(_BEGINS) and self.is_between_requests and self._take(data)):
            super().data_received(data)

    @property
    def is_busy(self) -> bool:
        return bool(self._under_way or self._exchanges)

    def _owes_answer(self) -> bool:
        return bool(self._under_way) or super()._owes_answer()

    def _has_unread_input(self) -> bool:
        return bool(self._behind or self._pieces) or super()._has_unread_input()

    def _wait(self, data: bytes) -> None:
        self._behind.append(data)
        self._behind_size += len(data)
        self._steer()

    def _is_full(self) -> bool:
        return self._behind_size > _MOST_WAITING or super()._is_full()

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
        self._asked_at = self._loop.time()
        if self._patience is None:
            self._patience = self._loop.call_later(PATIENCE, self._look_at_wait)
        return True

    def _look_at_wait(self) -> None:
        """One timer for all requests of a connection: it looks how old the one under way is."""
        self._patience = None
        if self._under_way:
            left = self._asked_at + PATIENCE - self._loop.time()
            if left > 0:
                self._patience = self._loop.call_later(left, self._look_at_wait)
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
        self.write(answer)
        if self._leaving:
            self.close()
            return
        self._wait_for_request(KEEP_ALIVE)
        if self._behind:
            data = b"".join(self._behind)
            self._behind.clear()
            self._behind_size = 0
            self._steer()
            self.data_received(data)
        if self._heard_all and not self._owes_answer():
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        if self._patience is not None:
            self._patience.cancel()
        super().connection_lost(exc)
