"""What sources offer, gathered into what one append makes durable.

offer()     ──┐
offer()     ──┼──> [ columns, whom to tell, what to forget ] ──close()──> the next append
offer_one() ──┘
"""

from collections import deque
from collections.abc import Callable, Sequence

from lakebed.building import BatchBuilder
from lakebed.messages import Channel
from lakebed.times import Micros

Done = Callable[[], None]

LARGEST = 50_000
"""Messages gathered for one append at most,"""

LARGEST_BYTES = 16 * 2**20
"""and bytes of their payloads."""

_MESSAGE_COST = 64  # bytes a message takes in memory besides its payload


class Gathering:
    """What one append will make durable, and whom to tell.

    Attributes:
        forget: keys of the journal that stop counting, in order.
        cost: bytes of memory it takes, about.
        urgent: somebody waits for it before sending more.
    """

    def __init__(self) -> None:
        self.builder = BatchBuilder()
        self.done: list[Done] = []
        self.forget: dict[bytes, None] = {}
        self.cost = 0
        self.urgent = False


class Gatherer:
    """Takes columns of messages; event loop only, never waits.

    Args:
        max_pending: bytes that may wait to become durable.
        wake: called when there is something to append, once until `awaited`.
        pressed: called when more than `max_pending` wait.

    Attributes:
        current: what gathers now.
        closed: what waits for its append, in order.
        pending: bytes of memory that all of it takes.
        deaf: nothing more is taken: the process is about to stop.
    """

    def __init__(
        self, max_pending: int, wake: Callable[[], None], pressed: Callable[[], None]
    ) -> None:
        self._max_pending = max_pending
        self._wake = wake
        self._pressed = pressed
        self._awake = False
        self.current = Gathering()
        self.closed: deque[Gathering] = deque()
        self.pending = 0
        self.deaf = False

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
        forget: Sequence[bytes] = (),
        patient: bool = False,
    ) -> None:
        """Gather messages (columns as in `BatchBuilder.extend`).

        Args:
            done: called on the loop, in the order of the offers, when all of it is durable. Never
                called where that cannot be reached any more: the process is about to stop then.
            forget: keys of the journal that stop counting; offers behind this one may use them
                anew. The messages of this offer come before it.
            patient: the source goes on sending while this waits: a few milliseconds for a larger
                batch are no loss to it.
        """
        if self.deaf:
            return
        gathering = self.current
        if keys is not None and gathering.forget and not gathering.forget.keys().isdisjoint(keys):
            gathering = self.close()  # one append forgets after it has looked for duplicates
        builder = gathering.builder
        before = builder.size
        builder.extend(channels, payloads, received, event, ids, keys)
        gathering.done.append(done)
        if not patient:
            gathering.urgent = True
        if forget:
            gathering.forget.update(dict.fromkeys(forget))
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
        if self.deaf:
            return
        gathering = self.current
        gathering.builder.append(channel, payload, received)
        gathering.done.append(done)
        if not patient:
            gathering.urgent = True
        self._take_in(gathering, len(payload) + 2 * _MESSAGE_COST)

    def _take_in(self, gathering: Gathering, cost: int) -> None:
        """What was added to it costs so many bytes of memory."""
        builder = gathering.builder
        gathering.cost += cost
        self.pending += cost
        if len(builder.payloads) >= LARGEST or builder.size >= LARGEST_BYTES:
            self.close()
        if not self._awake:
            self._awake = True
            self._wake()
        if self.pending > self._max_pending:
            self._pressed()

    @property
    def gathered(self) -> int:
        """Messages that gather now."""
        return len(self.current.builder.payloads)

    def awaited(self) -> None:
        """Whoever appends is about to wait: wake it with the next offer."""
        self._awake = False

    def close(self) -> Gathering:
        """Let what gathers go as it is; returns the next one."""
        self.closed.append(self.current)
        self.current = Gathering()
        return self.current
