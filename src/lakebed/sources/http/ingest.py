"""Ingest over HTTP as plain ASGI: a framework would cost more per request than the work itself.

    request ── token (cached) ── topic, headers ── body ── intake ─── fsync ──> 202
                  │ 401, 403         │ 400           │ 413    │ 503

The answer 202 is sent only after the intake has reported that all messages are durable.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from lakebed.access.actions import Action
from lakebed.access.principals import Principal
from lakebed.http import bodies, problems
from lakebed.http.asgi import App, Receive, Scope, Send
from lakebed.http.tokens import token_in
from lakebed.ingest.keys import sent_key
from lakebed.ingest.offers import Columns
from lakebed.sources.http import influx, ndjson
from lakebed.sources.http.answers import response
from lakebed.sources.http.cloud_events import routes as cloud_events
from lakebed.sources.http.cloud_events.routes import CloudEventsRoutes, is_cloud_event
from lakebed.sources.http.door import INLINE, Door, HeaderMap, Way, decoded, sender_of
from lakebed.sources.http.influx_routes import InfluxRoutes
from lakebed.sources.http.limiting import with_attributes
from lakebed.sources.http.otlp import routes as otlp
from lakebed.sources.http.otlp.routes import OtlpRoutes
from lakebed.sources.http.remote_write import routes as remote_write
from lakebed.sources.http.remote_write.routes import RemoteWriteRoutes
from lakebed.sources.http.request_heads import CachedHead, Head, read_head
from lakebed.sources.http.settings import HttpSettings
from lakebed.sources.http.targets import channel_of, parameters
from lakebed.vocabulary.errors import BadRequest, Denied, LakebedError
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.sparse import NOTHING, Sparse
from lakebed.vocabulary.time_parsing import SENT_TIMES, parse_time
from lakebed.vocabulary.times import now

if TYPE_CHECKING:
    from lakebed.access.identification import Identification
    from lakebed.ingest.intake import Intake

MESSAGES = "/api/v1/messages"
BATCH = "/api/v1/messages/batch"
EVENTS = "/api/v1/events"
INFLUX = (influx.WRITE, influx.WRITE_V2, influx.QUERY)
ACTIONS = dict.fromkeys(
    (MESSAGES, BATCH, EVENTS, *INFLUX, remote_write.WRITE, *otlp.PATHS, cloud_events.PATH),
    Action.MESSAGES_PUBLISH,
)
"""The action of each path; `targets.channel_of` decides about it, once for each topic."""

_DECODERS = {BATCH: ndjson.batch, EVENTS: ndjson.events}
_REMEMBERED = 50_000  # query strings whose topic has been checked
_HEADS_BYTES = 16 * 2**20  # bytes of the cache of request heads,
_HEAD_COST = 500  # and about the bytes of an entry besides its head
ACCEPTED = b'{"accepted":1}'
"""The answer to a single message."""
_START = {
    "type": "http.response.start",
    "status": 202,
    "headers": [(b"content-type", b"application/json"), (b"content-length", b"14")],
}
_READING = ("GET", "HEAD")  # methods by which the API answers questions about events
_PROPERTY = b"x-property-"
_END = {"type": "http.response.body", "body": ACCEPTED}
_ALLOW = (b"allow", b"POST, OPTIONS")
_ALLOW_EVENTS = (b"allow", b"GET, HEAD, POST, OPTIONS")


class Ingest:
    """The ways of sending messages: three routes of its own, and those of other protocols.

    Event loop only.
    """

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
            door: what all ways share.
        """
        self._identification = identification
        self._refused = refused
        self.intake = intake
        self.door = door = Door(settings, identification, intake)
        self._channels: dict[bytes, tuple[Principal, Channel]] = {}
        self._cached_heads: dict[bytes, CachedHead] = {}
        self._heads_bytes = 0
        self._recorded = 0  # the version of what is recorded that the heads go by
        section = settings.http
        self._cloud_events = CloudEventsRoutes(door, section.cloudevents_topic)
        ways: tuple[Way, ...] = (
            self,
            InfluxRoutes(door, section.line_protocol_topic),
            RemoteWriteRoutes(door, section.remote_write_topic),
            self._cloud_events,
            OtlpRoutes(door, section.otlp_metrics_topic, section.otlp_logs_topic),
        )
        self._ways = {path: (way, handler) for way in ways for path, handler in way.routes.items()}

    # --- for requests that are answered without ASGI ----------------------------------------------

    def cached_head(self, head: bytes) -> CachedHead | None:
        """How to handle the body behind a request head; None if the head is not plain."""
        if self.intake is not None and self._recorded != self.intake.recorder.version:
            self._recorded = self.intake.recorder.version
            self._cached_heads.clear()
            self._heads_bytes = 0
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
        if head.path == MESSAGES.encode() and head.length <= self.door.largest_payload:
            channel = self._channel(principal, head.query)
            attributes = self.door.attributes(principal, head.content_type)
            return CachedHead(
                token, principal, MESSAGES, channel, head.length, attributes, allowance
            )
        small = head.length <= min(INLINE, self.door.largest_body)
        path = head.path.decode()
        if path in _DECODERS and not head.query and small and not _is_cloud_event(head):
            attributes = self.door.attributes(principal)
            return CachedHead(token, principal, path, None, head.length, attributes, allowance)
        return None

    def decode(self, cached_head: CachedHead, body: bytes) -> ndjson.Decoded:
        """Decode a small batch, or events."""
        principal = cached_head.principal
        decode = _DECODERS[cached_head.path]
        return decode(body, self.door.sender(principal, principal.owner))

    # --- ASGI -------------------------------------------------------------------------------------

    @property
    def paths(self) -> Iterable[str]:
        return self._ways

    @property
    def routes(self) -> dict[str, App]:
        return {MESSAGES: self._message, BATCH: self._batch, EVENTS: self._events}

    async def answer_error(self, scope: Scope, send: Send, error: Exception) -> None:
        await problems.answer(send, error)

    def route(self, path: str, method: str = "POST") -> App | None:
        """The handler of a path; None for what the API answers."""
        found = self._ways.get(path)
        if found is None or (path == EVENTS and method in _READING):
            return None
        return self._guarded(*found)

    def _guarded(self, way: Way, handler: App) -> App:
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
                    self._refused(scope, sender_of(scope))
                self.door.note(scope, error)
                await way.answer_error(scope, send, error)

        return guarded

    async def _message(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: HeaderMap = dict(scope["headers"])
        principal = await self.door.identify(scope, headers)
        channel = self._channel(principal, scope["query_string"])
        sparse = _sparse(headers, channel, principal.owner)
        content_type, properties = headers.get(b"content-type", b""), _properties(headers)
        attributes = self.door.attributes(principal, content_type, properties)
        payload = await bodies.read(receive, headers, self.door.largest_payload)
        columns = with_attributes(Columns([channel], [payload], now(), sparse), attributes)
        await self.door.append(principal, columns, MESSAGES)
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
            channel = channel_of(principal, owner, topic, self.door.over_topics)
        except ValueError as error:
            raise BadRequest("topic", str(error)) from None
        if len(payload) > self.door.largest_payload:
            raise BadRequest("payload", f"it is longer than {self.door.largest_payload} bytes")
        attributes = self.door.attributes(principal)
        columns = with_attributes(Columns([channel], [payload], now(), NOTHING), attributes)
        await self.door.append(principal, columns, MESSAGES)

    async def _batch(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._many(scope, receive, send, ndjson.batch)

    async def _events(self, scope: Scope, receive: Receive, send: Send) -> None:
        if is_cloud_event(dict(scope["headers"])):
            await self._cloud_events.take_as_events(scope, receive, send)
            return
        await self._many(scope, receive, send, ndjson.events)

    async def _many(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        decode: Callable[..., ndjson.Decoded],
    ) -> None:
        headers: HeaderMap = dict(scope["headers"])
        principal = await self.door.identify(scope, headers)
        owner = self.door.owner(principal, scope["query_string"])
        body = await bodies.read(receive, headers, self.door.largest_body)
        received = now()
        sender = self.door.sender(principal, owner)
        found = await decoded(partial(decode, sender=sender), body)
        await self.door.take(scope, principal, found, received)
        await problems.answer_json(send, *response(found))

    def _channel(self, principal: Principal, query: bytes) -> Channel:
        """The topic in the query string; cached, because senders repeat theirs."""
        known = self._channels.get(query)
        if known is not None and known[0] is principal:
            return known[1]
        given = parameters(query, "topic", "owner")
        if "topic" not in given:
            raise BadRequest(
                "topic",
                "name the topic: /api/v1/messages?topic=TOPIC; line protocol is sent to /write",
            )
        owner = given.get("owner", principal.owner)
        try:
            channel = channel_of(principal, owner, given["topic"], self.door.over_topics)
        except ValueError as error:
            raise BadRequest("topic", str(error)) from None
        if len(self._channels) >= _REMEMBERED:
            self._channels.clear()
        self._channels[query] = (principal, channel)
        return channel


def _is_cloud_event(head: Head) -> bool:
    """Whether a plain head says so; one with attributes of an event is not plain."""
    return is_cloud_event({b"content-type": head.content_type})


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


def _properties(headers: HeaderMap) -> list[tuple[str, str]]:
    """User properties in headers, such as `X-Property-Site`; HTTP tells no case of their names."""
    return [
        (name.removeprefix(_PROPERTY).decode("latin-1"), value.decode("latin-1").strip())
        for name, value in headers.items()
        if name.startswith(_PROPERTY)
    ]


async def _other_method(scope: Scope, send: Send) -> None:
    allow = _ALLOW_EVENTS if scope["path"] == EVENTS else _ALLOW
    if scope["method"] == "OPTIONS":
        await send({"type": "http.response.start", "status": 204, "headers": [allow]})
        await send({"type": "http.response.body"})
        return
    document = problems.document(405, "messages are sent by POST")
    await problems.answer_json(send, 405, document, [allow], problems.MEDIA_TYPE)
