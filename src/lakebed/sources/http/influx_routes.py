"""The routes of InfluxDB's line protocol; what clients ask and expect is `influx.py`."""

from collections.abc import Mapping
from functools import partial

from lakebed.access.actions import Action
from lakebed.access.decision import Resource, require
from lakebed.access.principals import Principal
from lakebed.http import bodies
from lakebed.http.asgi import App, Receive, Scope, Send
from lakebed.sources.http import influx, line_protocol, ndjson
from lakebed.sources.http.door import Door, HeaderMap, decoded
from lakebed.vocabulary.times import now

_TEMPLATES = 100  # of senders, whose topics are cached


class InfluxRoutes:
    """Event loop only.

    Args:
        template: of topics, where a request names none.
    """

    def __init__(self, door: Door, template: str) -> None:
        self._door = door
        self._template = template
        self._topics: dict[tuple[ndjson.Sender, str], line_protocol.Topics] = {}

    @property
    def routes(self) -> Mapping[str, App]:
        return {
            influx.WRITE: self._write,
            influx.WRITE_V2: self._write,
            influx.QUERY: self._query,
        }

    async def answer_error(self, scope: Scope, send: Send, error: Exception) -> None:
        await influx.answer_error(send, scope["path"], error)

    async def _write(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Line protocol; good lines are taken, bad ones are named."""
        headers: HeaderMap = dict(scope["headers"])
        path, query = scope["path"], scope["query_string"]
        principal = await self._identify(scope, headers)
        asked = influx.asked(path, query)
        owner = self._door.checked_owner(principal, asked.owner or principal.owner)
        body = await bodies.read(receive, headers, self._door.largest_body)
        received = now()
        sender = self._door.sender(principal, owner)
        template = asked.template or self._template
        topics = self._topics_of(sender, template)
        way = line_protocol.Way(sender, template, asked.precision, topics)
        found = await decoded(partial(line_protocol.decode, way=way), body)
        await self._door.take(scope, principal, found, received)
        await influx.answer_written(send, path, found)

    def _topics_of(self, sender: ndjson.Sender, template: str) -> line_protocol.Topics:
        """The cache of the channels of a sender's lines; it goes with the sender."""
        topics = self._topics.get((sender, template))
        if topics is None:
            if len(self._topics) >= _TEMPLATES:
                self._topics.clear()
            topics = self._topics[sender, template] = {}
        return topics

    async def _query(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Whether a database may be created, which clients ask before they write."""
        headers: HeaderMap = dict(scope["headers"])
        principal = await self._identify(scope, headers)
        require(principal, Action.MESSAGES_PUBLISH, Resource(principal.owner))
        body = await bodies.read(receive, headers, influx.LONGEST_QUERY)
        influx.check_query(scope["query_string"], body)
        await influx.answer_created(send)

    async def _identify(self, scope: Scope, headers: HeaderMap) -> Principal:
        header = headers.get(b"authorization", b"")
        token = influx.token_of(scope["path"], header, scope["query_string"])
        return await self._door.identify(scope, headers, token)
