"""The live tap: streams messages as they become durable, as NDJSON, until the reader disconnects.

A slow reader delays nothing: messages are skipped for it, and the stream says how many.
"""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse

from lakebed.access.actions import Action
from lakebed.api.callers import Caller, InOwner, is_still_allowed
from lakebed.api.formats import MEDIA_TYPES, encode
from lakebed.api.requests import ServicesDep, check_filter_in
from lakebed.api.services import Delivery, Feed
from lakebed.metering.outgoing import uncounted
from lakebed.vocabulary.errors import BadRequest
from lakebed.vocabulary.owner_topics import split_owner
from lakebed.vocabulary.times import UNSET, Micros, to_rfc3339

router = APIRouter(prefix="/api/v1", tags=["reading"])

HEARTBEAT = 10.0
"""Seconds of silence after which a blank line is sent, to detect dead readers."""

RECHECK = 0.5
"""Seconds after which a token is looked up again before messages are sent, so that a revoked one
gets none after two seconds."""

MOST_WAITING = 20_000
"""Most messages queued for a slow reader; more are dropped and counted."""


@router.get("/tap", response_class=StreamingResponse)
async def tap(
    request: Request,
    services: ServicesDep,
    caller: Annotated[Caller, InOwner(Action.MESSAGES_FOLLOW)],
    filter: Annotated[list[str], Query(description="an MQTT filter; may be repeated")],
) -> StreamingResponse:
    """Stream messages as they arrive: `{"topic", "time", "value" or "payload_base64"}` per line.

    The lines can be sent again as a batch. `{"dropped": n}` says that n messages were skipped
    because the reader was slow; ignore blank lines.
    """
    asked: dict[tuple[str, str], list[str]] = {}
    for one in filter:
        owner, topics, prefix = _split(one, caller.owner)
        check_filter_in("filter", topics)
        asked.setdefault((owner, prefix), []).append(topics)
    for (owner, _), topics_asked in asked.items():
        replace(caller, owner=owner).require(*topics_asked)

    async def is_allowed() -> bool:
        for (owner, _), topics_asked in asked.items():
            if not await is_still_allowed(request, replace(caller, owner=owner), *topics_asked):
                return False
        return True

    def sent(owner: str, topics: str, messages: int, size: int) -> None:
        services.sent("tap", owner, caller.label, topics, "", messages, size)

    stream = lines(services.feed, asked, is_allowed, sent)
    # live: nobody on the way may collect or change it
    headers = {"Cache-Control": "no-store, no-transform"}
    return StreamingResponse(stream, media_type=MEDIA_TYPES["ndjson"], headers=headers)


def _split(filter: str, owner: str) -> tuple[str, str, str]:
    try:
        return split_owner(filter, owner)
    except ValueError as error:
        raise BadRequest("filter", str(error)) from None


async def lines(
    feed: Feed,
    asked: Mapping[tuple[str, str], list[str]],
    still_allowed: Callable[[], Awaitable[bool]],
    sent: Callable[[str, str, int, int], None] = uncounted,
) -> AsyncIterator[bytes]:
    """The stream, until the reader disconnects or is not allowed any more.

    Args:
        asked: filters by their owner, and what is put in front of their topics.
        sent: called with owner, filters, the number of messages that were sent, and the bytes of
            their lines.
    """
    waiting = _Queue()
    subscriptions = [
        feed.subscribe(owner, filters, partial(waiting.deliver, prefix))
        for (owner, prefix), filters in asked.items()
    ]
    reported = 0
    loop = asyncio.get_running_loop()
    recheck_at = loop.time() + RECHECK
    try:
        yield b"\n"  # tells the reader at once that it is subscribed
        while True:
            found = await waiting.take(HEARTBEAT)
            if loop.time() >= recheck_at:
                if not await still_allowed():
                    return
                recheck_at = loop.time() + RECHECK
            dropped = waiting.dropped + sum(one.dropped for one in subscriptions)
            if dropped > reported:
                yield encode({"dropped": dropped - reported}) + b"\n"
                reported = dropped
            encoded = list(map(_line, found))
            yield b"".join(encoded) or b"\n"
            for (owner, prefix), filters in asked.items():
                mine = [
                    len(line)
                    for (topic, *_), line in zip(found, encoded, strict=True)
                    if len(asked) == 1 or _prefix_of(topic, asked) == prefix
                ]
                if mine:
                    sent(owner, ",".join(filters), len(mine), sum(mine))
    finally:
        for one in subscriptions:
            one.close()


def _prefix_of(topic: str, asked: Mapping[tuple[str, str], object]) -> str:
    return next((prefix for _, prefix in asked if prefix and topic.startswith(prefix)), "")


class _Queue:
    """A bounded queue of messages that were delivered and not sent yet."""

    def __init__(self) -> None:
        self.dropped = 0
        self._messages: Delivery = []
        self._some = asyncio.Event()

    def deliver(self, prefix: str, messages: Delivery) -> None:
        if prefix:
            messages = [(prefix + topic, *rest) for topic, *rest in messages]  # type: ignore[misc]
        room = max(0, MOST_WAITING - len(self._messages))
        self.dropped += max(0, len(messages) - room)
        self._messages += messages[:room]
        self._some.set()

    async def take(self, seconds: float) -> Delivery:
        """Return all queued messages, waiting up to `seconds` for the first."""
        try:
            async with asyncio.timeout(seconds):
                await self._some.wait()
        except TimeoutError:
            pass
        self._some.clear()
        taken, self._messages = self._messages, []
        return taken


def _line(message: tuple[str, bytes, Micros, Micros]) -> bytes:
    topic, payload, received, event = message
    shown: dict[str, Any] = {
        "topic": topic,
        "time": to_rfc3339(received if event == UNSET else event),
    }
    try:
        shown["value"] = payload.decode()
    except UnicodeDecodeError:
        shown["payload_base64"] = b64encode(payload).decode()
    return encode(shown) + b"\n"
