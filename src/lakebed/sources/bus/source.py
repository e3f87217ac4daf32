"""The bus source: asks for events, makes them durable, remembers the position, acknowledges.

    lead ──> position ──> ask ──> append ──> acknowledge ──> write position ──┐
     ^                     ^──────────────────────────────────────────────────┘
     └── wait, longer each time <── a failure of any of them

Nothing is asked for before the page before it is durable and its position written. So after a crash
at most one page is asked for again, at the same place: its events have the ids that they had, and
nothing is stored twice. An acknowledgement that fails is repeated before more is asked for.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec
import structlog

from lakebed.ports.catalog.notes import NoteStore
from lakebed.ports.health import Health
from lakebed.sources.bus.answers import (
    Lines,
    ServerSentEvents,
    StreamEvent,
    cursor_text,
    read_page,
)
from lakebed.sources.bus.client import BusClient, Failed, is_events, is_lines
from lakebed.sources.bus.events import EventReader, Place
from lakebed.sources.bus.reporting import Reporter
from lakebed.sources.bus.settings import BusSource
from lakebed.sources.pulling.messages import Pulled, Unreadable
from lakebed.sources.pulling.position import Lead, Positions
from lakebed.sources.pulling.retrying import Backoff
from lakebed.sources.pulling.stats import Stats
from lakebed.sources.pulling.taking import Taker
from lakebed.vocabulary.errors import Unavailable
from lakebed.vocabulary.pointers import follow, parse_pointer
from lakebed.vocabulary.times import SECOND

if TYPE_CHECKING:
    from lakebed.ingest.intake import Intake

log = structlog.get_logger(__name__)

_BEGIN_EVERY = 0.5  # seconds
_LEAD_EVERY = 2.0  # seconds
_SILENCE = 60.0  # seconds without a byte, after which a stream counts as broken
_GRACE = 3.0  # seconds that what is being taken may still last at the stop
_BATCH = 1000  # events of a stream that are appended together,
_BATCH_BYTES = 1 << 20  # and their bytes
_JSON = "application/json"


class BusReader:
    """One entry of `[[sources]]` with `kind = "bus"`, from `start` to `stop`. Event loop only.

    Args:
        longest: bytes of one payload (`limits.payload`).
        lead: of several gateways one reads; None where this process is alone.
        may_begin: says whether what its events are for is there; blocks.

    Raises:
        SettingsError: a file of TLS cannot be read.
    """

    def __init__(
        self,
        source: BusSource,
        intake: "Intake",
        notes: NoteStore,
        longest: int,
        lead: Lead | None = None,
        may_begin: Callable[[], bool] = lambda: True,
    ) -> None:
        self.name = source.name
        self.stats = Stats(source.name)
        self._source = source
        self._client = BusClient(source)
        self._events = EventReader(source)
        self._taker = Taker(intake, source.owner, source.name, source.url, longest, self.stats)
        self._positions = Positions(notes, source.name)
        self._lead, self._may_begin = lead, may_begin
        self._items = parse_pointer(source.items)
        by_cursor = source.paging == "cursor" and source.event_cursor is None
        self._cursor = parse_pointer(source.cursor) if by_cursor else None
        self._event_cursor = (
            None if source.event_cursor is None else parse_pointer(source.event_cursor)
        )
        self._event_id = parse_pointer(source.event_id)
        self._backoff = Backoff(source.retry_first / SECOND, source.retry_most / SECOND)
        self._position = ""
        self._owed: tuple[Any, str] | None = None  # what to acknowledge, and the position then
        self._state = "not started"
        self._taking = asyncio.Lock()  # from the append to the position
        self._tasks: list[asyncio.Task[None]] = []
        self.reporter = Reporter(source, self.stats, self._client.post)

    async def start(self) -> None:
        """Start asking in the background; return at once, even if the bus is away."""
        self._tasks = [asyncio.create_task(self._run(), name=f"bus-{self.name}")]
        if self._source.metrics:
            report = self.reporter.run(self._client.url(self._source.metrics))
            self._tasks.append(asyncio.create_task(report, name=f"bus-metrics-{self.name}"))

    async def stop(self) -> None:
        """Ask for nothing more; what is being taken is acknowledged, and its position written."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_GRACE):
                await self._taking.acquire()
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task
        await self._client.close()

    def health(self) -> Health:
        figures = {
            "bus": urlsplit(self._source.url).netloc,
            **self.stats.figures(),
            **self.reporter.figures(),
        }
        refused = self.stats.refused.total()
        message = self._state
        if self.stats.connected and refused:
            reasons = ", ".join(f"{n} {why}" for why, n in self.stats.refused.most_common(3))
            message = f"{message}; put aside or dropped: {reasons}"
        return Health(True, message, figures)

    # --- the loop ---------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            try:
                await self._follow()
            except Failed as error:
                await self._failed(str(error), error.after)
            except Unavailable as error:
                await self._failed(str(error))
            except Exception as error:
                log.exception("a source fails", source=self.name)
                await self._failed(f"{type(error).__name__}: {error}")

    async def _failed(self, text: str, after: float = 0.0) -> None:
        self.stats.failures += 1
        if self.stats.connected or self._state == "not started":
            log.warning("a bus fails", source=self.name, reason=text)
        self.stats.connected, self._state = False, text
        await asyncio.sleep(self._backoff.wait(after))

    async def _follow(self) -> None:
        """Read until something fails."""
        while not await asyncio.to_thread(self._may_begin):
            self._state = "waits until its policy is in force"
            await asyncio.sleep(_BEGIN_EVERY)
        async with _led(self._lead, self._wait_for_lead):
            self._position = self._known(await self._positions.read())
            while True:
                if self._lead is not None:
                    _check_lead(self._lead)
                await self._settle()
                if self._source.read == "stream":
                    await self._read_stream()
                elif not await self._read_page():
                    await asyncio.sleep(self._source.every / SECOND)

    def _known(self, written: str) -> str:
        """The position that was written, unless it counts something else."""
        paging, _, position = written.partition(" ")
        return position if paging == self._source.paging else ""

    async def _wait_for_lead(self) -> None:
        self._state = "another gateway reads it"
        self.stats.connected = True
        await asyncio.sleep(_LEAD_EVERY)

    def _works(self) -> None:
        if not self.stats.connected or self._state != "connected":
            log.info("reads a bus", source=self.name, url=self._source.url)
        self.stats.connected, self._state = True, "connected"
        self._backoff.reset()

    async def _read_page(self) -> bool:
        """Ask once, and take what comes; whether there was anything."""
        source = self._source
        wait = source.wait / SECOND if source.wait_parameter else 0.0
        url, parameters = self._asked(wait)
        answer, body = await self._client.get(url, parameters, wait)
        page = read_page(body, self._items, self._cursor, is_lines(answer))
        asked = self._position
        follows = source.paging != "none"
        read = self._events.read_all(
            page.events, lambda i: self._place(page.events[i], asked, i) if follows else None
        )
        position = self._after(page.cursor, page.events, str(answer.url), answer.headers)
        self._works()
        await self._take(read, position)
        return bool(page.events)

    def _asked(self, wait: float) -> tuple[str, dict[str, str]]:
        source = self._source
        url, parameters = self._client.url(source.path), {}
        if source.limit_parameter:
            parameters[source.limit_parameter] = str(source.limit)
        if wait:
            parameters[source.wait_parameter] = f"{wait:g}"
        if source.paging == "link" and self._position:
            return self._position, parameters
        if source.paging == "offset":
            parameters[source.offset_parameter] = self._position or "0"
        elif source.paging == "cursor" and self._position:
            parameters[source.cursor_parameter] = self._position
        return url, parameters

    def _place(self, raw: bytes, asked: str, index: int) -> Place:
        """Where an event stands: where it says, or so many behind what was asked for."""
        if self._event_cursor is not None and (own := _cursor_of(raw, self._event_cursor)):
            return Place(own, 0)
        if self._source.paging == "offset":
            return Place(str(int(asked or 0) + index), 0)
        return Place(asked, index)

    def _after(self, cursor: str | None, events: list[bytes], url: str, headers: Any) -> str:
        """The position behind an answer."""
        source = self._source
        if source.paging == "none":
            return ""
        if source.paging == "offset":
            return str(int(self._position or 0) + len(events))
        if source.paging == "link":
            link = _next_link(headers.get_list("link"))
            return self._client.following(url, link) if link else self._position
        if self._event_cursor is not None:
            cursors = (_cursor_of(raw, self._event_cursor) for raw in reversed(events))
            return next((one for one in cursors if one), self._position)
        return cursor if cursor is not None else self._position

    async def _take(self, read: list[Pulled | Unreadable], position: str) -> None:
        async with self._taking:
            await self._taker.take(read, _JSON)
            self._owe(read, position)
            await self._settle()

    # --- acknowledgements -------------------------------------------------------------------------

    def _owe(self, read: list[Pulled | Unreadable], position: str) -> None:
        """Note what has to be acknowledged: also what was put aside, or it would come for ever."""
        document: Any = None
        if self._source.acknowledge and read:
            if self._source.acknowledge_with == "cursor":
                document = {"cursor": position}
            else:
                raws = (one.payload if isinstance(one, Pulled) else one.raw for one in read)
                found = (_at(raw, self._event_id) for raw in raws)
                ids = [id for id in found if id is not None]
                document = {"ids": ids} if ids else None
        self._owed = document, position

    async def _settle(self) -> None:
        """Acknowledge what is durable, and remember the position behind it."""
        if self._owed is None:
            return
        document, position = self._owed
        if document is not None:
            await self._client.post(self._client.url(self._source.acknowledge), document)
            self._owed = None, position
        if position != self._position:
            if self._lead is not None:  # one that slept while another took over writes nothing
                await asyncio.to_thread(self._lead.renew)
                _check_lead(self._lead)
            await self._positions.write(f"{self._source.paging} {position}")
            self._position = position
        self._owed = None

    # --- streams ----------------------------------------------------------------------------------

    async def _read_stream(self) -> None:
        """Read one stream to its end."""
        url, parameters = self._asked(0.0)
        headers = {"Last-Event-ID": self._position} if self._position else {}
        async with self._client.stream(url, parameters, headers, _SILENCE) as answer:
            self._works()
            places = _Places(self._source.paging, self._position, is_events(answer))
            async for events in _batches(answer, self._source.max_answer, self._position):
                read = [self._events.read(one.data, self._place_of(one, places)) for one in events]
                position = places.position
                if self._event_cursor is not None:
                    position = self._after(None, [one.data for one in events], url, None)
                await self._take(read, position)
        raise Failed("its stream ended")

    def _place_of(self, event: StreamEvent, places: "_Places") -> Place | None:
        place = places.next(event.id)
        if self._event_cursor is not None and (own := _cursor_of(event.data, self._event_cursor)):
            return Place(own, 0)
        return place


class _Places:
    """Counts the events of a stream, from a position on.

    Args:
        ids: whether it is of server-sent events, whose ids are positions.
    """

    def __init__(self, paging: str, position: str, ids: bool) -> None:
        self.position = position
        self._offsets, self._ids = paging == "offset", ids and paging == "cursor"
        # the event that has the position as its id came before
        self._since = 1 if position else 0

    def next(self, id: str | None) -> Place | None:
        """The place of an event; None where the stream tells none."""
        if self._offsets:
            place = Place(self.position or "0", 0)
            self.position = str(int(self.position or 0) + 1)
            return place
        if not self._ids:
            return None
        if id and id != self.position:
            self.position, self._since = id, 0
        self._since += 1
        return Place(self.position, self._since - 1)


async def _batches(answer: Any, longest: int, id: str) -> AsyncIterator[list[StreamEvent]]:
    """The events of each chunk that comes, in batches; the next is read when one is taken."""
    lines = Lines(longest)
    events = ServerSentEvents(longest, id) if is_events(answer) else None
    async for chunk in answer.aiter_raw():
        found: list[StreamEvent] = []
        size = 0
        for line in lines.feed(chunk):
            if events is not None:
                new = list(events.feed(line))
            else:
                new = [StreamEvent(line, None)] if line.strip() else []
            found += new
            size += sum(len(one.data) for one in new)
            if len(found) >= _BATCH or size >= _BATCH_BYTES:
                yield found
                found, size = [], 0
        if found:
            yield found


@asynccontextmanager
async def _led(lead: Lead | None, wait: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Wait for the lead, and renew it while inside."""
    if lead is None:
        yield
        return
    while not await asyncio.to_thread(lead.acquire):
        await wait()
    renewing = asyncio.create_task(_renew(lead))
    try:
        yield
    finally:
        renewing.cancel()  # another process takes over when it is not renewed


async def _renew(lead: Lead) -> None:
    while not lead.lost:
        await asyncio.sleep(_LEAD_EVERY)
        with suppress(Unavailable):
            await asyncio.to_thread(lead.renew)


def _check_lead(lead: Lead) -> None:
    if lead.lost:
        raise Failed("another gateway reads it")


def _at(raw: bytes, tokens: tuple[str, ...]) -> str | int | None:
    with suppress(ValueError, msgspec.MsgspecError, RecursionError):
        found = follow(msgspec.json.decode(raw), tokens)
        if isinstance(found, (str, int)) and not isinstance(found, bool) and found != "":
            return found
    return None


def _cursor_of(raw: bytes, tokens: tuple[str, ...]) -> str | None:
    return cursor_text(_at(raw, tokens))


def _next_link(headers: list[str]) -> str | None:
    """The target of `rel="next"` (RFC 8288, section 3)."""
    for header in headers:
        for link in header.split(","):
            target, *parameters = link.split(";")
            relations = [one.strip().replace(" ", "").lower() for one in parameters]
            if 'rel="next"' in relations or "rel=next" in relations:
                return target.strip().strip("<>")
    return None
