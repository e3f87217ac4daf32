"""The route of remote write: what a sender asks for by its headers, and how it is answered.

    2xx  all is durable           400  good series are durable, the named ones are refused for ever
    429, 503 + Retry-After        nothing is taken: the same request later
    413, 415                      nothing of this is ever taken

A sender repeats what is answered with 5xx, and with 429 if it is told to; what is answered with
another 4xx it drops. So what can never be taken is never a 5xx, and what may be taken later is
nothing else.
"""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from lakebed.http import bodies, problems
from lakebed.http.asgi import App, Headers, Receive, Scope, Send
from lakebed.http.problems import UnknownEncoding
from lakebed.sources.http.door import Door, HeaderMap, installed
from lakebed.sources.http.targets import parameters, template_in
from lakebed.vocabulary.times import now
from lakebed.vocabulary.topic_templates import REMOTE_WRITE_WORDS

if TYPE_CHECKING:
    from lakebed.sources.http.remote_write.decoding import Written

WRITE = "/api/v1/write"
"""The path that Prometheus and its kin have by convention."""

LARGEST = 16 * 2**20
"""Most bytes of a request, decompressed: protobuf takes many times as much in memory."""

_NAMED = 20  # series that an error names
_VERSION_1, _VERSION_2 = "prometheus.WriteRequest", "io.prometheus.write.v2.Request"
_PROTOBUF = "application/x-protobuf"


class RemoteWriteRoutes:
    """Event loop only.

    Args:
        template: of topics, where a request names none.
    """

    def __init__(self, door: Door, template: str) -> None:
        self._door = door
        self._template = template

    @property
    def routes(self) -> Mapping[str, App]:
        return {WRITE: self._write}

    async def answer_error(self, scope: Scope, send: Send, error: Exception) -> None:
        """One line of text, because senders write the beginning of it to their logs."""
        status, document, headers = problems.of_error(error)
        headers = [one for one in headers if one[0] != b"accept-encoding"]
        headers += _counts(dict(scope["headers"]), 0, 0)
        await _answer(send, status, document.get("detail", document["title"]), headers)

    async def _write(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: HeaderMap = dict(scope["headers"])
        principal = await self._door.identify(scope, headers)
        given = parameters(scope["query_string"], "topic", "owner", "_")
        template = template_in(given, REMOTE_WRITE_WORDS, self._template)
        owner = self._door.checked_owner(principal, given.get("owner", principal.owner))
        version = _asked(headers)
        with installed("remote write"):
            from lakebed.sources.http.remote_write import decoding, snappy
        plain = {name: value for name, value in headers.items() if name != b"content-encoding"}
        limit = min(self._door.largest_body, LARGEST)
        block = await bodies.read(receive, plain, limit)
        received = now()
        sender = self._door.sender(principal, owner)
        way = decoding.Way(
            sender, template, self._door.topics.of(sender, REMOTE_WRITE_WORDS, template)
        )
        decode = decoding.version_2 if version == _VERSION_2 else decoding.version_1
        body = snappy.decompress(block, limit)
        written = await self._door.decode(partial(decode, way=way), body)
        await self._door.take(scope, principal, written.found, received)
        counts = _counts(headers, written.samples, written.histograms)
        if not written.found.refused:
            await send({"type": "http.response.start", "status": 204, "headers": counts})
            await send({"type": "http.response.body"})
            return
        await _answer(send, 400, _rejected(written), counts)


def _asked(headers: HeaderMap) -> str:
    """The protobuf message that a request consists of.

    Raises:
        UnknownEncoding: it is none of the two, or not compressed by snappy.
    """
    encoding = headers.get(b"content-encoding", b"snappy").decode("latin-1").strip().lower()
    if encoding != "snappy":
        raise UnknownEncoding("Content-Encoding", f"remote write has snappy, not {encoding!r}")
    version = _version(headers)
    if version is None:
        raise UnknownEncoding(
            "Content-Type",
            f"it is {_PROTOBUF}, with proto={_VERSION_1} (the default) or proto={_VERSION_2}",
        )
    return version


def _version(headers: HeaderMap) -> str | None:
    given = headers.get(b"content-type", _PROTOBUF.encode()).decode("latin-1")
    media, *rest = [part.strip() for part in given.split(";")]
    if media.lower() != _PROTOBUF:
        return None
    for part in rest:
        name, _, value = part.partition("=")
        if name.strip().lower() == "proto":
            version = value.strip().strip('"')
            return version if version in (_VERSION_1, _VERSION_2) else None
    return _VERSION_1


def _counts(headers: HeaderMap, samples: int, histograms: int) -> Headers:
    """What has been written, which a sender of version 2 is told in every case."""
    if _version(headers) != _VERSION_2:
        return []
    counts = (("samples", samples), ("histograms", histograms), ("exemplars", 0))
    return [
        (f"x-prometheus-remote-write-{what}-written".encode(), b"%d" % count)
        for what, count in counts
    ]


def _rejected(written: "Written") -> str:
    found = written.found
    named = "; ".join(f"series {one['line']}: {one['error']}" for one in found.rejected[:_NAMED])
    return f"partial write: {named} dropped={found.refused}"


async def _answer(send: Send, status: int, text: str, headers: Headers) -> None:
    body = f"{text}\n".encode()
    head = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
        *headers,
    ]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})
