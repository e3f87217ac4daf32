"""The intake stands between all sources and the journal: group commit, once for everybody.

    connection ──┐ offer(columns, durable, refused)      one append at a time
    connection ──┼────────> [ open append ] ────────────────────────────────> Journal.append
    request    ──┘              ^                                                 │
        ^                       └── fills while the append before it runs         │
        └────────── durable(): on disk, acknowledge <─────────────────────────────┘
                    refused(reason): given up, or out of patience

When nothing is under way an offer is appended at once; while an append runs the next batch
accumulates. So a single message waits for one fsync, and under load one fsync serves thousands.
With a `delay` a message waits that long for others before its append begins, unless many are there.

Pressure runs the other way: when too much waits, when the journal has no room, or when its disk is
nearly full, the gates shut (sources stop reading from their sockets) and open again once half of
it is through. What was offered by then is kept and tried again; nothing is acknowledged before it
is durable, and nothing is dropped. Offers with patience that meet a shut gate wait in front of it.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from math import inf

import structlog

from lakebed.ingest.accumulator import BatchAccumulator, PendingAppend
from lakebed.ingest.offers import Columns, Durable, Offer, Refused
from lakebed.ingest.recording import AttributeRecorder
from lakebed.ingest.settings import IngestSection
from lakebed.ports.health import Health
from lakebed.ports.journal.appending import Appender
from lakebed.vocabulary.errors import JournalFull, Unavailable
from lakebed.vocabulary.messages import Batch

log = structlog.get_logger()

Gate = Callable[[bool], None]

_SPACING = 0.002  # seconds between the beginnings of two appends
_FEW = 256  # messages that may wait for that
_TURNS = 16  # of the loop that a batch may wait for more
_STEP = 0.002  # seconds between two looks at a batch that only patient sources wait for,
_STEPS = 5  # as often as that while each look finds more,
_MANY = 2000  # or until it holds this many messages
_ROOM_CHECK = 1.0  # seconds between two looks at the disk
_CROWDED = "more waits to become durable than memory may hold"
_RETRY = (0.05, 1.0)  # seconds to the next try when the journal has no room: first, longest
_PATIENCE = 60.0  # seconds of `append` by default
_LOOK = 0.1  # seconds between two looks at whose patience is over while an append runs
_SLOW = "it is not durable yet, though it may still become so: send it again, under the same id"


class Intake:
    """Takes columns of messages from all sources; one per process, on one event loop.

    Args:
        max_pending: bytes that may wait to become durable; above it the gates shut.
        on_fatal: called once when something can never be made durable: stop the process.
        room: whether the disk has room; asked about once a second.
        patience: seconds that offers with patience wait at a shut gate, or for a full journal.
        delay: seconds that few messages wait for others to share their append.

    Attributes:
        recorder: what sources record with messages.
        singles, single_added: the short form of `offer`; see `Singles`.
        accepted, duplicates: messages that became durable, and that were durable already.
        appended_batches: appends that wrote something.
    """

    def __init__(
        self,
        journal: Appender,
        *,
        max_pending: int = 64 * 2**20,
        on_fatal: Callable[[BaseException], None],
        room: Callable[[], bool] | None = None,
        patience: float = 3.0,
        delay: float = 0.0,
        recorder: AttributeRecorder | None = None,
    ) -> None:
        self._journal = journal
        self._delay = delay
        self.recorder = recorder or AttributeRecorder(IngestSection())
        self._relieved = max_pending // 2
        self._on_fatal = on_fatal
        self._room = room
        self._patience = patience
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._accumulator = accumulator = BatchAccumulator(
            max_pending, self._wake.set, self._pressed, self._loop
        )
        if delay:
            accumulator.enough = _FEW
        self.singles, self.single_added = accumulator.singles, accumulator.single_added
        self._at_gate: deque[tuple[Columns, Offer, bool]] = deque()
        self._running: PendingAppend | None = None  # the append under way
        self._look: asyncio.TimerHandle
        self._over = False  # nothing more will ever be taken
        self._gates: dict[object, Gate] = {}
        self._shut_because: str | None = "the intake has not started"
        self._crowded = False
        self._full: JournalFull | None = None
        self._no_room = False
        self._failure: BaseException | None = None
        self._stopping = False
        self._began = 0.0  # when the last append began, on the loop's clock
        self._tasks: list[asyncio.Task[None]] = []
        self.accepted = 0
        self.duplicates = 0
        self.appended_batches = 0

    # --- life -------------------------------------------------------------------------------------

    async def start(self) -> None:
        self._look_for_room()
        self._turn()
        self._tasks.append(asyncio.create_task(self._run(), name="intake"))
        if self._room is not None:
            self._tasks.append(asyncio.create_task(self._watch_room(), name="intake-room"))

    def hurry(self) -> None:
        """Let no message wait for others any more: the sources stop, and acks are due."""
        self._delay = 0.0
        self._wake.set()

    async def stop(self) -> None:
        """Accept nothing more and finish what was offered; give up only on a journal without room.

        What is given up was never acknowledged.
        """
        self._stopping = True
        self._end()
        self._wake.set()
        if self._tasks:
            await self._tasks[0]
        for task in self._tasks[1:]:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        self._tasks.clear()

    # --- in ---------------------------------------------------------------------------------------

    def offer(
        self,
        columns: Columns,
        durable: Durable,
        refused: Refused,
        *,
        patience: float = inf,
        urgent: bool = True,
    ) -> None:
        """Take messages; exactly one of `durable` and `refused` is called, later, on the loop.

        Acknowledgements come in the order of the offers.

        Args:
            patience: seconds until it is refused. An offer with patience is refused also where the
                journal has no room for as long as the intake's own patience; one without is kept
                until it is durable, or the process ends.
            urgent: the source waits for this before it sends more. Else a few milliseconds for a
                larger batch are no loss to it.
        """
        if patience == inf:
            offer = Offer(durable, refused, inf)
            if self._over:
                self._loop.call_soon(offer.refused, self._refusal())
                return
        else:
            offer = Offer(durable, refused, self._loop.time() + patience)
            if self._shut_because is not None:
                self._wait_at_gate(columns, offer, urgent)
                return
        self._accumulator.offer(columns, offer, urgent)

    def submit(self, columns: Columns, patience: float = _PATIENCE) -> "asyncio.Future[None]":
        """An offer as a future: done once durable, or with `Unavailable`."""
        future: asyncio.Future[None] = self._loop.create_future()
        self.offer(columns, partial(_settle, future), partial(_fail, future), patience=patience)
        return future

    async def append(self, columns: Columns, patience: float = _PATIENCE) -> None:
        """Return once the messages are durable.

        Raises:
            JournalFull, Unavailable: they are refused.
        """
        await self.submit(columns, patience)

    def _wait_at_gate(self, columns: Columns, offer: Offer, urgent: bool) -> None:
        if self._over:
            self._loop.call_soon(offer.refused, self._refusal())
            return
        self._at_gate.append((columns, offer, urgent))
        self._loop.call_later(self._patience, self._refuse_at_gate, offer)

    def _refuse_at_gate(self, offer: Offer) -> None:
        """Its patience at the shut gate is over, unless it was let in."""
        if self._at_gate and self._at_gate[0][1] is offer:
            self._at_gate.popleft()
            offer.refused(self._refusal())

    def _let_in(self) -> None:
        while self._at_gate:
            self._accumulator.offer(*self._at_gate.popleft())

    def _end(self) -> None:
        """Take nothing more; what was taken is not given up by this."""
        self._over = True
        self._turn()
        reason = self._refusal()
        self._accumulator.end(reason)
        while self._at_gate:
            self._at_gate.popleft()[1].refused(reason)

    def _give_up(self, append: PendingAppend | None) -> None:
        """Nothing that waits, this append first, will become durable by this process."""
        reason = self._refusal()
        for waiting in () if append is None else append.waiting:
            waiting.refused(reason)
        self._accumulator.refuse(reason)

    def _refuse_impatient(self, reason: Unavailable, moment: float = inf) -> None:
        if self._running is not None:
            for waiting in self._running.waiting:
                waiting.refuse_impatient(reason, moment)
        self._accumulator.refuse_impatient(reason, moment)

    def _refusal(self) -> Unavailable:
        if self._full is not None:
            return JournalFull(str(self._full))
        return Unavailable(self._shut_because or "nothing is accepted at the moment")

    # --- gates ------------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        return self._shut_because is None

    def watch(self, gate: Gate) -> Callable[[], None]:
        """Have `gate(False)` called when to stop reading, `gate(True)` when to go on.

        It is called at once where the gate is shut. Returns a function that ends the watching.
        """
        token = object()
        self._gates[token] = gate
        if not self.is_open:
            gate(False)

        def unwatch() -> None:
            self._gates.pop(token, None)

        return unwatch

    def health(self) -> Health:
        detail = {
            "pending": self._accumulator.pending,
            "accepted": self.accepted,
            "duplicates": self.duplicates,
            "batches": self.appended_batches,
        }
        # a crowd passes by itself: sources wait for moments, no one needs to be sent away
        ok = self.is_open or self._shut_because == _CROWDED
        return Health(ok, self._shut_because or "", detail)

    def _pressed(self) -> None:
        if not self._crowded:
            self._crowded = True
            self._turn()

    def _turn(self) -> None:
        """Open or shut the gates as things stand now."""
        was_open = self.is_open
        self._shut_because = self._reason()
        if was_open == self.is_open:
            return
        if self.is_open:
            self._let_in()
        for gate in list(self._gates.values()):
            try:
                gate(self.is_open)
            except Exception:
                log.exception("a gate of the intake failed")

    def _reason(self) -> str | None:
        if self._failure is not None:
            return f"the journal failed: {self._failure}"
        if self._stopping:
            return "the process is stopping"
        if self._full is not None:
            return str(self._full)
        if self._no_room:
            return "the disk is nearly full"
        return _CROWDED if self._crowded else None

    async def _watch_room(self) -> None:
        while True:
            await asyncio.sleep(_ROOM_CHECK)
            self._look_for_room()
            self._turn()

    def _look_for_room(self) -> None:
        try:
            self._no_room = self._room is not None and not self._room()
        except OSError as error:
            log.warning("the free room on the disk is unknown", error=str(error))

    # --- out --------------------------------------------------------------------------------------

    async def _run(self) -> None:
        accumulator = self._accumulator
        append = None
        try:
            while True:
                if not accumulator.closed and accumulator.waits():
                    await self._accumulate()
                    if accumulator.waits():
                        accumulator.close()
                if accumulator.closed:
                    append = accumulator.closed.popleft()
                    if not await self._make_durable(append):
                        return
                    append = None
                elif self._stopping:
                    return
                else:
                    self._wake.clear()
                    accumulator.awaited()
                    await self._wake.wait()
        except Exception as error:  # JournalFailed, and whatever nobody thought of
            self._fail(error, append)

    async def _accumulate(self) -> None:
        """Wait for more messages, since an append costs the same for one and for many.

        Appends of few messages begin at least `_SPACING` apart, so that a thousand devices that
        trickle do not pay for an fsync each; after a silence a message goes at once. Then each
        turn of the loop reads what has arrived: when a turn brings nothing, the batch goes.
        """
        loop, accumulator = self._loop, self._accumulator
        await self._delay_few()
        early = self._began + _SPACING - loop.time()
        if early > 0 and accumulator.accumulated() < _FEW and not self._stopping:
            await asyncio.sleep(early)
        await self._let_patient_sources_send()
        have = -1
        for _ in range(_TURNS):
            before, have = have, accumulator.accumulated()
            if accumulator.closed or have == before:
                break
            await asyncio.sleep(0)
        self._began = loop.time()

    async def _delay_few(self) -> None:
        """Wait for others as the operator has it, but no longer than until there are many."""
        accumulator = self._accumulator
        if not self._delay or self._stopping or accumulator.closed:
            return
        self._wake.clear()
        if accumulator.accumulated() < _FEW:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._delay):
                    await self._wake.wait()

    async def _let_patient_sources_send(self) -> None:
        """A broker delivers a few messages at a time, for as long as it may: an append for each
        few would cost more than all else. One that stops to deliver waits for us; so it goes on.
        """
        accumulator = self._accumulator
        for _ in range(_STEPS):
            have = accumulator.accumulated()
            if accumulator.current.urgent or accumulator.closed or self._stopping or have >= _MANY:
                return
            await asyncio.sleep(_STEP)
            if accumulator.accumulated() == have:
                return

    async def _make_durable(self, append: PendingAppend) -> bool:
        """Append, count, acknowledge; False when it was given up because the process stops."""
        batch = append.builder.build()
        self._running = append
        self._look = self._loop.call_later(_LOOK, self._look_for_impatient)
        try:
            new = await self._append_with_patience(batch, tuple(append.release))
        finally:
            self._running = None
            self._look.cancel()
        if new is None:
            self._give_up(append)
            return False
        self.accepted += new
        self.duplicates += len(batch) - new
        self.appended_batches += 1
        self._relieve(append.cost)
        for waiting in append.waiting:
            waiting.durable()
        return True

    def _look_for_impatient(self) -> None:
        """Refuse the offers whose patience is over; runs every `_LOOK` seconds of an append."""
        self._look = self._loop.call_later(_LOOK, self._look_for_impatient)
        self._refuse_impatient(Unavailable(_SLOW), self._loop.time())

    async def _append_with_patience(self, batch: Batch, release: Sequence[bytes]) -> int | None:
        """The same append again and again while there is no room; nothing passes it by."""
        delay, longest = _RETRY
        given_up = refused = self._loop.time() + self._patience
        while True:
            try:
                return await self._journal.append(batch, release)
            except JournalFull as full:
                if self._full is None:
                    log.warning("the journal has no room, sources are held back", reason=str(full))
                self._full = full
                self._turn()
            now = self._loop.time()
            if not self._stopping:
                given_up = now + self._patience
            elif now >= given_up:
                log.error("stopped without room in the journal", unacknowledged=len(batch))
                return None
            if now >= refused:
                self._refuse_impatient(self._refusal())
            await asyncio.to_thread(self._journal.trim)
            await asyncio.sleep(delay)
            delay = min(delay * 2, longest)

    def _relieve(self, cost: int) -> None:
        accumulator = self._accumulator
        accumulator.pending -= cost
        if self._crowded and accumulator.pending <= self._relieved:
            self._crowded = False
            self._turn()
        if self._full is not None:
            self._full = None
            self._turn()

    def _fail(self, error: BaseException, append: PendingAppend | None) -> None:
        self._failure = error
        log.error("nothing is acknowledged any more", error=str(error))
        self._end()
        self._give_up(append)
        self._on_fatal(error)


def _settle(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


def _fail(future: "asyncio.Future[None]", reason: Unavailable) -> None:
    if not future.done():
        future.set_exception(reason)
