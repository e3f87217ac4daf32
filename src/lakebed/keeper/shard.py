"""A shard: the keeper's worker for one partition. It moves with the partition.

    entries ──> Deduplicator ──> Chunk ──> Routes ──> tasks ──> outcomes ──> Ledger
                                                       │
              adopt (policies) ────────────────────────┤
              flush ── drain ──> stores ───────────────┤
              fill ── the journal's past, by tasks of fills ──> stores
              checkpoint ── state of tasks, ledger and deduplicator, ─┬─ one transaction ──> catalog
                            fills, segments of the byte ledger, ──────┤
                            what tasks gave that relays follow ───────┘

Why a replay changes nothing: rows written between two checkpoints have keys made of the data, and a
restart replays from the checkpoint with the policies that were in force then. So policies are
adopted, and windows evicted, only together with a checkpoint, and never while the shard replays
what an earlier run may have written (`replay_end`).
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import numpy as np
import structlog
from numpy.typing import NDArray

from lakebed.consuming.checkpoints import PartitionCheckpoints
from lakebed.consuming.pacing import CheckpointInterval
from lakebed.keeper import ledger as ledgers
from lakebed.keeper.chunk import Chunk
from lakebed.keeper.erasure_requests import concerns, erased_range
from lakebed.keeper.examples import CONSUMER as EXAMPLES
from lakebed.keeper.examples import Examples
from lakebed.keeper.fill_state import CONSUMER as FILLS
from lakebed.keeper.filling import Filling
from lakebed.keeper.ledger import Ledger
from lakebed.keeper.parking import CONSUMER as PARKED_STRETCHES
from lakebed.keeper.parking import Parking
from lakebed.keeper.poison import Poison
from lakebed.keeper.replay import decided, divide
from lakebed.keeper.routes import Routes
from lakebed.keeper.settings import KeeperSettings
from lakebed.keeper.state import PartitionState
from lakebed.keeper.stores import Stores
from lakebed.keeper.task import Became, PolicyTask, TaskFactory
from lakebed.keeper.unit_reports import CONSUMER as UNIT_REPORTS
from lakebed.keeper.versions import (
    PolicyVersions,
    continues,
    is_version_of,
    part_of,
    same_values,
)
from lakebed.metering.partition import CONSUMER as SEGMENTS
from lakebed.metering.partition import PartitionMeter
from lakebed.outbox.outgoing import Outgoing
from lakebed.policies.outcomes import Outcome
from lakebed.ports.catalog.checkpoints import Checkpoint
from lakebed.ports.catalog.outbox import Followed
from lakebed.ports.catalog.policies import PolicyVersionReader, StoredPolicy
from lakebed.ports.erasure import Erasure
from lakebed.ports.journal.reading import JournalReader
from lakebed.vocabulary import times
from lakebed.vocabulary.errors import LakebedError
from lakebed.vocabulary.limits import RELEASED
from lakebed.vocabulary.messages import Codes, Entry
from lakebed.vocabulary.policy import Policy
from lakebed.vocabulary.times import Micros

T = TypeVar("T")
log = structlog.get_logger(__name__)

_SHORT = 5 * times.SECOND  # a buffer that a checkpoint waits for,
_MOST_INTERVALS = 3  # but no longer than so many times its usual distance
_MOST_LOGGED = 20  # policies named in one line of the log
_UNCHANGED = 30.0  # seconds after which an idle task's offset is saved again


class Shard:
    """Implements `consuming.worker.PartitionWorker`.

    Args:
        end: of the partition when it was assigned.
        checkpoints: claimed already.
        policies: where versions are found that checkpoints name.
        monotonic: seconds.

    Attributes:
        offset: everything below it has been absorbed.
        replay_end: what lies below may have been written by an earlier run.
        revision: of the policies in force.
        meter: of the byte ledger.
        filling: the fills of policies from the journal's past.
        begun: whether policies were ever adopted in this partition. Before, nothing is absorbed or
            saved: a checkpoint without tasks would let the next run pass over these messages.
    """

    def __init__(
        self,
        partition: int,
        end: int,
        journal: JournalReader,
        checkpoints: PartitionCheckpoints,
        stores: Stores,
        policies: PolicyVersionReader,
        settings: KeeperSettings,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.partition = partition
        self.offset = 0
        self.replay_end = end
        self.revision = -1
        self.begun = False
        self._journal, self._checkpoints, self._stores = journal, checkpoints, stores
        self._settings, self._monotonic = settings, monotonic
        self._versions = PolicyVersions(policies, settings.keeper.timezone)
        self._tasks: dict[str, PolicyTask] = {}
        self._followed: Followed = {}
        self._routes = Routes([])
        self._examples = Examples(partition, monotonic)
        self.parking = Parking(partition)
        self._reports = stores.unit_reports(partition, settings)
        self._use_state(PartitionState.decode((), settings.journal.id_horizon))
        self._saved_at: dict[str, float] = {}  # part -> monotonic seconds
        self._interval = CheckpointInterval(settings.keeper.checkpoint / 1e6)
        self._waits_since: float | None = None  # a checkpoint for a policy about to write
        self._saved = 0
        self._uncounted = 0  # messages absorbed since the ledger was saved

    def _use_state(self, state: PartitionState) -> None:
        self._state = state
        self._factory = TaskFactory(
            self.partition, state.ledger.topics, self._settings.limits.future
        )
        self.meter = PartitionMeter(
            self.partition, state.ledger.channels, self._settings.ledger.rows
        )
        self._poison = Poison(
            self.partition, self._journal, self._checkpoints, self._stores,
            self._settings.dead_letters, state.deduplicator, state.ledger, self._factory,
        )  # fmt: skip
        self.filling = Filling(
            self.partition, self._journal, self._stores, self._settings, self._versions,
            state.ledger, state.deduplicator, self._factory, self._poison, self._at_work,
        )  # fmt: skip

    @property
    def ledger(self) -> Ledger:
        return self._state.ledger

    # --- taking over ------------------------------------------------------------------------------

    def load(self) -> int:
        """Restore the last checkpoint; returns the offset to read from."""
        parts = self._checkpoints.load()
        state = PartitionState.decode(parts, self._settings.journal.id_horizon)
        self._use_state(state)
        if state.begun:
            self.begun = True
            self._examples.restore(self._checkpoints.load(EXAMPLES))
            self.parking.restore(self._checkpoints.load(PARKED_STRETCHES))
            self._reports.restore(self._checkpoints.load(UNIT_REPORTS))
        else:
            self.replay_end = 0  # no run before this one: nothing was written
        for part in state.tasks.values():
            find = partial(self._versions.find, part.part)
            policy = self._stores.retry.until_available(find)
            if policy is not None:
                task = self._factory.restored(policy, part)
                task.changed = False
                self._tasks[task.part] = task
        if state.begun:
            at_work = [task.policy for task in self._tasks.values()]
            self.filling.restore(self._checkpoints.load(FILLS), state.counted, at_work)
        state.tasks = {}  # from here on they are in `_tasks`
        self._follow()
        self._routes = Routes(list(self._tasks.values()))
        self.offset = min([state.counted, *(task.offset for task in self._tasks.values())])
        self._saved = self.offset
        return self.offset

    @property
    def replayed(self) -> bool:
        """Whether everything that an earlier run may have written has been replayed."""
        return self.offset >= self.replay_end

    def reached_end(self) -> None:
        """Note that everything in the journal has been read, so the replay is over.

        If the journal lost its last messages, or was salvaged, its end lies behind every message
        that is left: no message ever reaches it.
        """
        self.replay_end = min(self.replay_end, self.offset)

    # --- absorbing -------------------------------------------------------------------------------

    def absorb(self, entries: Sequence[Entry]) -> None:
        """Work through the next entries of the partition."""
        if not self.begun:
            return
        divided = divide(entries, self.ledger, self._state.deduplicator.judge)
        chunk = divided.counted
        if divided.duplicates is not None:
            self._count_all(divided.duplicates, Outcome.DUPLICATES)
        if divided.parked is not None:
            fresh = self._count_all(divided.parked, Outcome.OVER_QUOTA)
            self.parking.note(divided.parked.take(np.flatnonzero(fresh)), self.ledger.channels)
        if len(chunk):
            with self._stores.traces.absorbing(chunk):
                self._absorb_all(chunk)
            self._stores.timing.absorbed(chunk.received)
        self._uncounted += sum(len(piece) for piece in divided if piece is not None)
        self.offset = chunk.end
        self._state.counted = max(self._state.counted, chunk.end)
        for task in self._tasks.values():
            task.offset = max(task.offset, self.offset)

    def _absorb_all(self, chunk: Chunk) -> None:
        outcomes = np.full(len(chunk), Outcome.SKIPPED, np.uint8)
        fresh = chunk.offset >= self._state.counted
        policies = self.meter.start(len(chunk))
        for task, index, piece in self._routes.deliver(chunk, self.ledger.channels):
            became, by_field = self._absorb(task, piece)
            outcomes[index] = np.minimum(outcomes[index], became)
            self.meter.deliver(policies, index, task.policy.name, became)
            key = (task.policy.owner, task.policy.name)
            new = fresh[index]
            self.ledger.count_policy(key, became[new])
            if by_field is not None:
                self.ledger.count_fields(key, task.policy.field_names, by_field[new])
            self._examples.note(key, became[new], chunk, index[new], self.ledger.channels)
        self._count(chunk, outcomes, fresh, policies)
        self._reports.absorb(chunk.take(np.flatnonzero(fresh)), self.ledger.channels)
        released = decided(chunk, RELEASED)
        if released is not None:
            copies = chunk.take(np.flatnonzero(released & fresh))
            self.ledger.release(copies.channel, copies.size)
            self.meter.release(
                self._state.counted, copies.channel, copies.size, copies.received,
                copies.sparse.attributes,
            )  # fmt: skip
        skipped = np.flatnonzero(fresh & (outcomes == Outcome.SKIPPED))
        self._examples.note_skipped(skipped, chunk, self.ledger.channels)

    def _absorb(self, task: PolicyTask, chunk: Chunk) -> Became:
        became = self._absorbed(task, chunk)
        if task.policy.function_at is not None:
            aside = np.flatnonzero(became.outcomes == Outcome.DEAD_LETTER)
            if len(aside):
                self._poison.put_aside(task, chunk, aside.tolist())
        return became

    def _absorbed(self, task: PolicyTask, chunk: Chunk) -> Became:
        try:
            return task.absorb(chunk)
        except LakebedError:
            raise
        except Exception:
            log.exception("a policy's code failed, isolating the message", policy=task.part)
        restored, became = self._poison.isolate(task, chunk)
        self._tasks[task.part] = restored
        self._note_for_relays(restored)  # what it gave since the checkpoint it gives again
        self._routes = Routes(list(self._tasks.values()))
        return became

    def _count_all(self, chunk: Chunk, outcome: Outcome) -> NDArray[np.bool_]:
        """Count messages that no policy sees; returns which were not counted before."""
        fresh: NDArray[np.bool_] = chunk.offset >= self._state.counted
        outcomes = np.full(len(chunk), outcome, np.uint8)
        self._count(chunk, outcomes, fresh, self.meter.start(len(chunk)))
        return fresh

    def _count(
        self, chunk: Chunk, outcomes: NDArray[np.uint8], fresh: NDArray[np.bool_], policies: Codes
    ) -> None:
        if not fresh.all():
            new = np.flatnonzero(fresh)
            chunk, outcomes, policies = chunk.take(new), outcomes[new], policies[new]
        if len(chunk):
            self.ledger.count(chunk.channel, outcomes, chunk.size, chunk.received)
            self.meter.count(
                self._state.counted, chunk.channel, policies, chunk.size, chunk.received,
                chunk.sparse.attributes,
            )  # fmt: skip

    # --- policies --------------------------------------------------------------------------------

    def adopt(
        self,
        revision: int,
        stored: Sequence[StoredPolicy],
        now: Micros,
        caught_up: bool = True,
    ) -> None:
        """Put these policies in force from this offset on: flush what changes, then checkpoint.

        Args:
            caught_up: whether everything received before `now` has been absorbed.
        """
        wanted = {part_of(policy): policy for policy in stored}
        gone = {part: task for part, task in self._tasks.items() if part not in wanted}
        read = (self._versions.read(wanted[part]) for part in wanted if part not in self._tasks)
        new = {(policy.owner, policy.name): policy for policy in read if policy is not None}
        former = {(task.policy.owner, task.policy.name): task for task in gone.values()}
        newest = int(self.ledger.last_seen.max(initial=0))
        writes = []
        ends = now if caught_up else min(now, newest)
        for old in gone.values():
            policy = new.get((old.policy.owner, old.policy.name))
            self.filling.follow(old.policy, policy, self.offset, ends)
            if continues(policy, old.policy):
                writes.append(old.drain(now, final=True))
                if (left := self._factory.without(old, policy)) is None:
                    continue
                left.outgoing = old.outgoing
                old = left
            old.cut(ends)
            writes.append(old.drain(ends, final=True))
        self._stores.write(writes)
        outgoing = [task.outgoing for task in gone.values() if task.outgoing is not None]
        fresh = []
        for name, policy in new.items():
            task = self._continued(policy, former.get(name), newest)
            self._tasks[task.part] = task
            fresh.append(task)
            self.filling.spans.begin(policy, self.offset)
        for part in gone:
            del self._tasks[part]
        self._follow()
        if gone or fresh or self.revision < 0:
            self._save([task.checkpoint() for task in fresh], list(gone), outgoing)
            self._routes = Routes(list(self._tasks.values()))
            log.info(
                "policies in force", partition=self.partition, count=len(self._tasks),
                added=_abbreviated([task.part for task in fresh]), removed=_abbreviated(list(gone)),
            )  # fmt: skip
        self.revision, self.begun = revision, True

    def _continued(self, policy: Policy, former: PolicyTask | None, newest: Micros) -> PolicyTask:
        """Make a task that continues the open windows, rings and filters of its last version."""
        if former is None or not same_values(policy, former.policy):
            return self._factory.fresh(policy, self.offset)
        since = 0 if continues(policy, former.policy) else newest
        task = self._factory.fresh(policy, self.offset, since)
        task.restore(former.state(), former.policy.field_names)
        return task

    def _follow(self) -> None:
        """Look up which policies relays follow."""
        self._followed = self._stores.followed()
        for task in self._tasks.values():
            self._note_for_relays(task)

    def _note_for_relays(self, task: PolicyTask) -> None:
        gives = self._followed.get((task.policy.owner, task.policy.name))
        if not gives:
            task.outgoing = None
            return
        if task.outgoing is None:
            task.outgoing = Outgoing(task.policy, self.partition)
        task.outgoing.wants(gives)

    # --- writing ---------------------------------------------------------------------------------

    def due(self) -> Micros | None:
        """The latest time at which a task has to write."""
        found = [self._reports.due(), *(task.due() for task in self._tasks.values())]
        return min((due for due in found if due is not None), default=None)

    def flush(self, now: Micros, final: bool = False) -> None:
        """Write what is due, what has grown too large, or with `final` everything pending."""
        limit = self._settings.keeper
        writes = []
        for task in self._tasks.values():
            rows, size = task.load()
            due = task.due()
            if final or rows >= limit.buffer_rows or size >= limit.buffer_bytes:
                writes.append(task.drain(now, final=True))
            elif due is not None and due <= now:
                writes.append(task.drain(now))
        self._stores.write(writes)
        self._reports.flush(now, final)

    def write_below(self, below: int, now: Micros) -> None:
        """Write and save the tasks for which the journal keeps messages below an offset."""
        holding = [task for task in self._tasks.values() if task.saved < min(below, task.offset)]
        if holding or self._saved < min(below, self._state.counted):
            self._stores.write([task.drain(now, final=True) for task in holding if not task.clean])
            self._save([task.checkpoint() for task in holding])

    def erase(self, wanted: Erasure, now: Micros) -> int:
        """Erase the state of what is to be deleted.

        Nothing below the returned offset is written again. Called only when `replayed`: before, an
        earlier run may have written what lies ahead.
        """
        tasks = [task for task in self._tasks.values() if concerns(wanted, task.policy)]
        self._stores.write([task.drain(now, final=True) for task in tasks])
        gone = erased_range(wanted, self.ledger)
        for task in tasks:
            task.erase(gone)
        self.filling.erase(wanted, self.offset, now)
        self._save([task.checkpoint() for task in tasks], erased=wanted)
        return self.offset

    # --- fills ------------------------------------------------------------------------------------

    def policy_version(self, owner: str, name: str) -> int | None:
        """The version of a policy that is at work; None if it is not."""
        found = (task.policy for task in self._tasks.values())
        return next((p.version for p in found if (p.owner, p.name) == (owner, name)), None)

    def work_on_fills(self, work: Callable[[Filling], T]) -> T:
        """Call `work` and save what came of it, in one transaction with the ledger."""
        result = work(self.filling)
        if self.filling.changed:
            followed = [
                own
                for former in self.filling.take_complete()
                if (own := self._at_work(former.policy)) is not None
                and own.clean
                and own.follow(former)
            ]
            self._save([task.checkpoint() for task in followed])
        return result

    def _at_work(self, policy: Policy) -> PolicyTask | None:
        """The task of a version of a policy that continues its windows."""
        own = (task for task in self._tasks.values() if is_version_of(task.part, policy))
        return next((task for task in own if continues(task.policy, policy)), None)

    # --- checkpoints ------------------------------------------------------------------------------

    def checkpoint(self, now: Micros, final: bool = False) -> int:
        """Save the tasks whose state is complete and old enough.

        Returns the offset below which nothing will be read again.
        """
        started = self._monotonic()
        if self.begun and (final or not self._unwritten(started)):
            self._checkpoint(now, started, final)
        parked = [] if (oldest := self.parking.oldest) is None else [oldest]
        return min([self._saved, *(task.saved for task in self._tasks.values()), *parked])

    def let_go(self, owner: str, first: int, last: int, messages: int, size: int,
               state: str | None) -> bool:  # fmt: skip
        """See `Parking.let_go`; saved when it returns."""
        found = self.parking.let_go(owner, first, last, messages, size, state)
        if found:
            self._save([])
        return found

    def _unwritten(self, at: float) -> bool:
        """Whether a checkpoint waits a moment for a policy that is about to write.

        What the ledger counts as kept can then be read at once. A long buffer is not waited for.
        """
        if not any(
            task.policy.buffer <= _SHORT and task.load()[0] for task in self._tasks.values()
        ):
            return False
        if self._waits_since is None:
            self._waits_since = at
        return at - self._waits_since <= _MOST_INTERVALS * self._interval.seconds

    def _checkpoint(self, now: Micros, started: float, final: bool) -> None:
        due = [
            task for task in self._tasks.values() if final or self._is_checkpoint_due(task, started)
        ]
        if not (due or final or self._is_ledger_due(started)):
            return
        if self.replayed:
            for task in due:
                task.release(now)
        self._save([task.checkpoint() for task in due if task.clean])
        self._interval.took(self._monotonic() - started)

    def _is_checkpoint_due(self, task: PolicyTask, at: float) -> bool:
        outgoing = task.outgoing
        if outgoing is not None and not outgoing.waits:
            outgoing = None
        if not task.clean or (task.saved >= task.offset and outgoing is None):
            return False
        age = at - self._saved_at.get(task.part, 0.0)
        if outgoing is not None:  # relays wait for it
            return outgoing.full or age >= self._interval.seconds
        wait = self._interval.between(task.pace, self._uncounted) if task.changed else _UNCHANGED
        return age >= wait

    def _is_ledger_due(self, at: float) -> bool:
        age = at - self._saved_at.get(ledgers.PART, 0.0)
        pace = min((task.pace for task in self._tasks.values()), default=0)
        wait = self._interval.between(pace, self._uncounted)
        return self._state.counted > self._saved and age >= wait

    def _save(
        self,
        parts: list[Checkpoint],
        drop: Sequence[str] = (),
        dropped: Sequence[Outgoing] = (),
        erased: Erasure | None = None,
    ) -> None:
        """One transaction: the ledger is never behind a task, so nothing is counted twice.

        Args:
            dropped: what the tasks that are dropped gave.
            erased: what is deleted of what waits for relays.

        Raises:
            Superseded: the partition is another worker's.
        """
        self._reports.flush_logs()
        floor = min([self._saved, *(task.saved for task in self._tasks.values())])
        first, _ = self._journal.extent().get(self.partition, (floor, floor))
        saved, outlived = self._state.encode(parts, floor, remembered=first)
        counted = self._state.counted
        beside = {
            EXAMPLES: self._examples.take_changed(counted),
            PARKED_STRETCHES: self.parking.take_changed(counted),
            UNIT_REPORTS: self._reports.take_changed(counted),
            SEGMENTS: self.meter.take_open(counted),
            FILLS: self.filling.take_changed(counted),
        }
        of_parts = (self._tasks[part.part].outgoing for part in parts)
        outgoing = [*dropped, *(one for one in of_parts if one is not None)]
        also = partial(
            self._stores.save_beside,
            [*self.meter.unsaved(), *self.filling.take_segments()],
            [block for one in outgoing for block in one.blocks()],
            None if erased is None else (self.partition, erased),
        )
        started = self._monotonic()
        self._checkpoints.save(saved, [*drop, *outlived], beside, also)
        self._stores.timing.checkpoint.observe(self._monotonic() - started)
        for one in outgoing:
            one.clear()
        self._state.deduplicator.saved()
        self.meter.saved()
        self.filling.saved()
        at = self._monotonic()
        self._saved = self._state.counted
        self._uncounted = 0
        self._waits_since = None
        self._saved_at[ledgers.PART] = at
        for part in parts:
            task = self._tasks[part.part]
            task.saved, task.changed = part.offset, False
            self._saved_at[part.part] = at


def _abbreviated(parts: list[str]) -> list[str]:
    """The names for one line of the log, which should not become too long."""
    more = len(parts) - _MOST_LOGGED
    return parts if more <= 0 else [*parts[:_MOST_LOGGED], f"and {more} more"]
