"""What sources offer, gathered into what one append makes durable.

offer()     ──┐
offer_one() ──┼──> [ columns, whom to tell, what to release ] ──close()──> the next append
singles ─────────┘
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import structlog

from lakebed.ingest.building import BatchBuilder
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.times import Micros

log = structlog.get_logger()

Done = Callable[[], None]

LARGEST = 50_000
"""Messages gathered for one append at most,"""

LARGEST_BYTES = 16 * 2**20
"""and bytes of their payloads."""

_MESSAGE_COST = 64  # bytes a message takes in memory besides its payload
_LONE = 256  # messages that came alone, before they join the others


class Singles:
    """Messages that came alone, one to a read, from all who wait for an answer before the next.

    Nearly nothing is done for each of them: a source appends a value to every list, and says so to
    `BatchAccumulator.came_alone`. The lists are always the same objects.

    Attributes:
        channels, payloads, received: the messages.
        done, marks: when it is durable, `done[i](marks[i])` is called on the loop.
    """

    __slots__ = ("channels", "done", "marks", "payloads", "received")

    def __init__(self) -> None:
        self.channels: list[Channel] = []
        self.payloads: list[bytes] = []
        self.received: list[Micros] = []
        self.done: list[Callable[[bytes], None]] = []
        self.marks: list[bytes] = []

    def clear(self) -> None:
        for column in (self.channels, self.payloads, self.received, self.done, self.marks):
            column.clear()


class Gathering:
    """What one append will make durable, and whom to tell.

    Attributes:
        release: keys of the journal that stop counting, in order.
        cost: bytes of memory it takes, about.
        urgent: somebody waits for it before sending more.
    """

    def __init__(self) -> None:
        self.builder = BatchBuilder()
        self.done: list[Done] = []
        self.release: dict[bytes, None] = {}
        self.cost = 0
        self.urgent = False


class BatchAccumulator:
    """Takes columns of messages; event loop only, never waits.

    Args:
        max_pending: bytes that may wait to become durable.
        wake: called when there is something to append, once until `awaited`.
        pressed: called when more than `max_pending` wait.

    Attributes:
        singles: for messages that come alone.
        current: what gathers now, but for the singles.
        closed: what waits for its append, in order.
        pending: bytes of memory that all of it takes.
        deaf: nothing more is taken: the process is about to stop.
        enough: messages that gather for one append; from here on each offer wakes again.
    """

    def __init__(
        self, max_pending: int, wake: Callable[[], None], pressed: Callable[[], None]
    ) -> None:
        self._max_pending = max_pending
        self._wake = wake
        self._pressed = pressed
        self._awake = False
        self.singles = Singles()
        self.current = Gathering()
        self.closed: deque[Gathering] = deque()
        self.pending = 0
        self.deaf = False
        self.enough = LARGEST

    def offer(
        self,
        channels: Sequence[Channel],
        payloads: Sequence[bytes],
        received: Micros,
        done: Done,
        *,
        event: Sequence[Micros] | None = None,
        ids: Sequence[str] | None = None,
        keys: Sequence[bytes] | None = None,
        only: Sequence[str] | None = None,
        release: Sequence[bytes] = (),
        patient: bool = False,
    ) -> None:
        """Gather messages (columns as in `BatchBuilder.extend`).

        Args:
            done: called on the loop, in the order of the offers, when all of it is durable. Never
                called where that cannot be reached any more: the process is about to stop then.
            release: keys of the journal that stop counting; offers behind this one may use them
                anew. The messages of this offer come before it.
            patient: the source goes on sending while this waits: a few milliseconds for a larger
                batch are no loss to it.
        """
        self._take_single()
        if self.deaf:
            return
        gathering = self.current
        if keys is not None and gathering.release and not gathering.release.keys().isdisjoint(keys):
            self._close()  # one append forgets after it has looked for duplicates
            gathering = self.current
        builder = gathering.builder
        before = builder.size
        builder.extend(channels, payloads, received, event, ids, keys, only)
        gathering.done.append(done)
        if not patient:
            gathering.urgent = True
        if release:
            gathering.release.update(dict.fromkeys(release))
        self._take_in(gathering, builder.size - before + _MESSAGE_COST * (len(payloads) + 1))

    def offer_one(
        self,
        channel: Channel,
        payload: bytes,
        received: Micros,
        done: Done,
        patient: bool = False,
    ) -> None:
        """`offer` of one message that has nothing but a payload, at a fraction of its cost."""
        self._take_single()
        if self.deaf:
            return
        gathering = self.current
        gathering.builder.append(channel, payload, received)
        gathering.done.append(done)
        if not patient:
            gathering.urgent = True
        self._take_in(gathering, len(payload) + 2 * _MESSAGE_COST)

    def came_alone(self, count: int) -> None:
        """A message came to `singles`, which holds so many now."""
        if count == 1:
            self._call()
        elif count >= _LONE:
            self._take_single()

    def _take_single(self) -> None:
        """What came alone joins the others, behind them."""
        singles = self.singles
        count = len(singles.payloads)
        if not count:
            return
        if not self.deaf:
            gathering = self.current
            before = gathering.builder.size
            gathering.builder.extend_each(singles.channels, singles.payloads, singles.received)
            gathering.done.append(
                partial(_tell, tuple(zip(singles.done, singles.marks, strict=True)))
            )
            gathering.urgent = True
            self._take_in(gathering, gathering.builder.size - before + 2 * _MESSAGE_COST * count)
        singles.clear()

    def _take_in(self, gathering: Gathering, cost: int) -> None:
        """What was added to it costs so many bytes of memory."""
        builder = gathering.builder
        gathering.cost += cost
        self.pending += cost
        if len(builder.payloads) >= self.enough or builder.size >= LARGEST_BYTES:
            self._wake()
            if len(builder.payloads) >= LARGEST or builder.size >= LARGEST_BYTES:
                self._close()
        self._call()
        if self.pending > self._max_pending:
            self._pressed()

    def _call(self) -> None:
        if not self._awake:
            self._awake = True
            self._wake()

    def gathered(self) -> int:
        """How many messages gather now."""
        self._take_single()
        return len(self.current.builder.payloads)

    def waits(self) -> bool:
        """Whether there is anything that gathers now."""
        self._take_single()
        return bool(self.current.done)

    def awaited(self) -> None:
        """Whoever appends is about to wait: wake it with the next offer."""
        self._awake = False

    def close(self) -> None:
        """Let what gathers go as it is."""
        self._take_single()
        self._close()

    def _close(self) -> None:
        self.closed.append(self.current)
        self.current = Gathering()


def _tell(those: Iterable[tuple[Callable[[bytes], None], bytes]]) -> None:
    for done, mark in those:
        try:
            done(mark)
        except Exception:
            log.exception("an acknowledgement failed")
