"""Ingest over HTTP as plain ASGI: a framework would cost more per request than the work itself.

    request ── token (cached) ── topic, headers ── body ── intake ─── fsync ──> 202
                  │ 401, 403         │ 400           │ 413    │ 503

The answer 202 is sent only after the intake has reported that all messages are durable.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lakebed.access.actions import Action
from lakebed.access.decision import Resource, require
from lakebed.access.identification import MISSING
from lakebed.access.principals import NOBODY, Principal
from lakebed.http import bodies, problems
from lakebed.http.asgi import App, Headers, Receive, Scope, Send
from lakebed.http.tokens import is_basic, token_in, unknown
from lakebed.ingest.keys import sent_key
from lakebed.ingest.offers import Columns
from lakebed.limits.allowance import Allowance, Verdict
from lakebed.sources.http import influx, line_protocol, ndjson, refusing
from lakebed.sources.http.request_heads import CachedHead, read_head
from lakebed.sources.http.settings import HttpSettings
from lakebed.sources.http.targets import channel_of, parameters
from lakebed.vocabulary.attributes import NO_ATTRIBUTES, Attributes, Coded
from lakebed.vocabulary.errors import (
    BadRequest,
    Denied,
    LakebedError,
    NotFound,
    Problem,
    TooMany,
)
from lakebed.vocabulary.limits import Over
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.sparse import NOTHING, Sparse
from lakebed.vocabulary.time_parsing import SENT_TIMES, parse_time
from lakebed.vocabulary.times import DAY, SECOND, now

if TYPE_CHECKING:
    from lakebed.access.identification import Identification
    from lakebed.ingest.intake import Intake

HeaderMap = dict[bytes, bytes]

MESSAGES = "/api/v1/messages"
BATCH = "/api/v1/messages/batch"
EVENTS = "/api/v1/events"
INFLUX = (influx.WRITE, influx.WRITE_V2, influx.QUERY)
ACTIONS = dict.fromkeys((MESSAGES, BATCH, EVENTS, *INFLUX), Action.MESSAGES_PUBLISH)
"""The action of each path; `targets.channel_of` decides about it, once for each topic."""

TIMEOUT = 5.0
"""Seconds that a request waits for the journal before it is answered with 503."""

_PRINCIPAL = "lakebed.principal"  # where a request's scope has who has sent it
_REMEMBERED = 50_000  # query strings whose topic has been checked
_HEADS_BYTES = 16 * 2**20  # bytes of the cache of request heads,
_HEAD_COST = 500  # and about the bytes of an entry besides its head
_SENDERS = 100  # principals whose topics are cached
_INLINE = 128 * 2**10  # bytes of NDJSON up to which it is decoded on the event loop
ACCEPTED = b'{"accepted":1}'
"""The answer to a single message."""
_START = {
    "type": "http.response.start",
    "status": 202,
    "headers": [(b"content-type", b"application/json"), (b"content-length", b"14")],
}
_END = {"type": "http.response.body", "body": ACCEPTED}
_OTHER_SITES = (b"cross-site", b"same-site")  # values of Sec-Fetch-Site
_ALLOW = (b"allow", b"POST, OPTIONS")


class Ingest:
    """The three routes that accept messages. Event loop only."""

    def __init__(
        self,
        settings: HttpSettings,
        identification: "Identification",
        intake: "Intake | None",
        refused: Callable[[Scope, Principal], None] = lambda scope, principal: None,
    ) -> None:
        """An `intake` of None refuses everything: this process takes no messages.

        Args:
            refused: told of requests that are answered with 401 or 403, as many as there are.

        Attributes:
            intake: that one.
        """
        self._identification = identification
        self._refused = refused
        self.intake = intake
        self._largest_payload = settings.limits.payload
        self._largest_body = settings.http.max_body
        self._channels: dict[bytes, tuple[Principal, Channel]] = {}
        self._cached_heads: dict[bytes, CachedHead] = {}
        self._heads_bytes = 0
        self._senders: dict[tuple[Principal, str], ndjson.Sender] = {}
        self._line_template = settings.http.line_protocol_topic
        self._line_topics: dict[tuple[ndjson.Sender, str], line_protocol.Topics] = {}
        self._routes: dict[str, App] = {
            MESSAGES: self._message,
            BATCH: self._batch,
            EVENTS: self._events,
            influx.WRITE: self._lines,
            influx.WRITE_V2: self._lines,
            influx.QUERY: self._query,
        }

    # --- for requests that are answered without ASGI ----------------------------------------------

    def cached_head(self, head: bytes) -> CachedHead | None:
        """How to handle the body behind a request head; None if the head is not plain."""
        cached_head = self._cached_heads.get(head)
        if cached_head is None:
            try:
                cached_head = self._read(head)
            except LakebedError:
                return None  # the ordinary path says what is wrong
            if cached_head is None:
                return None
            self._heads_bytes += len(head) + _HEAD_COST
            if self._heads_bytes > _HEADS_BYTES:
                self._cached_heads.clear()
                self._heads_bytes = len(head) + _HEAD_COST
            self._cached_heads[head] = cached_head
        if self._identification.identify_cached(cached_head.token) is not cached_head.principal:
            del self._cached_heads[head]
            self._heads_bytes -= len(head) + _HEAD_COST
            return None
        return cached_head

    def _read(self, raw: bytes) -> CachedHead | None:
        head = read_head(raw)
        if head is None:
            return None
        token = token_in(head.authorization)
        principal = self._identification.identify_cached(token)
        if self.intake is None or not isinstance(principal, Principal):
            return None
        allowance = self.intake.limits.of(principal)
        if head.path == MESSAGES.encode() and head.length <= self._largest_payload:
            channel = self._channel(principal, head.query)
            attributes = self._attributes(principal, head.content_type)
            return CachedHead(token, principal, channel, head.length, attributes, allowance)
        small = head.length <= min(_INLINE, self._largest_body)
        if head.path == BATCH.encode() and not head.query and small:
            attributes = self._attributes(principal)
            return CachedHead(token, principal, None, head.length, attributes, allowance)
        return None

    def decode(self, cached_head: CachedHead, body: bytes) -> ndjson.Decoded:
        """Decode a small batch."""
        principal = cached_head.principal
        return ndjson.batch(body, self._sender(principal, principal.owner))

    # --- ASGI -------------------------------------------------------------------------------------

    @property
    def paths(self) -> Iterable[str]:
        return self._routes

    def route(self, path: str) -> App | None:
        """The handler of a path; None for paths of the API."""
        handler = self._routes.get(path)
        return None if handler is None else self._guarded(handler)

    def _guarded(self, handler: App) -> App:
        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                if scope["method"] == "POST":
                    await handler(scope, receive, send)
                else:
                    await _other_method(scope, send)
            except bodies.ClientDisconnected:
                return
            except Exception as error:
                if isinstance(error, Denied):
                    self._refused(scope, scope.get(_PRINCIPAL, NOBODY))
                self._note(scope, error)
                if scope["path"] in INFLUX:
                    await influx.answer_error(send, scope["path"], error)
                else:
                    await problems.answer(send, error)

        return guarded

    def _note(self, scope: Scope, error: Exception) -> None:
        if self.intake is not None and isinstance(error, LakebedError):
            refusing.note(self.intake.refusals, scope, scope.get(_PRINCIPAL, NOBODY), error)

    async def _message(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: HeaderMap = dict(scope["headers"])
        principal = scope[_PRINCIPAL] = await self._identify(headers)
        channel = self._channel(principal, scope["query_string"])
        sparse = _sparse(headers, channel, principal.owner)
        attributes = self._attributes(principal, headers.get(b"content-type", b""))
        payload = await bodies.read(receive, headers, self._largest_payload)
        columns = with_attributes(Columns([channel], [payload], now(), sparse), attributes)
        await self._append(principal, columns, attributes)
        await send(_START)
        await send(_END)

    async def send(self, principal: Principal, owner: str, topic: str, payload: bytes) -> None:
        """Take one message of somebody who is known, such as by a form; durable when it returns.

        Raises:
            BadRequest: the topic is none, or the payload is too long.
            Denied: the principal may not publish to it.
            TooMany: a limit is reached.
            Unavailable: the journal has no room, or does not answer.
        """
        try:
            channel = channel_of(principal, owner, topic, self._over_topics)
        except ValueError as error:
            raise BadRequest("topic", str(error)) from None
        if len(payload) > self._largest_payload:
            raise BadRequest("payload", f"it is longer than {self._largest_payload} bytes")
        attributes = self._attributes(principal)
        columns = with_attributes(Columns([channel], [payload], now(), NOTHING), attributes)
        await self._append(principal, columns, attributes)

    async def _batch(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._many(scope, receive, send, ndjson.batch)

    async def _events(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._many(scope, receive, send, ndjson.events)

    async def _many(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        decode: Callable[[bytes, ndjson.Sender], ndjson.Decoded],
    ) -> None:
        headers: HeaderMap = dict(scope["headers"])
        principal = scope[_PRINCIPAL] = await self._identify(headers)
        owner = self._owner(principal, scope["query_string"])
        body = await bodies.read(receive, headers, self._largest_body)
        received = now()
        sender = self._sender(principal, owner)
        if len(body) <= _INLINE:
            found = decode(body, sender)
        else:
            found = await asyncio.to_thread(decode, body, sender)
        if self.intake is not None:
            refusing.note_lines(self.intake.refusals, scope, principal, found)
        if found.payloads:
            attributes = self._attributes(principal)
            columns = with_attributes(found.columns(principal.owner, received), attributes)
            await self._append(principal, columns, attributes)
        await problems.answer_json(send, *response(found))

    async def _lines(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Line protocol; good lines are taken, bad ones are named."""
        headers: HeaderMap = dict(scope["headers"])
        path, query = scope["path"], scope["query_string"]
        principal = scope[_PRINCIPAL] = await self._identify_influx(path, headers, query)
        asked = influx.asked(path, query)
        owner = self._checked_owner(principal, asked.owner or principal.owner)
        body = await bodies.read(receive, headers, self._largest_body)
        received = now()
        sender = self._sender(principal, owner)
        template = asked.template or self._line_template
        way = line_protocol.Way(
            sender, template, asked.precision, self._topics_of_lines(sender, template)
        )
        if len(body) <= _INLINE:
            found = line_protocol.decode(body, way)
        else:
            found = await asyncio.to_thread(line_protocol.decode, body, way)
        if self.intake is not None:
            refusing.note_lines(self.intake.refusals, scope, principal, found)
        if found.payloads:
            attributes = self._attributes(principal)
            columns = with_attributes(found.columns(principal.owner, received), attributes)
            await self._append(principal, columns, attributes)
        await influx.answer_written(send, path, found)

    def _topics_of_lines(self, sender: ndjson.Sender, template: str) -> line_protocol.Topics:
        """The cache of the channels of a sender's lines; it goes with the sender."""
        topics = self._line_topics.get((sender, template))
        if topics is None:
            if len(self._line_topics) >= _SENDERS:
                self._line_topics.clear()
            topics = self._line_topics[sender, template] = {}
        return topics

    async def _query(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Whether a database may be created, which clients ask before they write."""
        headers: HeaderMap = dict(scope["headers"])
        query = scope["query_string"]
        principal = scope[_PRINCIPAL] = await self._identify_influx(scope["path"], headers, query)
        require(principal, Action.MESSAGES_PUBLISH, Resource(principal.owner))
        body = await bodies.read(receive, headers, influx.LONGEST_QUERY)
        influx.check_query(query, body)
        await influx.answer_created(send)

    def _owner(self, principal: Principal, query: bytes) -> str:
        """Whose topics are meant by the messages of a request that name no owner.

        Raises:
            BadRequest: there is another parameter than `owner`.
            Denied: the principal may publish to none of its topics.
        """
        return self._checked_owner(
            principal, parameters(query, "owner").get("owner", principal.owner)
        )

    def _checked_owner(self, principal: Principal, owner: str) -> str:
        if owner != principal.owner:
            require(principal, Action.MESSAGES_PUBLISH, Resource(owner))
        return owner

    def _sender(self, principal: Principal, owner: str) -> ndjson.Sender:
        """The sender of a principal to an owner, cached with the topics that it has sent to."""
        sender = self._senders.get((principal, owner))
        if sender is None:
            if len(self._senders) >= _SENDERS:
                self._senders.clear()
            sender = ndjson.Sender(principal, self._largest_payload, self._over_topics, owner)
            self._senders[principal, owner] = sender
        return sender

    async def _identify_influx(self, path: str, headers: HeaderMap, query: bytes) -> Principal:
        header = headers.get(b"authorization", b"")
        return await self._identify(headers, influx.token_of(path, header, query))

    async def _identify(self, headers: HeaderMap, token: str | None = None) -> Principal:
        header = headers.get(b"authorization", b"")
        token = token_in(header) if token is None else token
        if is_basic(header) and headers.get(b"sec-fetch-site", b"none") in _OTHER_SITES:
            raise Denied("a page of another site has sent this with your password")
        principal = self._identification.identify_cached(token)
        if principal is MISSING:
            principal = await self._identification.identify(token)
        if principal is None:
            raise unknown(token)
        return principal

    def _channel(self, principal: Principal, query: bytes) -> Channel:
        """The topic in the query string; cached, because senders repeat theirs."""
        known = self._channels.get(query)
        if known is not None and known[0] is principal:
            return known[1]
        given = parameters(query, "topic", "owner")
        if "topic" not in given:
            raise BadRequest("topic", "name the topic: /api/v1/messages?topic=TOPIC")
        owner = given.get("owner", principal.owner)
        try:
            channel = channel_of(principal, owner, given["topic"], self._over_topics)
        except ValueError as error:
            raise BadRequest("topic", str(error)) from None
        if len(self._channels) >= _REMEMBERED:
            self._channels.clear()
        self._channels[query] = (principal, channel)
        return channel

    def _over_topics(self, owner: str, topic: str) -> str | None:
        return None if self.intake is None else self.intake.limits.check_topic(owner, topic)

    def _attributes(self, principal: Principal, content_type: bytes = b"") -> Attributes | None:
        """The attributes to record. The content type of a batch is not that of its messages."""
        if self.intake is None:
            return None
        return self.intake.recorder.record(principal.label, content_type.decode("latin-1"))

    async def _append(
        self, principal: Principal, columns: Columns, attributes: Attributes | None
    ) -> None:
        if self.intake is None:
            raise NotFound("this process takes no messages: send them to one of role gateway")
        apply_limits(self.intake.limits.of(principal), columns, attributes)
        await self.intake.append(columns, TIMEOUT)


def with_attributes(columns: Columns, attributes: Attributes | None) -> Columns:
    """Add attributes that all of these messages share."""
    if attributes is not None:
        shared = Coded.constant(attributes, len(columns.payloads))
        columns.sparse = columns.sparse._replace(attributes=shared)
    return columns


def apply_limits(allowance: Allowance, columns: Columns, attributes: Attributes | None) -> None:
    """Decide whether the messages of a request are within the limits.

    Those to be parked get that decision in their attributes.

    Args:
        attributes: those that all of them have.

    Raises:
        TooMany: none of them is taken.
    """
    payloads = columns.payloads
    if allowance.limited:
        over = _over_stored(allowance, columns) if allowance.full else None
        sizes = list(map(len, payloads))
        verdict = allowance.decide(sizes, whole=True)
        if verdict is not None:
            _refuse_unless_parked(verdict)
            of_sender = np.arange(len(payloads)) >= verdict.passed
            over = of_sender if over is None else over | of_sender
        if over is not None:
            shared = (attributes or NO_ATTRIBUTES, allowance.parked(attributes))
            coded = Coded(over.astype(np.int32), shared)
            columns.sparse = columns.sparse._replace(attributes=coded)
    if allowance.unit is not None:
        allowance.unit.note_sent(len(payloads), sum(map(len, payloads)))


def _over_stored(allowance: Allowance, columns: Columns) -> NDArray[np.bool_] | None:
    """Which messages are to be parked because other owners, to whom they go, are full.

    Raises:
        TooMany: such an owner takes none.
    """
    owners = [channel.owner for channel in columns.channels]
    counts = {owner: n for owner, n in Counter(owners).items() if allowance.is_full(owner)}
    for owner, count in counts.items():
        _refuse_unless_parked(allowance.stop(owner, count))
    return np.array([owner in counts for owner in owners]) if counts else None


def _refuse_unless_parked(verdict: Verdict) -> None:
    if verdict.over is not Over.PARK:
        wait = min(round(verdict.wait * SECOND), DAY)
        raise TooMany(f"{verdict.why} is reached, and nothing was accepted", wait)


def _sparse(headers: HeaderMap, channel: Channel, sender: str) -> Sparse:
    """Event time and id of a single message, from its headers."""
    sparse = NOTHING
    if (moment := headers.get(b"x-event-time")) is not None:
        try:
            sparse = Sparse([parse_time(moment.decode("latin-1").strip(), SENT_TIMES)])
        except ValueError as error:
            raise BadRequest("X-Event-Time", str(error)) from None
    if (given := headers.get(b"x-message-id")) is not None:
        try:
            id = ndjson.check_id(given.decode().strip())
        except UnicodeDecodeError:
            raise BadRequest("X-Message-Id", "it is not UTF-8") from None
        except ValueError as error:
            raise BadRequest("X-Message-Id", str(error)) from None
        sparse = sparse._replace(ids=[id], keys=[sent_key(channel, sender, id)])
    return sparse


def response(found: ndjson.Decoded) -> tuple[int, dict[str, Any], Headers, str]:
    """Status, document, further headers and media type of the answer to many messages."""
    body: dict[str, Any] = {"accepted": len(found.payloads), "rejected": found.rejected}
    if found.refused > len(found.rejected):
        body["more_rejected"] = found.refused - len(found.rejected)
    if found.payloads or not found.refused:
        return 202, body, [], "application/json"
    first = found.rejected[:20]
    named = tuple(Problem("body", entry["error"], entry["line"]) for entry in first)
    document = problems.document(422, "nothing was accepted", named, **body)
    return 422, document, [], problems.MEDIA_TYPE


async def _other_method(scope: Scope, send: Send) -> None:
    if scope["method"] == "OPTIONS":
        await send({"type": "http.response.start", "status": 204, "headers": [_ALLOW]})
        await send({"type": "http.response.body"})
        return
    document = problems.document(405, "messages are sent by POST")
    await problems.answer_json(send, 405, document, [_ALLOW], problems.MEDIA_TYPE)
