"""The routes of OTLP/HTTP: encodings, and answers in the encoding of the request.

    200   all is durable, but what `partial_success` counts: that is refused for ever
    429, 503 + Retry-After   nothing is taken: the same request later
    400, 401, 403, 404, 413, 415   nothing of this is ever taken

Exporters repeat what is answered with 429, 502, 503 or 504, and drop what has another error.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from lakebed.access.actions import Action
from lakebed.access.decision import Resource, require
from lakebed.http import bodies, problems
from lakebed.http.asgi import App, Headers, Receive, Scope, Send
from lakebed.http.problems import UnknownEncoding
from lakebed.sources.http.door import INLINE, Door, HeaderMap, installed
from lakebed.sources.http.targets import parameters, template_in
from lakebed.vocabulary.errors import BadRequest, NotFound
from lakebed.vocabulary.times import now
from lakebed.vocabulary.topic_templates import OTLP_LOGS_WORDS, OTLP_METRICS_WORDS, Words

if TYPE_CHECKING:
    from lakebed.sources.http.ndjson import Decoded

METRICS = "/v1/metrics"
LOGS = "/v1/logs"
TRACES = "/v1/traces"
PATHS = (METRICS, LOGS, TRACES)
"""The paths that the specification has."""

LARGEST = 16 * 2**20
"""Most bytes of a request, decompressed: protobuf takes many times as much in memory."""

LARGEST_JSON = 4 * 2**20
"""The same of JSON, which is read by Python."""

_INLINE_JSON = 8 * 2**10  # bytes up to which JSON is decoded on the event loop
_NAMED = 20  # data points or records that an answer names
_JSON, _PROTOBUF = "application/json", "application/x-protobuf"


class _Signal(NamedTuple):
    """One kind of telemetry.

    Attributes:
        words: of its templates.
        template: where a request names none.
        rejected: the field of `partial_success` that counts.
    """

    words: Words
    template: str
    rejected: str


class OtlpRoutes:
    """Event loop only.

    Args:
        metrics, logs: templates of topics, where a request names none.
    """

    def __init__(self, door: Door, metrics: str, logs: str) -> None:
        self._door = door
        self._signals = {
            METRICS: _Signal(OTLP_METRICS_WORDS, metrics, "rejectedDataPoints"),
            LOGS: _Signal(OTLP_LOGS_WORDS, logs, "rejectedLogRecords"),
        }

    @property
    def routes(self) -> Mapping[str, App]:
        return {METRICS: self._export, LOGS: self._export, TRACES: self._traces}

    async def answer_error(self, scope: Scope, send: Send, error: Exception) -> None:
        """A `google.rpc.Status`, of which only the message is filled."""
        status, document, headers = problems.of_error(error)
        text = document.get("detail", document["title"])
        if _is_json(dict(scope["headers"])):
            await _answer(send, status, _JSON, msgspec.json.encode({"message": text}), headers)
        else:
            await _answer(send, status, _PROTOBUF, _text_field(2, text), headers)

    async def _export(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: HeaderMap = dict(scope["headers"])
        principal = await self._door.identify(scope, headers)
        signal = self._signals[scope["path"]]
        given = parameters(scope["query_string"], "topic", "owner", "_")
        template = template_in(given, signal.words, signal.template)
        owner = self._door.checked_owner(principal, given.get("owner", principal.owner))
        is_json = _is_json(headers)
        if is_json is None:
            raise UnknownEncoding("Content-Type", f"it is {_PROTOBUF} or {_JSON}")
        limit = min(self._door.largest_body, LARGEST_JSON if is_json else LARGEST)
        body = await bodies.read(receive, headers, limit)
        received = now()
        sender = self._door.sender(principal, owner)
        topics = self._door.topics.of(sender, signal.words, template)
        with installed("OTLP"):
            from lakebed.sources.http.otlp import logs, metrics
            from lakebed.sources.http.otlp.requests import Way
        way = Way(sender, template, topics, is_json)
        decode: Callable[[bytes, Way], Decoded]
        decode = metrics.decode if scope["path"] == METRICS else logs.decode
        found = await self._door.decode(
            partial(decode, way=way), body, _INLINE_JSON if is_json else INLINE
        )
        await self._door.take(scope, principal, found, received)
        if found.refused and not found.payloads:
            raise BadRequest("body", _rejected(found))
        await _answer(send, 200, _JSON if is_json else _PROTOBUF, _partial(found, signal, is_json))

    async def _traces(self, scope: Scope, receive: Receive, send: Send) -> None:
        principal = await self._door.identify(scope, dict(scope["headers"]))
        require(principal, Action.MESSAGES_PUBLISH, Resource(principal.owner))
        raise NotFound("traces are not kept here: send metrics to /v1/metrics and logs to /v1/logs")


def _is_json(headers: HeaderMap) -> bool | None:
    """Whether a request is JSON, else protobuf; None for neither."""
    media = headers.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()
    return {_JSON: True, _PROTOBUF: False}.get(media)


def _rejected(found: "Decoded") -> str:
    named = [f"{one['line']}: {one['error']}" for one in found.rejected[:_NAMED]]
    return f"refused, counted from 1: {'; '.join(named)}"


def _partial(found: "Decoded", signal: _Signal, is_json: bool) -> bytes:
    """An `Export…ServiceResponse`, which is empty where all is taken.

    Of all signals it has `partial_success` as field 1, of it the count and the text as 1 and 2.
    """
    if not found.refused:
        return b"{}" if is_json else b""
    text = _rejected(found)
    if is_json:
        counted: dict[str, Any] = {signal.rejected: str(found.refused), "errorMessage": text}
        return msgspec.json.encode({"partialSuccess": counted})
    inner = b"\x08" + _varint(found.refused) + _text_field(2, text)
    return b"\x0a" + _varint(len(inner)) + inner


def _text_field(number: int, text: str) -> bytes:
    content = text.encode()
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


async def _answer(
    send: Send, status: int, media: str, body: bytes, headers: Headers | None = None
) -> None:
    head = [(b"content-type", media.encode()), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": head + (headers or [])})
    await send({"type": "http.response.body", "body": body})
