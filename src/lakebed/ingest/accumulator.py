"""Accumulates offers into what one append makes durable.

offer() ──┐
          ├──> PendingAppend: columns, offers, keys to release ──close()──> the next append
singles ──┘
"""

from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable

from lakebed.ingest.building import BatchBuilder
from lakebed.ingest.offers import Columns, Singles, Waiting
from lakebed.vocabulary.errors import Unavailable

LARGEST = 50_000
"""Messages accumulated for one append at most,"""

LARGEST_BYTES = 16 * 2**20
"""and bytes of their payloads."""

_MESSAGE_COST = 64  # bytes a message takes in memory besides its payload
_MOST_SINGLES = 256  # before they join the others


class PendingAppend:
    """Messages and offers that the next append will make durable.

    Attributes:
        waiting: the offers to be answered, in order.
        release: keys of the journal that stop counting, in order.
        cost: bytes of memory it takes, about.
        urgent: a source waits for it before it sends more.
    """

    def __init__(self) -> None:
        self.builder = BatchBuilder()
        self.waiting: list[Waiting] = []
        self.release: dict[bytes, None] = {}
        self.cost = 0
        self.urgent = False


class BatchAccumulator:
    """Takes columns of messages; event loop only, never waits.

    Args:
        max_pending: bytes that may wait to become durable.
        wake: called when there is something to append, once until `awaited`.
        over_limit: called when more than `max_pending` wait.
        loop: the event loop of the sources.

    Attributes:
        singles: see `Singles`.
        current: the append that accumulates now, without the singles.
        closed: appends that wait for their turn, in order.
        pending: bytes of memory that all messages take.
        enough: messages that are many for one append; from this number on each offer wakes again.
    """

    def __init__(
        self,
        max_pending: int,
        wake: Callable[[], None],
        over_limit: Callable[[], None],
        loop: AbstractEventLoop,
    ) -> None:
        self._max_pending = max_pending
        self._wake = wake
        self._over_limit = over_limit
        self._loop = loop
        self._refusal: Unavailable | None = None
        self._awake = False
        self.singles = Singles()
        self.current = PendingAppend()
        self.closed: deque[PendingAppend] = deque()
        self.pending = 0
        self.enough = LARGEST

    def offer(self, columns: Columns, waiting: Waiting, urgent: bool) -> None:
        """Accumulate an offer, behind those before it."""
        self._join_singles()
        append, keys, release = self.current, columns.sparse.keys, columns.release
        if keys is not None and append.release and not append.release.keys().isdisjoint(keys):
            self._close()  # one append releases after it has looked for duplicates
            append = self.current
        builder = append.builder
        before = builder.size
        builder.extend(columns.channels, columns.payloads, columns.received, columns.sparse)
        append.waiting.append(waiting)
        if urgent:
            append.urgent = True
        if release:
            append.release.update(dict.fromkeys(release))
        self._added(append, builder.size - before + _MESSAGE_COST * (len(columns.payloads) + 1))

    def single_added(self, count: int) -> None:
        """Note that a source has added a message to `singles`, which has `count` messages now."""
        if self._refusal is not None:
            self._loop.call_soon(self._refuse_singles)
        elif count == 1:
            self._call()
        elif count >= _MOST_SINGLES:
            self._join_singles()

    def _join_singles(self) -> None:
        """Move the singles to the current append, behind its messages."""
        singles = self.singles
        count = len(singles.payloads)
        if not count or self._refusal is not None:
            return
        append = self.current
        before = append.builder.size
        append.builder.extend_each(singles.channels, singles.payloads, singles.received)
        append.waiting.append(singles.offered(self._loop.time()))
        append.urgent = True
        singles.clear()
        self._added(append, append.builder.size - before + 2 * _MESSAGE_COST * count)

    def _added(self, append: PendingAppend, cost: int) -> None:
        """Account for the memory of added messages, in bytes."""
        builder = append.builder
        append.cost += cost
        self.pending += cost
        if len(builder.payloads) >= self.enough or builder.size >= LARGEST_BYTES:
            self._wake()
            if len(builder.payloads) >= LARGEST or builder.size >= LARGEST_BYTES:
                self._close()
        self._call()
        if self.pending > self._max_pending:
            self._over_limit()

    def _call(self) -> None:
        if not self._awake:
            self._awake = True
            self._wake()

    def accumulated(self) -> int:
        """The number of messages in the open append."""
        self._join_singles()
        return len(self.current.builder.payloads)

    def waits(self) -> bool:
        """Whether a source waits for the open append."""
        self._join_singles()
        return bool(self.current.waiting)

    def awaited(self) -> None:
        """Note that the intake is about to wait: the next offer wakes it."""
        self._awake = False

    def close(self) -> None:
        """Close the open append, so that it is appended as it is."""
        self._join_singles()
        self._close()

    def _close(self) -> None:
        self.closed.append(self.current)
        self.current = PendingAppend()

    def end(self, reason: Unavailable) -> None:
        """Accept no more messages; those accepted stay."""
        self._join_singles()
        self._refusal = reason

    def _refuse_singles(self) -> None:
        assert self._refusal is not None
        late = self.singles.offered(self._loop.time())
        self.singles.clear()
        late.refused(self._refusal)

    def refuse(self, reason: Unavailable) -> None:
        """Refuse all messages that wait here."""
        self.close()
        while self.closed:
            append = self.closed.popleft()
            self.pending -= append.cost
            for waiting in append.waiting:
                waiting.refused(reason)

    def refuse_expired(self, reason: Unavailable, moment: float) -> None:
        """See `Waiting`; the messages stay, and may become durable."""
        self._join_singles()
        for append in (*self.closed, self.current):
            for waiting in append.waiting:
                waiting.refuse_expired(reason, moment)
