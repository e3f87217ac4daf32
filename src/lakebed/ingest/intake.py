"""The intake between all sources and the journal: group commit for all of them.

    connection ──┐ offer(columns, durable, refused)      one append at a time
    connection ──┼────────> [ open append ] ────────────────────────────────> Journal.append
    request    ──┘              ^                                                 │
        ^                       └── fills while the append before it runs         │
        └────────── durable(): on disk, acknowledge <─────────────────────────────┘
                    refused(reason): given up, or timed out

When no append runs, an offer is appended at once; while one runs, the next batch accumulates. So a
single message waits for one fsync, and under load one fsync serves thousands. `batching.py` decides
how long a batch waits for more messages.

Back-pressure: when too many bytes wait, when the journal has no room, or when its disk is nearly
full, the gates shut, and sources stop reading from their sockets (`gates.py`). They open again once
half of the bytes are durable. Messages offered before are kept and tried again: nothing is
acknowledged before it is durable, and nothing is dropped. At a shut gate offers with a time-out
wait.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from math import inf

import structlog

from lakebed.ingest import tracing
from lakebed.ingest.accumulator import BatchAccumulator, PendingAppend
from lakebed.ingest.batching import FEW, Batching
from lakebed.ingest.gates import Gate, Gates, check_room, watch_room
from lakebed.ingest.offers import Columns, Durable, Offer, Refused
from lakebed.ingest.recording import AttributeRecorder
from lakebed.ingest.refusals import Refusals
from lakebed.ingest.settings import IngestSection
from lakebed.limits.book import LimitBook
from lakebed.ports.health import Health
from lakebed.ports.journal.appending import Appender
from lakebed.ports.metrics import SIZES, HistogramMetric, Sample
from lakebed.ports.tracing import Tracer
from lakebed.vocabulary.errors import JournalFull, Unavailable
from lakebed.vocabulary.messages import Batch

APPEND = HistogramMetric(
    "lakebed_intake_append_seconds",
    "How long appends to the journal took until they were durable, and could be acknowledged.",
)
APPENDED = HistogramMetric(
    "lakebed_intake_append_messages", "Messages of one append.", bounds=SIZES
)

log = structlog.get_logger()

_RETRY = (0.05, 1.0)  # seconds until the next try when the journal has no room: first, longest
_TIMEOUT = 60.0  # seconds, default of `append`
_CHECK_EVERY = 0.1  # seconds between two checks for offers that have timed out, during an append
_SLOW = "it is not durable yet, though it may still become so: send it again, under the same id"


class Intake:
    """Takes columns of messages from all sources; one per process, on one event loop.

    Args:
        max_pending: bytes that may wait to become durable; above it the gates shut.
        on_fatal: called once when messages cannot be made durable any more: stop the process.
        room: returns whether the disk has room; called about once a second.
        timeout: seconds that offers with a time-out wait at a shut gate, or for a full journal.
        delay: seconds that few messages wait for others to share their append.

    Attributes:
        recorder: decides which attributes sources record with messages.
        limits: what senders may send; asked by the sources.
        refusals: told by the sources what they do not take.
        singles, single_added: the short form of `offer`; see `Singles`.
        accepted: messages that became durable.
        duplicates: messages that were durable already.
        appended_batches: appends that wrote something.
    """

    def __init__(
        self,
        journal: Appender,
        *,
        max_pending: int = 64 * 2**20,
        on_fatal: Callable[[BaseException], None],
        room: Callable[[], bool] | None = None,
        timeout: float = 3.0,
        delay: float = 0.0,
        recorder: AttributeRecorder | None = None,
        limits: LimitBook | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self._journal, self._tracer = journal, tracer
        self.recorder = recorder or AttributeRecorder(IngestSection())
        self.limits = limits or LimitBook()
        self.refusals = Refusals()
        self._relieved = max_pending // 2
        self._on_fatal = on_fatal
        self._room = room
        self._timeout = timeout
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._accumulator = accumulator = BatchAccumulator(
            max_pending, self._wake.set, self._over_limit, self._loop
        )
        if delay:
            accumulator.enough = FEW
        self._batching = Batching(accumulator, self._wake, delay)
        self._gates = Gates(self._offer_waiting)
        self.singles, self.single_added = accumulator.singles, accumulator.single_added
        self._at_gate: deque[tuple[Columns, Offer, bool]] = deque()
        self._running: PendingAppend | None = None  # the append under way
        self._timer: asyncio.TimerHandle
        self._over = False  # no offer is accepted any more
        self._tasks: list[asyncio.Task[None]] = []
        self.accepted = 0
        self.duplicates = 0
        self.appended_batches = 0
        self._took, self._sizes = APPEND.distribution(), APPENDED.distribution()

    # --- start and stop ---------------------------------------------------------------------------

    async def start(self) -> None:
        if self._room is not None:
            check_room(self._gates, self._room)
        self._gates.update()
        self._tasks.append(asyncio.create_task(self._run(), name="intake"))
        if self._room is not None:
            watch = watch_room(self._gates, self._room)
            self._tasks.append(asyncio.create_task(watch, name="intake-room"))

    def end_delay(self) -> None:
        """Append without delay from now on: the sources stop, and acks are due."""
        self._batching.end_delay()

    async def stop(self) -> None:
        """Accept nothing more, and make durable what was offered, unless the journal has no room.

        Messages that are given up were never acknowledged.
        """
        self._gates.stopping = self._batching.hurried = True
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
        timeout: float = inf,
        urgent: bool = True,
    ) -> None:
        """Take messages; exactly one of `durable` and `refused` is called, later, on the loop.

        Acknowledgements come in the order of the offers.

        Args:
            timeout: seconds until it is refused. An offer with a time-out is also refused when the
                journal has had no room for the intake's own time-out. Without one it waits until it
                is durable, or the process ends.
            urgent: whether the source waits for the answer before it sends more. If not, the offer
                may wait a few milliseconds for a larger batch.
        """
        if timeout == inf:
            offer = Offer(durable, refused, inf)
            if self._over:
                self._loop.call_soon(offer.refused, self._gates.refusal())
                return
        else:
            offer = Offer(durable, refused, self._loop.time() + timeout)
            if self._gates.shut_because is not None:
                self._wait_at_gate(columns, offer, urgent)
                return
        self._accumulator.offer(columns, offer, urgent)

    def submit(self, columns: Columns, timeout: float = _TIMEOUT) -> "asyncio.Future[None]":
        """Offer messages; the future is done once they are durable, or fails with `Unavailable`."""
        future: asyncio.Future[None] = self._loop.create_future()
        durable, refused = partial(_resolve, future), partial(_fail_future, future)
        self.offer(columns, durable, refused, timeout=timeout)
        return future

    async def append(
        self,
        columns: Columns,
        timeout: float = _TIMEOUT,  # noqa: ASYNC109  # it refuses, and cancels nothing
    ) -> None:
        """Return once the messages are durable.

        Raises:
            JournalFull, Unavailable: they are refused.
        """
        await self.submit(columns, timeout)

    def _wait_at_gate(self, columns: Columns, offer: Offer, urgent: bool) -> None:
        if self._over:
            self._loop.call_soon(offer.refused, self._gates.refusal())
            return
        self._at_gate.append((columns, offer, urgent))
        self._loop.call_later(self._timeout, self._refuse_at_gate, offer)

    def _refuse_at_gate(self, offer: Offer) -> None:
        """Refuse an offer that has waited at the shut gate for the intake's time-out."""
        if self._at_gate and self._at_gate[0][1] is offer:
            self._at_gate.popleft()
            offer.refused(self._gates.refusal())

    def _offer_waiting(self) -> None:
        while self._at_gate:
            self._accumulator.offer(*self._at_gate.popleft())

    def _end(self) -> None:
        """Accept no more offers; those accepted stay."""
        self._over = True
        self._gates.update()
        reason = self._gates.refusal()
        self._accumulator.end(reason)
        while self._at_gate:
            self._at_gate.popleft()[1].refused(reason)

    def _give_up(self, append: PendingAppend | None) -> None:
        """Refuse this append, and all messages that wait behind it."""
        reason = self._gates.refusal()
        for waiting in () if append is None else append.waiting:
            waiting.refused(reason)
        self._accumulator.refuse(reason)

    def _refuse_expired(self, reason: Unavailable, moment: float = inf) -> None:
        if self._running is not None:
            for waiting in self._running.waiting:
                waiting.refuse_expired(reason, moment)
        self._accumulator.refuse_expired(reason, moment)

    def _over_limit(self) -> None:
        if not self._gates.crowded:
            self._gates.crowded = True
            self._gates.update()

    @property
    def is_open(self) -> bool:
        return self._gates.shut_because is None

    def watch(self, gate: Gate) -> Callable[[], None]:
        """See `Gates.watch`."""
        return self._gates.watch(gate)

    def health(self) -> Health:
        detail = {
            "pending": self._accumulator.pending,
            "accepted": self.accepted,
            "duplicates": self.duplicates,
            "batches": self.appended_batches,
        }
        return self._gates.health(detail)

    def metrics(self) -> tuple[Sample, ...]:
        """How long appends took, and how large they were."""
        return self._took.sample(), self._sizes.sample()

    # --- out --------------------------------------------------------------------------------------

    async def _run(self) -> None:
        accumulator = self._accumulator
        append = None
        try:
            while True:
                if not accumulator.closed and accumulator.waits():
                    await self._batching.accumulate()
                    if accumulator.waits():
                        accumulator.close()
                if accumulator.closed:
                    append = accumulator.closed.popleft()
                    if not await self._make_durable(append):
                        return
                    append = None
                elif self._gates.stopping:
                    return
                else:
                    self._wake.clear()
                    accumulator.awaited()
                    await self._wake.wait()
        except Exception as error:  # JournalFailed, and unexpected errors
            self._fail(error, append)

    async def _make_durable(self, append: PendingAppend) -> bool:
        """Append, count and acknowledge; False if given up because the process stops."""
        batch, trace = append.builder.build(), None
        if self._tracer is not None:
            batch, trace = tracing.begin(self._tracer, batch)
        self._running, started = append, time.monotonic()
        self._timer = self._loop.call_later(_CHECK_EVERY, self._check_time_outs)
        new = None
        try:
            new = await self._append_until_room(batch, tuple(append.release))
        finally:
            self._running = None
            self._timer.cancel()
            if trace is not None:
                trace.end("" if new is not None else "given up")
        if new is None:
            self._give_up(append)
            return False
        self._took.observe(time.monotonic() - started)
        if len(batch):
            self._sizes.observe(len(batch))
            self.limits.load.count(batch)
        self.accepted += new
        self.duplicates += len(batch) - new
        self.appended_batches += 1
        self._release_memory(append.cost)
        for waiting in append.waiting:
            waiting.durable()
        return True

    def _check_time_outs(self) -> None:
        """Refuse offers that have timed out; called every `_CHECK_EVERY` seconds in an append."""
        self._timer = self._loop.call_later(_CHECK_EVERY, self._check_time_outs)
        self._refuse_expired(Unavailable(_SLOW), self._loop.time())

    async def _append_until_room(self, batch: Batch, release: Sequence[bytes]) -> int | None:
        """Repeat the append while the journal has no room; other appends wait behind it."""
        delay, longest = _RETRY
        given_up = refused = self._loop.time() + self._timeout
        while True:
            try:
                return await self._journal.append(batch, release)
            except JournalFull as full:
                if self._gates.full is None:
                    log.warning("the journal has no room, sources are held back", reason=str(full))
                self._gates.full = full
                self._gates.update()
            now = self._loop.time()
            if not self._gates.stopping:
                given_up = now + self._timeout
            elif now >= given_up:
                log.error("stopped without room in the journal", unacknowledged=len(batch))
                return None
            if now >= refused:
                self._refuse_expired(self._gates.refusal())
            await asyncio.to_thread(self._journal.trim)
            await asyncio.sleep(delay)
            delay = min(delay * 2, longest)

    def _release_memory(self, cost: int) -> None:
        accumulator, gates = self._accumulator, self._gates
        accumulator.pending -= cost
        if gates.crowded and accumulator.pending <= self._relieved:
            gates.crowded = False
            gates.update()
        if gates.full is not None:
            gates.full = None
            gates.update()

    def _fail(self, error: BaseException, append: PendingAppend | None) -> None:
        self._gates.failure = error
        log.error("nothing is acknowledged any more", error=str(error))
        self._end()
        self._give_up(append)
        self._on_fatal(error)


def _resolve(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


def _fail_future(future: "asyncio.Future[None]", reason: Unavailable) -> None:
    if not future.done():
        future.set_exception(reason)
