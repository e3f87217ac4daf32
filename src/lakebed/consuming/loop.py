"""The loop of a consumer: one thread that reads the journal and lets a worker per partition work.

        ┌──> poll ──> absorb ──> flush what is due ──> checkpoint ──> commit ──┐
        │   (Journal)      (PartitionWorker, one per partition)      (Journal) │
        └──────────────────────────────────────────────────────────────────────┘

Chores take their turn in between. It is a plain thread, not a coroutine: consumers call blocking
stores and compute on arrays, both of which release the interpreter lock. So it never holds up the
event loop that acknowledges messages.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from typing import Generic

import structlog

from lakebed.consuming.assignment import PartitionAssignment
from lakebed.consuming.checkpoints import PartitionCheckpoints
from lakebed.consuming.chores import Chore
from lakebed.consuming.pacing import JournalTime, on_grid
from lakebed.consuming.retry import Retry, Stopped
from lakebed.consuming.worker import MakeWorker, PartitionWorker, W
from lakebed.ports.catalog.checkpoints import TransactionalCheckpoints
from lakebed.ports.journal.consuming import Consumable
from lakebed.system.threads import name_this_thread
from lakebed.vocabulary.errors import StoreUnavailable, Unavailable, UnknownFormat
from lakebed.vocabulary.messages import Entry
from lakebed.vocabulary.times import Micros
from lakebed.vocabulary.times import now as wall_clock

log = structlog.get_logger(__name__)

_PAUSE = 0.5  # seconds until a journal that does not answer is asked again
_SUSPENDED = 5.0  # seconds of one turn after which others may have taken over what was ours
_DRAIN = 5.0  # seconds for which a stopping consumer continues to read
_QUIESCE = 60.0  # seconds in which a consumer at work comes to rest
_ABANDON = 2.0  # seconds for a thread that was told to give up


class _Pause:
    """One request to quiesce: `reached` when all is saved, `over` when the loop may go on."""

    def __init__(self) -> None:
        self.reached, self.over = threading.Event(), threading.Event()


class ConsumerLoop(Generic[W]):
    """One thread; the methods for other threads come first.

    Args:
        name: of the consumer: the journal keeps its offsets under it, the store its checkpoints.
        make: makes the worker of a partition.
        read: messages read from the journal at a time.
        delay: how long messages are held back before they are appended, microseconds.
        on_failure: called from the loop's thread when it ends by an error.
        clock: the wall clock, microseconds.
        monotonic: seconds.

    Attributes:
        retry: asks stores until they answer; for the workers too.
        assignment: the partitions that are ours.
        halted: why it reads nothing any more, though it did not fail; empty while it reads.
        chores: what is done besides, in this order; set before `start`.
    """

    def __init__(
        self,
        name: str,
        journal: Consumable,
        store: TransactionalCheckpoints,
        make: MakeWorker[W],
        *,
        read: int,
        delay: Micros = 0,
        on_failure: Callable[[BaseException], None],
        clock: Callable[[], Micros] = wall_clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name, self._journal, self._read = name, journal, read
        self._on_failure = on_failure
        self._clock, self._monotonic = clock, monotonic
        self._stop = threading.Event()
        self._unanswered = ""  # what the journal said last, while it does not answer
        self._wake_up = threading.Event()  # to take a turn now
        self._pauses: deque[_Pause] = deque()
        self._time = JournalTime(delay)
        self._consumer = journal.consumer(name)
        self.chores: Sequence[Chore] = ()
        self.halted = ""
        self.retry = Retry()
        self.assignment = PartitionAssignment(
            self._consumer, partial(PartitionCheckpoints, store, self.retry, name), make,
            clock, monotonic,
        )  # fmt: skip
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    # --- from other threads ----------------------------------------------------------------------

    def start(self) -> None:
        self._thread.start()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def wake(self) -> None:
        """Start the next turn now."""
        self._wake_up.set()
        self._consumer.wake()

    @contextmanager
    def quiesce(self) -> Iterator[None]:
        """Write and save everything read; inside the context nothing is written. For a backup.

        Raises:
            Unavailable: the loop is not running, or its stores do not answer.
        """
        pause = _Pause()
        self._pauses.append(pause)
        self.wake()
        try:
            deadline = self._monotonic() + _QUIESCE
            while not pause.reached.wait(0.1):
                if not self.running or self._monotonic() > deadline:
                    why = f"the {self._name} does not come to rest"
                    raise Unavailable(self.halted or self.retry.failing or why)
            yield
            if self._stop.is_set():  # then it does not rest any longer, but writes what waits
                raise Unavailable("the server is stopping")
        finally:
            pause.over.set()

    def stop(self, timeout: float) -> None:
        """Read what is there, write, checkpoint, end; after `timeout` seconds stop writing.

        What is not written then is read again from the journal at the next start.
        """
        self._stop.set()
        self.wake()
        self._thread.join(timeout)
        if self.running:
            self.retry.give_up()
            self._thread.join(_ABANDON)

    def lag(self) -> dict[int, int]:
        """About how many messages of each assigned partition are not absorbed yet."""
        return {
            partition: self._journal.distance(partition, worker.offset, end)
            for partition, (_, end) in self._journal.extent().items()
            if (worker := self.assignment.workers.get(partition)) is not None
        }

    # --- the loop --------------------------------------------------------------------------------

    def _run(self) -> None:
        name_this_thread(self._name)
        try:
            self._consumer.subscribe(self.assignment)
            while not self._stop.is_set():
                self._turn()
            self._finish()
        except Stopped:
            log.warning("stopped while a store did not answer; the journal has what is missing")
        except UnknownFormat as error:
            self._halt(error)
        except BaseException as error:
            log.exception("consumer failed", consumer=self._name)
            self._on_failure(error)
        finally:
            self._consumer.close()

    def _halt(self, error: UnknownFormat) -> None:
        """Release all partitions to a consumer of the newer version; the process goes on."""
        self.halted = str(error)
        log.error("nothing is read any more", consumer=self._name, why=self.halted)
        try:
            self._release_partitions()
        except (Stopped, Unavailable) as failure:
            log.warning("the journal has what is not written", error=str(failure))

    def _release_partitions(self) -> None:
        for partition in list(self.assignment.workers):
            self.assignment.revoked(partition)

    def _turn(self) -> None:
        began, before = self._monotonic(), self._clock()
        self.assignment.resubscribe_if_contested()
        for chore in self.chores:
            chore.before_poll()
        entries, answered = self._poll(self._time.wait_for(self._due(), before))
        caught_up = answered and not entries
        count = sum(len(entry.batch) for entry in entries)
        behind = count >= self._read // 2
        for chore in self.chores:
            chore.before_absorb(before, caught_up)
        self._absorb(entries)
        if self._monotonic() - began > _SUSPENDED:
            self.assignment.check(list(self.assignment.workers))
        now = self._time.after(entries, self._clock(), behind)
        self._write(now, final=self._time.was_set_back(before, entries))
        for chore in self.chores:
            chore.after_write(now, caught_up)
        if self._pauses:
            self._run_quiesced()
        if count and not behind:
            self._wait_for_flush()

    def _poll(self, timeout: float) -> tuple[list[Entry], bool]:
        """Return entries, and whether the journal answers; without an answer there may be more."""
        try:
            found = self._consumer.poll(timeout, self._read)
        except StoreUnavailable as error:
            if str(error) != self._unanswered:
                log.warning("the journal does not answer, trying again", error=str(error))
            self._unanswered = str(error)
            self._stop.wait(_PAUSE)
            return [], False
        self._unanswered = ""
        return found, True

    def _due(self) -> Micros | None:
        workers = self.assignment.workers.values()
        return min((due for worker in workers if (due := worker.due()) is not None), default=None)

    def _absorb(self, entries: Sequence[Entry]) -> None:
        for partition, group in groupby(entries, key=lambda entry: entry.partition):
            self.assignment.with_worker(partition, partial(_absorb, entries=list(group)))

    def _write(self, now: Micros, final: bool) -> None:
        flush_at = on_grid(now)

        def write(worker: W) -> int:
            worker.flush(flush_at, final=final)
            return worker.checkpoint(now)

        self.assignment.commit(write)

    def _wait_for_flush(self) -> None:
        """Wait for messages until the next flush, or until `wake`."""
        self._wake_up.wait(self._time.until_flush(self._clock()))
        self._wake_up.clear()

    def _run_quiesced(self) -> None:
        """Write and save all pending state, then do nothing until all pauses are over."""
        self.assignment.commit_everything()
        while self._pauses:
            pause = self._pauses.popleft()
            pause.reached.set()
            while not pause.over.wait(0.1) and not self._stop.is_set():
                pass

    def _finish(self) -> None:
        """Read what was acknowledged before the stop, then write all pending state.

        Without partitions nothing is read: waiting for some would delay the workers that get them.
        """
        deadline = self._monotonic() + _DRAIN
        while self.assignment.workers and self._monotonic() < deadline:
            entries, _ = self._poll(0)
            if not entries:
                break
            self._absorb(entries)
        self._release_partitions()


def _absorb(worker: PartitionWorker, entries: Sequence[Entry]) -> None:
    worker.absorb(entries)
