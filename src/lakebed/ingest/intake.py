"""The intake stands between all sources and the journal: group commit, once for everybody.

    connection ──┐ offer()                        one append at a time
    connection ──┼────────> [ gathering batch ] ────────────────────> Journal.append
    request    ──┘              ^                                          │
        ^                       └── fills while the append before it runs  │
        └────────── done(): durable, acknowledge ──────────────────────────┘

When nothing is under way an offer is appended at once; while an append runs the next batch
gathers. So a single message waits for one fsync, and under load one fsync serves thousands. With a
`delay` a message waits that long for others before its append begins, unless many are there.

Pressure runs the other way: when too much waits, when the journal has no room, or when its disk is
nearly full, the gates shut (sources stop reading from their sockets) and open again once half of
it is through. What was offered by then is kept and tried again; nothing is acknowledged before it
is durable, and nothing is dropped.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

import structlog

from lakebed.ingest.accumulator import BatchAccumulator, Gathering
from lakebed.ports.health import Health
from lakebed.ports.journal.appending import Appender
from lakebed.vocabulary.errors import JournalFull, Unavailable
from lakebed.vocabulary.messages import Batch, Channel
from lakebed.vocabulary.times import Micros

log = structlog.get_logger()

Gate = Callable[[bool], None]
Refuse = Callable[[Unavailable], None]

_SPACING = 0.002  # seconds between the beginnings of two appends
_FEW = 256  # messages that may wait for that
_TURNS = 16  # of the loop that a batch may wait for more
_STEP = 0.002  # seconds between two looks at a batch that only patient sources wait for,
_STEPS = 5  # as often as that while each look finds more,
_MANY = 2000  # or until it holds this many messages
_ROOM_CHECK = 1.0  # seconds between two looks at the disk
_CROWDED = "more waits to become durable than memory may hold"
_RETRY = (0.05, 1.0)  # seconds to the next try when the journal has no room: first, longest


class Intake:
    """Takes columns of messages from all sources; one per process, on one event loop.

    Args:
        max_pending: bytes that may wait to become durable; above it the gates shut.
        on_fatal: called once when something can never be made durable: stop the process.
        room: whether the disk has room; asked about once a second.
        patience: seconds `append` waits at a shut gate.
        delay: seconds that few messages wait for others to share their append.

    Attributes:
        offer, offer_one, singles, came_alone: how sources bring messages; see `BatchAccumulator`.
        waiting: requests, with what tells them that what they wait for does not come, or not soon.
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
    ) -> None:
        self._journal = journal
        self._delay = delay
        self._relieved = max_pending // 2
        self._on_fatal = on_fatal
        self._room = room
        self._patience = patience
        self._wake = asyncio.Event()
        self._accumulator = accumulator = BatchAccumulator(
            max_pending, self._wake.set, self._pressed
        )
        if delay:
            accumulator.enough = _FEW
        self.offer, self.offer_one = accumulator.offer, accumulator.offer_one
        self.singles, self.came_alone = accumulator.singles, accumulator.came_alone
        self._gates: dict[object, Gate] = {}
        self._shut_because: str | None = "the intake has not started"
        self._crowded = False
        self._full: JournalFull | None = None
        self._no_room = False
        self._failure: BaseException | None = None
        self._stopping = False
        self._opened = asyncio.Event()
        self._began = 0.0  # when the last append began, on the loop's clock
        self._tasks: list[asyncio.Task[None]] = []
        self.waiting: dict[object, Refuse] = {}
        self.accepted = 0
        self.duplicates = 0
        self.appended_batches = 0

    # --- life -------------------------------------------------------------------------------------

    async def start(self) -> None:
        self._look_for_room()
        self._shut_because = None
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
        self._stopping = self._accumulator.deaf = True
        self._turn()
        self._wake.set()
        if self._tasks:
            await self._tasks[0]
        for task in self._tasks[1:]:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        self._tasks.clear()

    # --- in ---------------------------------------------------------------------------------------

    async def append(
        self,
        channels: Sequence[Channel],
        payloads: Sequence[bytes],
        received: Micros,
        *,
        event: Sequence[Micros] | None = None,
        ids: Sequence[str] | None = None,
        keys: Sequence[bytes] | None = None,
        only: Sequence[str] | None = None,
    ) -> None:
        """Make messages durable; returns when they are.

        Raises:
            JournalFull, Unavailable: the gate stays shut. Messages that were offered before it
                shut may still become durable later: senders that care give their messages ids.
        """
        await self._at_open_gate()
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting[future] = partial(_refuse, future)
        try:
            done = partial(_settle, future)
            self.offer(
                channels, payloads, received, done, event=event, ids=ids, keys=keys, only=only
            )
            await future
        finally:
            self.waiting.pop(future, None)

    def _refuse_waiting(self) -> None:
        for refuse in list(self.waiting.values()):
            refuse(self._refusal())

    async def _at_open_gate(self) -> None:
        if self._failure is not None:  # no patience will help
            raise self._refusal()
        if not self.is_open:
            try:
                await asyncio.wait_for(self._opened.wait(), self._patience)
            except TimeoutError:
                raise self._refusal() from None

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
        (self._opened.set if self.is_open else self._opened.clear)()
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
        try:
            while True:
                if not accumulator.closed and accumulator.waits():
                    await self._gather()
                    if accumulator.waits():
                        accumulator.close()
                if accumulator.closed:
                    if not await self._make_durable(accumulator.closed.popleft()):
                        return
                elif self._stopping:
                    return
                else:
                    self._wake.clear()
                    accumulator.awaited()
                    await self._wake.wait()
        except Exception as error:  # JournalFailed, and whatever nobody thought of
            self._fail(error)

    async def _gather(self) -> None:
        """Let those who have more to say say it: an append costs the same for one and many.

        Appends of few messages begin at least `_SPACING` apart, so that a thousand devices that
        trickle do not pay for an fsync each; after a silence a message goes at once. Then each
        turn of the loop reads what has arrived: when a turn brings nothing, the batch goes.
        """
        loop = asyncio.get_running_loop()
        accumulator = self._accumulator
        await self._delay_few()
        early = self._began + _SPACING - loop.time()
        if early > 0 and accumulator.gathered() < _FEW and not self._stopping:
            await asyncio.sleep(early)
        await self._let_patient_sources_send()
        have = -1
        for _ in range(_TURNS):
            before, have = have, accumulator.gathered()
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
        if accumulator.gathered() < _FEW:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._delay):
                    await self._wake.wait()

    async def _let_patient_sources_send(self) -> None:
        """A broker delivers a few messages at a time, for as long as it may: an append for each
        few would cost more than all else. One that stops to deliver waits for us; so it goes on.
        """
        accumulator = self._accumulator
        for _ in range(_STEPS):
            have = accumulator.gathered()
            if accumulator.current.urgent or accumulator.closed or self._stopping or have >= _MANY:
                return
            await asyncio.sleep(_STEP)
            if accumulator.gathered() == have:
                return

    async def _make_durable(self, gathering: Gathering) -> bool:
        """Append, count, acknowledge; False when it was given up because the process stops."""
        batch = gathering.builder.build()
        new = await self._append_with_patience(batch, tuple(gathering.release))
        if new is None:
            return False
        self.accepted += new
        self.duplicates += len(batch) - new
        self.appended_batches += 1
        self._relieve(gathering.cost)
        for done in gathering.done:
            try:
                done()
            except Exception:
                log.exception("an acknowledgement failed")
        return True

    async def _append_with_patience(self, batch: Batch, release: Sequence[bytes]) -> int | None:
        """The same append again and again while there is no room; nothing passes it by."""
        delay, longest = _RETRY
        given_up = refused = asyncio.get_running_loop().time() + self._patience
        while True:
            try:
                return await self._journal.append(batch, release)
            except JournalFull as full:
                if self._full is None:
                    log.warning("the journal has no room, sources are held back", reason=str(full))
                self._full = full
                self._turn()
            now = asyncio.get_running_loop().time()
            if not self._stopping:
                given_up = now + self._patience
            elif now >= given_up:
                log.error("stopped without room in the journal", unacknowledged=len(batch))
                self._refuse_waiting()
                return None
            if now >= refused:
                self._refuse_waiting()
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

    def _fail(self, error: BaseException) -> None:
        self._failure = error
        self._accumulator.deaf = True
        log.error("nothing is acknowledged any more", error=str(error))
        self._turn()
        self._refuse_waiting()
        self._on_fatal(error)


def _refuse(future: "asyncio.Future[None]", refusal: Unavailable) -> None:
    if not future.done():
        future.set_exception(refusal)


def _settle(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
