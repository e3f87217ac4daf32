"""Answers plain POSTs of messages without a task, a scope or a parser.

    data ──┬── a complete POST of messages with a known head ──> intake ──durable──> 202
           ├── a request at a path that is an upgrade's ──> the protocol that it gives the socket to
           ├── complete requests that are answered at once (`http.at_once`) ──> their answers
           └── everything else ──> HttpConnection: parser, Exchange, ASGI

The heads of a device's requests are equal but for their length. A head is parsed once, strictly,
and the result is cached under its bytes. Requests that are not plain (another header, another
encoding, a token to look up) take the ordinary path.
"""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeAlias

from lakebed.http import problems
from lakebed.http.at_once import AtOnce
from lakebed.http.connection import KEEP_ALIVE, HttpConnection, Shared
from lakebed.ingest.intake import Intake
from lakebed.ingest.offers import Columns
from lakebed.sources.http.answers import response
from lakebed.sources.http.door import TIMEOUT
from lakebed.sources.http.ingest import ACCEPTED, MESSAGES, Ingest
from lakebed.sources.http.limiting import apply_limits, with_attributes
from lakebed.sources.http.ndjson import Decoded
from lakebed.sources.http.request_heads import CachedHead
from lakebed.vocabulary.errors import TooMany, Unavailable
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.times import now

_BEGINS = (b"POST /api/v1/messages", b"POST /api/v1/events")
_GET = b"GET "
_LONGEST_PATH = 100  # bytes of a target in which the path of an upgrade is looked for
_HEAD_END = b"\r\n\r\n"
_MOST_WAITING = 2**18  # bytes behind a request under way, before reading pauses
_ANSWER = b"HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
_ACCEPTED = _ANSWER % (len(ACCEPTED), ACCEPTED)
_ACCEPTED_ONE = problems.whole(202, {"accepted": 1, "rejected": []}, [], "application/json")


Upgrades: TypeAlias = Mapping[str, Callable[[], asyncio.Protocol]]
"""By path what speaks with clients that ask for another protocol there."""


class FastPathConnection(HttpConnection):
    """A connection with a fast path in front. It takes one request at a time."""

    timeout = TIMEOUT

    def __init__(
        self,
        shared: Shared,
        ingest: Ingest,
        at_once: AtOnce | None = None,
        upgrades: Upgrades | None = None,
    ) -> None:
        super().__init__(shared)
        self._upgrades = upgrades or {}
        self._at_once = at_once
        self._ingest = ingest
        self._intake = ingest.intake
        self._taken = ingest.door.taken
        self._behind: list[bytes] = []  # bytes behind the request under way,
        self._behind_size = 0  # and their number
        self._under_way = False  # a request waits for the journal
        self._pieces: list[bytes] = []  # of a plain request that is incomplete
        self._missing = 0  # its bytes that have not arrived

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
        if data.startswith(_GET) and self.is_between_requests and self._hand_over(data):
            return
        if not (data.startswith(_BEGINS) and self.is_between_requests and self._take(data)):
            if self._at_once is not None and self.is_between_requests and self._writable.is_set():
                data = self._answer_at_once(self._at_once, data)
            if data:
                super().data_received(data)

    def _hand_over(self, data: bytes) -> bool:
        """Give the socket away to what speaks another protocol at the path of a request.

        Returns:
            whether the data was taken.
        """
        if not self._upgrades:
            return False
        path, space, _ = data[len(_GET) : len(_GET) + _LONGEST_PATH].partition(b" ")
        path = path.partition(b"?")[0]
        make = self._upgrades.get(path.decode("latin-1")) if space else None
        if make is not None:
            if (transport := self.give_away()) is None:
                return False
            protocol = make()
            transport.set_protocol(protocol)
            protocol.connection_made(transport)
            protocol.data_received(data)
            return True
        if space or not any(name.encode().startswith(path) for name in self._upgrades):
            return False
        self._pieces.append(data)  # too little to know
        self._missing = 1
        return True

    def _answer_at_once(self, at_once: AtOnce, data: bytes) -> bytes:
        """Answer the requests at the beginning of the data; return what is behind them."""
        answers: list[bytes] = []
        start = 0
        while (edge := data.find(_HEAD_END, start) + len(_HEAD_END)) > start + len(_HEAD_END):
            head = data[start:edge]
            length = at_once.body_length(head)
            if length is None or edge + length > len(data):
                break
            answer = at_once.answer(head, data[edge : edge + length])
            if answer is None:
                break
            answers.append(answer)
            start = edge + length
        if answers:
            self.write(b"".join(answers))
            self._wait_for_request(KEEP_ALIVE)
        return data[start:]

    @property
    def is_busy(self) -> bool:
        return self._under_way or bool(self._exchanges)

    def _has_unanswered_request(self) -> bool:
        return self._under_way or super()._has_unanswered_request()

    def _has_unread_input(self) -> bool:
        return bool(self._behind or self._pieces) or super()._has_unread_input()

    def _wait(self, data: bytes) -> None:
        self._behind.append(data)
        self._behind_size += len(data)
        self._pause_or_resume()

    def _is_full(self) -> bool:
        return self._behind_size > _MOST_WAITING or super()._is_full()

    # --- requests ---------------------------------------------------------------------------------

    def _take(self, data: bytes) -> bool:
        """Whether the request was taken; if not, it takes the ordinary path."""
        if self._intake is None:
            return False
        edge = data.find(_HEAD_END) + len(_HEAD_END)
        head = self._ingest.cached_head(data[:edge]) if edge >= len(_HEAD_END) else None
        if head is None:
            return False
        stop = edge + head.length
        if len(data) < stop:
            self._pieces.append(data)
            self._missing = stop - len(data)
            return True
        if head.channel is not None:
            self._under_way = True
            self._offer_one(self._intake, head, head.channel, data[edge:stop])
        else:
            found = self._ingest.decode(head, data[edge:stop])
            if found.refused:
                return False  # the ordinary path notes what is refused
            self._under_way = True
            self._offer_many(self._intake, head, found)
        if len(data) > stop:
            self._wait(data[stop:])
        return True

    def _offer_one(self, intake: Intake, head: CachedHead, channel: Channel, body: bytes) -> None:
        allowance = head.allowance
        if intake.is_open and head.attributes is None and not allowance.limited:
            if allowance.unit is not None:
                allowance.unit.note_sent(1, len(body))
            singles = intake.singles
            singles.channels.append(channel)
            singles.payloads.append(body)
            singles.received.append(now())
            singles.senders.append(self)
            singles.marks.append(_ACCEPTED)
            intake.single_added(len(singles.marks))
        else:
            columns = with_attributes(Columns([channel], [body], now()), head.attributes)
            self._offer(intake, head, columns, _ACCEPTED)

    def _offer_many(self, intake: Intake, head: CachedHead, found: Decoded) -> None:
        received = now()
        answer = _ACCEPTED_ONE if len(found.payloads) == 1 else problems.whole(*response(found))
        if found.payloads:
            columns = found.columns(head.principal.owner, received)
            columns = with_attributes(columns, head.attributes)
            self._offer(intake, head, columns, answer)
        else:
            self._loop.call_soon(self._answer, answer)

    def _offer(self, intake: Intake, head: CachedHead, columns: Columns, answer: bytes) -> None:
        try:
            apply_limits(head.allowance, columns)
        except TooMany as over:
            self._loop.call_soon(self._answer, problems.whole(*problems.of_error(over)))
            return
        refused = partial(self.refused_one, answer)
        durable = partial(self._durable, answer, head.path, len(columns.payloads))
        intake.offer(columns, durable, refused, timeout=self.timeout)

    # --- answers ----------------------------------------------------------------------------------

    def durable_one(self, answer: bytes) -> None:
        """The message of the request is on disk."""
        self._durable(answer, MESSAGES, 1)

    def _durable(self, answer: bytes, path: str, count: int) -> None:
        self._taken[path] += count
        self._answer(answer)

    def refused_one(self, answer: bytes, reason: Unavailable) -> None:
        self._answer(problems.whole(*problems.of_error(reason)))

    def _answer(self, answer: bytes) -> None:
        self._under_way = False
        self.write(answer)
        if self._leaving:
            self.close()
            return
        self._wait_for_request(KEEP_ALIVE)
        if self._behind:
            data = b"".join(self._behind)
            self._behind.clear()
            self._behind_size = 0
            self._pause_or_resume()
            self.data_received(data)
        if self._input_ended and not self._has_unanswered_request():
            self.close()
