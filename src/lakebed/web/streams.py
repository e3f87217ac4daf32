"""Streams of live values: server-sent events, as plain ASGI on the event loop.

    page ──POST /live {"filters": […]}──> one stream of a view ──frames──> page

An event is a list of cells that have changed: `[number, milliseconds, text]`, and the topic as a
fourth where the stream has not named it yet; of a payload that is no text its size stands there.
The body of the request has the filters because a page may follow a thousand topics.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from itertools import takewhile
from typing import Annotated, cast

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import Response

from lakebed.access.actions import Action
from lakebed.api.callers import Caller, InOwner, is_still_allowed
from lakebed.api.requests import Body, ServicesDep, check_filter_in, document_in
from lakebed.http.asgi import Message, Receive, Scope, Send
from lakebed.ports.metrics import CounterMetric, GaugeMetric, Sample
from lakebed.vocabulary.errors import BadRequest
from lakebed.web.hub import Feed, Hub, Stream

STREAMS = GaugeMetric("lakebed_live_streams", "Pages with live values that are open.")
CHANNELS = GaugeMetric("lakebed_live_channels", "Different topics that they have in sight.")
FRAMES = CounterMetric(
    "lakebed_live_frames_total", "Frames of live values for pages, by outcome.", ("outcome",)
)

router = APIRouter(include_in_schema=False)

RECHECK = 0.5
"""Seconds after which the caller is looked up again before values are sent, so that who is blocked
gets none after two seconds."""

BEAT = 10.0
"""Seconds after which the caller is looked up in any case, and a page that was sent nothing is sent
a comment."""

LARGEST = 256 * 2**10
"""Most bytes of a request."""

_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Accel-Buffering": "no",  # nginx would collect frames
}
_BEAT = b":\n\n"


class Wanted(msgspec.Struct, forbid_unknown_fields=True):
    """What a page wants to see."""

    filters: list[str]


_decode = msgspec.json.Decoder(Wanted).decode


@router.post("/live")
async def live(
    request: Request,
    services: ServicesDep,
    caller: Annotated[Caller, InOwner(Action.MESSAGES_FOLLOW)],
    body: Body,
) -> Response:
    """Stream the newest value of each topic under the filters, a few times a second."""
    filters = _filters(body)
    caller.require(*filters)

    def sent(values: int, size: int) -> None:
        services.sent("page", caller.owner, caller.label, summary(filters), "", values, size)

    async def is_allowed() -> bool:
        return await is_still_allowed(request, caller, *filters)

    stream = await hub_of(request).open(caller.owner, filters, caller.label)
    return Live(stream, is_allowed, sent)


class Pages:
    """The pages that a process shows values to. Its hub is made for the first of them."""

    def __init__(self) -> None:
        self.hub: Hub | None = None

    def metrics(self) -> Iterator[Sample]:
        """Streams, channels and frames, for /metrics."""
        hub = self.hub
        streams, channels = (hub.streams, hub.channels) if hub else (0, 0)
        yield STREAMS(streams)
        yield CHANNELS(channels)
        yield FRAMES(hub.frames if hub else 0, "sent")
        yield FRAMES(hub.skipped if hub else 0, "skipped")


def hub_of(request: Request) -> Hub:
    """The hub of this process, which is made for its first page."""
    state = request.app.state
    live: Pages = state.live
    if live.hub is None:
        live.hub = Hub(cast(Feed, state.services.feed), asyncio.get_running_loop())
    return live.hub


def _filters(body: bytes) -> list[str]:
    if len(body) > LARGEST:
        raise BadRequest("body", f"it is at most {LARGEST} bytes long")
    filters = cast(Wanted, document_in(body, _decode)).filters
    if not filters:
        raise BadRequest("filters", "name at least one topic or filter")
    for filter in filters:
        check_filter_in("filters", filter)
    return filters


def summary(filters: list[str]) -> str:
    """One filter for the byte ledger: what filters have in common, of a page with many."""
    different = {filter: filter.split("/") for filter in filters}
    if len(different) == 1:
        return filters[0]
    levels = takewhile(lambda found: len(set(found)) == 1, zip(*different.values(), strict=False))
    return "/".join([*(level for level, *_ in levels), "#"])


class Live(Response):
    """Sends a stream to one page until that disconnects, or may not look any more."""

    def __init__(
        self,
        stream: Stream,
        is_allowed: Callable[[], Awaitable[bool]],
        sent: Callable[[int, int], None],
    ) -> None:
        self.background = None
        self.status_code = 200
        self.init_headers(_HEADERS)
        self._stream = stream
        self._is_allowed = is_allowed
        self._sent = sent
        self._gone = False
        self._due = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        loop = asyncio.get_running_loop()
        leaving = loop.create_task(self._leave(receive))
        timer = loop.call_later(BEAT, self._beat)
        recheck_at = loop.time() + RECHECK
        values = size = 0
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await send(_part(_BEAT))  # tells the page at once that it is connected
            while True:
                await self._stream.wait()
                if self._gone or self._stream.ended:
                    break
                if frame := self._stream.take():
                    if loop.time() >= recheck_at:
                        if not await self._is_allowed():
                            break
                        recheck_at = loop.time() + RECHECK
                    await send(_part(frame.data))  # waits while the browser does not read
                    values, size = values + frame.values, size + len(frame.data)
                if self._due:
                    self._due = False
                    if not await self._is_allowed():
                        break
                    if not frame:
                        await send(_part(_BEAT))
                    if values:
                        self._sent(values, size)
                        values = size = 0
                    timer = loop.call_later(BEAT, self._beat)
            await send({"type": "http.response.body", "body": b""})
        finally:
            timer.cancel()
            leaving.cancel()
            self._stream.close()
            if values:
                self._sent(values, size)

    async def _leave(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        self._stream.wake()

    def _beat(self) -> None:
        self._due = True
        self._stream.wake()


def _part(data: bytes) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": True}
