"""The route of CloudEvents; which of the three forms a request has is told by its Content-Type."""

from collections.abc import Callable, Mapping
from functools import partial

from lakebed.access.principals import Principal
from lakebed.http import bodies, problems
from lakebed.http.asgi import App, Receive, Scope, Send
from lakebed.http.problems import UnknownEncoding
from lakebed.sources.http.answers import response
from lakebed.sources.http.cloud_events import events
from lakebed.sources.http.door import Door, HeaderMap, decoded
from lakebed.sources.http.targets import parameters, template_in
from lakebed.vocabulary.attributes import NO_ATTRIBUTES, Attributes, Coded
from lakebed.vocabulary.times import now
from lakebed.vocabulary.topic_templates import CLOUDEVENTS_WORDS

PATH = "/api/v1/cloudevents"

_FAMILY = "application/cloudevents"
_AS_EVENTS = "events/TYPE"
_DECODERS: Mapping[str, Callable[..., events.Events]] = {
    f"{_FAMILY}+json": events.structured,
    f"{_FAMILY}-batch+json": events.batched,
}
"""By media type; any other is that of the data of a binary event."""


def is_cloud_event(headers: HeaderMap) -> bool:
    """Whether a request has CloudEvents, in one of the three forms."""
    media = headers.get(b"content-type", b"").lstrip().lower()
    return media.startswith(_FAMILY.encode()) or b"ce-specversion" in headers


class CloudEventsRoutes:
    """Event loop only.

    Args:
        template: of topics, where a request names none.
    """

    def __init__(self, door: Door, template: str) -> None:
        self._door = door
        self._template = template

    @property
    def routes(self) -> Mapping[str, App]:
        return {PATH: self._take}

    async def answer_error(self, scope: Scope, send: Send, error: Exception) -> None:
        await problems.answer(send, error)

    async def _take(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._answer(scope, receive, send, self._template, events.data_of)

    async def take_as_events(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take a request at the path of events: the type is the name, the payload an object."""
        await self._answer(scope, receive, send, _AS_EVENTS, events.object_of)

    async def _answer(
        self, scope: Scope, receive: Receive, send: Send, default: str, payload: events.Payload
    ) -> None:
        headers: HeaderMap = dict(scope["headers"])
        principal = await self._door.identify(scope, headers)
        given = parameters(scope["query_string"], "topic", "owner", "_")
        template = template_in(given, CLOUDEVENTS_WORDS, default)
        owner = self._door.checked_owner(principal, given.get("owner", principal.owner))
        sender = self._door.sender(principal, owner)
        media = (
            headers.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()
        )
        if media.startswith(_FAMILY) and media not in _DECODERS:
            raise UnknownEncoding("Content-Type", f"events are sent as JSON, not as {media}")
        decoder = _DECODERS.get(media) or partial(events.binary, headers)
        decode = partial(decoder, sender=sender, template=template, payload=payload)
        is_binary = media not in _DECODERS
        largest = self._door.largest_payload if is_binary else self._door.largest_body
        body = await bodies.read(receive, headers, largest)
        received = now()
        found, surroundings = await decoded(decode, body)
        attributes = self._attributes(principal, surroundings)
        await self._door.take(scope, principal, found, received, attributes)
        await problems.answer_json(send, *response(found))

    def _attributes(
        self, principal: Principal, surroundings: list[tuple[str, events.Properties]]
    ) -> Coded[Attributes] | None:
        """What is recorded of each event; None where that is nothing."""
        recorded = [
            self._door.attributes(principal, media.encode("latin-1", "replace"), properties)
            for media, properties in surroundings
        ]
        if not any(recorded):
            return None
        return Coded.of(one or NO_ATTRIBUTES for one in recorded)
