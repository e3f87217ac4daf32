"""The hub of live values: one per process, whoever many pages look on.

    feed ──batches──> Watched.newest       the newest message per channel, in the feed's thread
         ──cells────> turn                 each changed cell encoded once, joined per view
         ──frame────> streams              the same bytes to all pages with this view

A *view* is an owner with some filters. Turns come at most four times a second, and less often the
more pages look on, so that all of them together are sent 200 frames a second at most. A stream that
is busy sending misses turns; it is then sent the newest value of whatever changed meanwhile, once.
So nothing waits for a slow browser. Without streams the hub does not follow the feed, and nothing
reads the journal.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from lakebed.consuming.feed import Follower
from lakebed.vocabulary.errors import BadRequest, TooMany, Unavailable
from lakebed.vocabulary.messages import Batch, Channel
from lakebed.vocabulary.times import SECOND
from lakebed.vocabulary.topics import is_wildcard, matches
from lakebed.web.watched import Cell, Newest, Watched

SHORTEST = 0.25
"""Seconds between two turns, at least."""

FRAMES = 200
"""Most frames that all streams together are sent in a second."""

MOST_STREAMS, MOST_OF_ONE = 1_000, 250
"""Most streams of a process, and of one principal."""

MOST_FILTERS, MOST_CHANNELS = 1_000, 1_000
"""Most filters and channels of a view."""

MOST_CELLS = 20_000
"""Most channels of all views."""

LONGEST = 512
"""Characters of a value that are shown."""

RECENT = 5_000
"""Newest messages of the journal among which a new view finds its first values."""

_WAIT = 10 * SECOND
_encode = msgspec.json.Encoder().encode


class Feed(Protocol):
    """The part of `consuming.feed.LiveFeed` that the hub needs."""

    def follow(self, follower: Follower) -> None: ...

    def leave(self, follower: Follower) -> None: ...

    def newest(self, messages: int) -> list[Batch]: ...


class Timer(Protocol):
    def cancel(self) -> None: ...


class Clock(Protocol):
    """The part of an event loop that the hub needs."""

    def time(self) -> float: ...

    def call_later(self, delay: float, callback: Callable[[], None], /) -> Timer: ...


@dataclass(frozen=True, slots=True)
class Frame:
    """A server-sent event, and how many values are in it."""

    data: bytes
    values: int


class View:
    """The channels of one owner that some pages look at.

    Attributes:
        frame: what changed in the turn `turn`; pages that were sent the turn `before` need no more.
        turns: how many there were.
        unnamed: cells whose topics no frame has told yet.
        full: whether filters match more channels than a view may have.
    """

    def __init__(self, owner: str, filters: tuple[str, ...]) -> None:
        self.owner, self.filters = owner, filters
        self.cells: list[Cell] = []
        self.streams: set[Stream] = set()
        self.turn = self.before = 0
        self.turns = 0
        self.frame = Frame(b"", 0)
        self.full = False
        self.unnamed: set[Cell] = set()
        self.wildcards = [filter for filter in filters if is_wildcard(filter)]

    def wants(self, channel: Channel) -> bool:
        return channel.owner == self.owner and any(
            matches(filter, channel.topic) for filter in self.wildcards
        )

    def since(self, turn: int) -> Frame:
        """The newest values of all that changed after a turn."""
        return frame(_named(cell) for cell in self.cells if cell.turn > turn)


class Stream:
    """What one page is sent; event loop only.

    Attributes:
        sent: the turn up to which it was sent everything.
        ended: whether the hub has closed it.
    """

    def __init__(self, hub: "Hub", view: View, who: str) -> None:
        self._hub, self.view, self.who = hub, view, who
        self.sent = 0
        self._turns = view.turns
        self.ended = False
        self._woken = asyncio.Event()

    def wake(self) -> None:
        self._woken.set()

    async def wait(self) -> None:
        """Wait for something to send, or for `wake`."""
        await self._woken.wait()
        self._woken.clear()

    def take(self) -> Frame | None:
        """What the page has not been sent yet, in its newest state; None if there is nothing."""
        view = self.view
        if view.turn <= self.sent:
            return None
        shared = self.sent == view.before and self.sent > 0
        taken = view.frame if shared else view.since(self.sent)
        self.sent = view.turn
        self._hub.skipped += max(view.turns - self._turns - 1, 0)
        self._turns = view.turns
        self._hub.frames += bool(taken.values)
        return taken if taken.values else None

    def close(self) -> None:
        """Stop looking. Idempotent."""
        self._hub.leave(self)


class Hub:
    """Event loop only, but for `pick`. A `Follower` of the feed while there are streams.

    Attributes:
        frames: that streams have taken.
        skipped: turns whose frame a stream has not taken, because it was still busy with another.
    """

    most = 50_000  # payloads of few are touched, so it may be many at a time

    def __init__(self, feed: Feed, clock: Clock) -> None:
        self._feed = feed
        self._clock = clock
        self._watched = Watched()
        self._views: dict[tuple[str, tuple[str, ...]], View] = {}
        self._of_wildcards: defaultdict[str, list[View]] = defaultdict(list)
        self._of_whom: Counter[str] = Counter()
        self._changed: dict[Cell, None] = {}
        self._turn = 1  # 0 is the turn before all others
        self._last = float("-inf")
        self._due: Timer | None = None
        self.dropped = 0
        self.frames = self.skipped = 0

    @property
    def streams(self) -> int:
        return sum(self._of_whom.values())

    @property
    def channels(self) -> int:
        return len(self._watched)

    @property
    def interval(self) -> float:
        """Seconds between two turns, and between two looks of the feed for the hub."""
        return max(SHORTEST, self.streams / FRAMES)

    async def open(self, owner: str, filters: Iterable[str], who: str) -> Stream:
        """A stream of the values of some topics, the newest that are known first.

        Args:
            filters: valid MQTT filters, which `who` may follow.
            who: the label of a principal.

        Raises:
            BadRequest: it is too much for one view.
            TooMany: the process has as many streams or channels as it may.
        """
        key = (owner, tuple(sorted(set(filters))))
        if len(key[1]) > MOST_FILTERS:
            raise BadRequest("filters", f"a page follows {MOST_FILTERS} filters at most")
        if self.streams >= MOST_STREAMS or self._of_whom[who] >= MOST_OF_ONE:
            raise TooMany("too many pages with live values are open", _WAIT)
        view = self._views.get(key)
        fresh = view is None
        if view is None:
            if len(self._watched) + len(key[1]) > MOST_CELLS:
                raise TooMany("pages follow too many topics", _WAIT)
            view = self._views[key] = self._look(View(*key))
        stream = Stream(self, view, who)
        stream.wake()
        if not self.streams:
            self._feed.follow(self)
        self._of_whom[who] += 1
        view.streams.add(stream)
        if fresh:
            try:
                await self._seed(view)
            except BaseException:
                self.leave(stream)
                raise
        return stream

    def leave(self, stream: Stream) -> None:
        """End a stream, and the view with its last one."""
        view = stream.view
        if stream not in view.streams:
            return
        stream.ended = True
        stream.wake()
        view.streams.discard(stream)
        self._of_whom[stream.who] -= 1
        if not self._of_whom[stream.who]:
            del self._of_whom[stream.who]
        if not view.streams:
            self._forget(view)
        if not self._of_whom:
            self._feed.leave(self)
            if self._due is not None:
                self._due.cancel()
                self._due = None

    def close(self) -> None:
        """End all streams."""
        for view in list(self._views.values()):
            for stream in list(view.streams):
                self.leave(stream)

    # --- what the feed calls ----------------------------------------------------------------------

    def pick(self, batches: Sequence[Batch]) -> Newest:
        return self._watched.newest(batches)

    def hand_over(self, picked: Newest) -> None:
        for cell, payload, time in picked:
            if cell.views or self._admit(cell):
                cell.payload, cell.time = payload, time
                self._changed[cell] = None
        self._plan()

    def fail(self) -> None:
        self.close()

    # --- turns ------------------------------------------------------------------------------------

    def _plan(self) -> None:
        """Have a turn as soon as the last one is long enough ago."""
        if self._due is None and self._changed:
            wait = max(0.0, self._last + self.interval - self._clock.time())
            self._due = self._clock.call_later(wait, self._take_turn)

    def _take_turn(self) -> None:
        """Encode what has changed, and wake the streams of the views that have it."""
        self._due = None
        self._last = self._clock.time()
        changed, self._changed = self._changed, {}
        self._turn += 1
        rows: dict[View, list[bytes]] = {}
        for cell in changed:
            cell.turn = self._turn
            cell.row = _row(cell)
            for view in cell.views:
                row = cell.row
                if cell in view.unnamed:
                    view.unnamed.discard(cell)
                    row = _named(cell)
                rows.setdefault(view, []).append(row)
        for view, found in rows.items():
            view.before, view.turn, view.frame = view.turn, self._turn, frame(found)
            view.turns += 1
            for stream in view.streams:
                stream.wake()

    # --- views ------------------------------------------------------------------------------------

    def _look(self, view: View) -> View:
        """Have the cells of a view."""
        for filter in view.filters:
            if filter in view.wildcards:
                self._watched.follow(view.owner, filter)
            else:
                cell = self._watched.add(Channel(view.owner, filter))
                _attach(cell, view)
                self._admit(cell)
        if view.wildcards:
            self._of_wildcards[view.owner].append(view)
            for cell in self._watched.of(view.owner):
                if view.wants(cell.channel):
                    _attach(cell, view)
        if any(cell.turn for cell in view.cells):
            view.turn = self._turn
        return view

    def _forget(self, view: View) -> None:
        del self._views[view.owner, view.filters]
        if view.wildcards:
            self._of_wildcards[view.owner].remove(view)
            if not self._of_wildcards[view.owner]:
                del self._of_wildcards[view.owner]
        for filter in view.wildcards:
            self._watched.leave(view.owner, filter)
        for cell in view.cells:
            cell.views.discard(view)
            if not cell.views:
                self._watched.drop(cell)

    def _admit(self, cell: Cell) -> bool:
        """Add a cell to the views that want it by a wildcard; whether any has it."""
        for view in self._of_wildcards.get(cell.channel.owner, ()):
            if view.wants(cell.channel):
                _attach(cell, view)
        if not cell.views:
            self._watched.pass_over(cell)
        return bool(cell.views)

    async def _seed(self, view: View) -> None:
        """Find the first values of a view among the newest messages."""
        try:
            found = await asyncio.to_thread(self._recent)
        except Unavailable:
            return  # the feed says so in the log
        self.hand_over([each for each in found if each[0].payload is None])

    def _recent(self) -> Newest:
        return self._watched.newest(self._feed.newest(RECENT))


def _attach(cell: Cell, view: View) -> None:
    if view in cell.views:
        return
    if len(view.cells) >= MOST_CHANNELS:
        view.full = True
        return
    cell.views.add(view)
    view.cells.append(cell)
    view.unnamed.add(cell)


def frame(rows: Iterable[bytes]) -> Frame:
    """An event with the rows of some cells."""
    found = list(rows)
    return Frame(b"data:[%b]\n\n" % b",".join(found) if found else b"", len(found))


def _row(cell: Cell) -> bytes:
    """`[number, milliseconds, text]`; of what is no text its size in bytes."""
    assert cell.payload is not None
    return b"[%d,%d,%b]" % (cell.number, cell.time // 1000, _encode(shown(cell.payload)))


def _named(cell: Cell) -> bytes:
    """As `_row`, and the topic."""
    return b"%b,%b]" % (cell.row[:-1], _encode(cell.channel.topic))


def shown(payload: bytes) -> str | int:
    """A payload as pages show it: a text of bounded length, or the size of what is no text."""
    start = payload[: 4 * LONGEST]
    try:
        text = start.decode()
    except UnicodeDecodeError as error:
        if len(start) == len(payload) or error.start < len(start) - 3:
            return len(payload)
        text = start[: error.start].decode()
    return text if len(text) <= LONGEST and len(start) == len(payload) else text[:LONGEST] + "…"
