"""A shard: everything a keeper does for one partition. It moves with the partition.

    entries ──> Deduplicator ──> Chunk ──> Routes ──> tasks ──> outcomes ──> Ledger
                                         │
              adopt (policies) ──────────┤
              flush ── drain ──> stores ─┤
              checkpoint ── tasks' and ledger's state, one transaction ──> catalog

Why replay changes nothing: what is written between two checkpoints has keys made of the data, and
a restart reads again from the checkpoint with the very policies that were in force then. So new
policies are taken up, and windows let go, only together with a checkpoint, and never while the
shard reads again what an earlier run may have written (`replay_end`).
"""

import time
from collections.abc import Iterable, Sequence
from functools import partial

import numpy as np
import structlog
from numpy.typing import NDArray

from lakebed.consuming.deduplication import Deduplicator
from lakebed.keeper import erasing
from lakebed.keeper import ledger as ledgers
from lakebed.keeper.chunk import Chunk, join
from lakebed.keeper.examples import Examples
from lakebed.keeper.ledger import Ledger
from lakebed.keeper.poison import Poison
from lakebed.keeper.routes import Routes
from lakebed.keeper.stores import Stores
from lakebed.keeper.task import PolicyTask
from lakebed.kinds.kind import Site
from lakebed.policies.document import parse
from lakebed.policies.outcomes import Outcome
from lakebed.policies.policy import Policy
from lakebed.ports import Checkpoint, Erasure, Journal, PolicyStore, StoredPolicy
from lakebed.settings import Settings
from lakebed.vocabulary import times
from lakebed.vocabulary.errors import Invalid, LakebedError
from lakebed.vocabulary.messages import Entry, Ints
from lakebed.vocabulary.times import Micros

log = structlog.get_logger(__name__)

_SHARE = 20  # a checkpoint may take 1/20 of the time
_SHORT = 5 * times.SECOND  # a buffer that a checkpoint waits for,
_PATIENCE = 3  # but no longer than so many times its usual distance
_UNCHANGED = 30.0  # seconds after which an idle task's place is saved again


class Shard:
    """Attributes:
    offset: everything below it has been absorbed.
    replay_end: what lies below may have been written by an earlier run.
    revision: of the policies in force.
    begun: whether policies were ever taken up in this partition; nothing is read or saved before,
        or the next run would read on without those that are there already.
    """

    def __init__(
        self, partition: int, end: int, journal: Journal, stores: Stores, settings: Settings
    ) -> None:
        self.partition = partition
        self.offset = 0
        self.replay_end = end
        self.revision = -1
        self.begun = False
        self.ledger = Ledger()
        self._term = 0
        self._counted = 0  # the ledger has counted everything below
        self._tasks: dict[str, PolicyTask] = {}
        self._routes = Routes([])
        self._examples = Examples(partition)
        self._deduplicator = Deduplicator(settings.journal.id_horizon)
        self._poison = Poison(partition, journal, stores, settings.dead_letters, self._deduplicator)
        self._stores, self._settings = stores, settings
        self._saved_at: dict[str, float] = {}  # part -> monotonic seconds
        self._interval = settings.keeper.checkpoint / 1e6
        self._waits_since: float | None = None  # a checkpoint for a policy about to write
        self._saved = 0

    # --- taking over and giving up ---------------------------------------------------------------

    def load(self, store: PolicyStore) -> int:
        """Take up where the last checkpoint stands; returns the offset to read from."""
        self._term = self._stores.claim(self.partition)  # before reading: nobody saves after it
        parts = {part.part: part for part in self._stores.checkpoints(self.partition)}
        router = parts.pop(ledgers.PART, None)
        if router is None:
            self.replay_end = 0  # no run before this one: nothing was written
        else:
            self.begun = True
            self.ledger = Ledger.from_bytes(router.state)
            self._counted = router.offset
            self._examples.restore(self._stores.examples(self.partition))
        self._deduplicator.restore(parts, self._counted)
        for part in parts.values():
            stored = self._stores.retry_until_available(partial(stored_policy, store, part.part))
            policy = policy_of(stored, self._settings)
            if policy is not None:
                task = self._task(policy, part.offset)
                task.restore(part.state)
                task.changed = False
                self._tasks[task.part] = task
        self._routes = Routes(list(self._tasks.values()))
        places = [task.offset for task in self._tasks.values()]
        self.offset = self._saved = min([self._counted, *places]) if router else 0
        return self.offset

    def _task(self, policy: Policy, offset: int) -> PolicyTask:
        site = Site(policy, self.partition, self.ledger.topics)
        return PolicyTask(site, offset, self._settings.limits.future)

    def is_ours(self) -> bool:
        """Whether nobody has taken the partition over since `load`."""
        return self._stores.term(self.partition) == self._term

    @property
    def replayed(self) -> bool:
        """Whether everything that an earlier run may have written has been read again."""
        return self.offset >= self.replay_end

    def nothing_ahead(self) -> None:
        """Everything there was has been read. Where the journal lost its last messages, or was
        salvaged, its end lies ahead of any message that is left, and no reading reaches it."""
        self.replay_end = min(self.replay_end, self.offset)

    # --- absorbing -------------------------------------------------------------------------------

    def absorb(self, entries: Sequence[Entry]) -> None:
        """Work through the next entries of the partition."""
        chunk = join(entries, self.ledger)
        once = self._deduplicator.judge(entries)
        if once is not None:
            chunk = chunk.take(np.flatnonzero(once))
        if len(chunk):
            self._absorb_all(chunk)
        self.offset = chunk.end
        self._counted = max(self._counted, chunk.end)
        for task in self._tasks.values():
            task.offset = max(task.offset, self.offset)

    def _absorb_all(self, chunk: Chunk) -> None:
        outcomes = np.full(len(chunk), Outcome.SKIPPED, np.uint8)
        fresh = chunk.offset >= self._counted
        shared: dict[int, tuple[Ints, Chunk]] = {}  # policies on the same topics share the index
        for task, index in self._routes.split(chunk, self.ledger.channels):
            if chunk.offset[0] < task.offset:
                index = index[chunk.offset[index] >= task.offset]
            if not len(index):
                continue
            if id(index) not in shared:
                shared[id(index)] = index, chunk.take(index)
            became = self._absorb(task, shared[id(index)][1])
            outcomes[index] = np.minimum(outcomes[index], became)
            key = (task.policy.owner, task.policy.name)
            new = fresh[index]
            self.ledger.count_policy(key, became[new])
            self._examples.note(key, became[new], chunk, index[new], self.ledger.channels)
        self._count(chunk, outcomes, fresh)
        skipped = np.flatnonzero(fresh & (outcomes == Outcome.SKIPPED))
        self._examples.note_skipped(skipped, chunk, self.ledger.channels)

    def _absorb(self, task: PolicyTask, chunk: Chunk) -> NDArray[np.uint8]:
        try:
            return task.absorb(chunk)
        except LakebedError:
            raise
        except Exception:
            log.exception("a policy's code failed, isolating the message", policy=task.part)
        mended, outcomes = self._poison.isolate(task, chunk, self._task, self.ledger)
        self._tasks[task.part] = mended
        self._routes = Routes(list(self._tasks.values()))
        return outcomes

    def _count(self, chunk: Chunk, outcomes: NDArray[np.uint8], fresh: NDArray[np.bool_]) -> None:
        if fresh.all():
            self.ledger.count(chunk.channel, outcomes, chunk.size, chunk.received)
        elif fresh.any():
            self.ledger.count(
                chunk.channel[fresh],
                outcomes[fresh],
                chunk.size[fresh],
                chunk.received[fresh],
            )

    # --- policies --------------------------------------------------------------------------------

    def adopt(self, revision: int, stored: Sequence[StoredPolicy], now: Micros) -> None:
        """Put these policies in force from here on: flush what changes, then checkpoint."""
        policies = [policy_of(policy, self._settings) for policy in stored]
        wanted = {f"{p.owner}/{p.name}@{p.version}": p for p in policies if p is not None}
        gone = {part: task for part, task in self._tasks.items() if part not in wanted}
        self._stores.write([task.drain(now, final=True) for task in gone.values()])
        fresh = []
        for part, policy in wanted.items():
            if part not in self._tasks:
                task = self._task(policy, self.offset)
                _inherit(task, gone.values())
                self._tasks[part] = task
                fresh.append(task)
        for part in gone:
            del self._tasks[part]
        if gone or fresh or self.revision < 0:
            self._save([task.checkpoint() for task in fresh], drop=list(gone))
            self._routes = Routes(list(self._tasks.values()))
            log.info(
                "policies in force", partition=self.partition, count=len(self._tasks),
                added=[task.part for task in fresh], removed=list(gone),
            )  # fmt: skip
        self.revision, self.begun = revision, True

    # --- writing ---------------------------------------------------------------------------------

    def due(self) -> Micros | None:
        """When a task wants to write at the latest."""
        return min((due for task in self._tasks.values() if (due := task.due()) is not None),
                   default=None)  # fmt: skip

    def flush(self, now: Micros, final: bool = False) -> None:
        """Write what is due, what has grown too large, or with `final` all that waits."""
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

    def let_go(self, below: int, now: Micros) -> None:
        """The journal needs room: write and save all that makes it keep what lies below."""
        holding = [task for task in self._tasks.values() if task.saved < min(below, task.offset)]
        if holding or self._saved < min(below, self._counted):
            self._stores.write([task.drain(now, final=True) for task in holding if not task.clean])
            self._save([task.checkpoint() for task in holding])

    def erase(self, wanted: Erasure, now: Micros) -> int:
        """Let go of what is to be deleted, so that nothing below the returned offset returns.

        Only once `replayed`: before that an earlier run may have written what lies ahead.
        """
        tasks = [task for task in self._tasks.values() if erasing.concerns(wanted, task.policy)]
        self._stores.write([task.drain(now, final=True) for task in tasks])
        gone = erasing.erased_range(wanted, self.ledger)
        for task in tasks:
            task.erase(gone)
        self._save([task.checkpoint() for task in tasks])
        return self.offset

    def checkpoint(self, now: Micros, final: bool = False) -> int:
        """Save the tasks whose state is complete and old enough; returns the place it reached.

        Everything below the returned offset may be forgotten by the journal.
        """
        started = time.monotonic()
        if self.begun and (final or not self._unwritten(started)):
            self._checkpoint(now, started, final)
        return min([self._saved, *(task.saved for task in self._tasks.values())])

    def _unwritten(self, at: float) -> bool:
        """Whether to wait a moment for a policy that is about to write.

        What the ledger has counted as kept can then be read; a long buffer is not waited for.
        """
        if not any(
            task.policy.buffer <= _SHORT and task.load()[0] for task in self._tasks.values()
        ):
            return False
        if self._waits_since is None:
            self._waits_since = at
        return at - self._waits_since <= _PATIENCE * self._interval

    def _checkpoint(self, now: Micros, started: float, final: bool) -> None:
        ripe = [task for task in self._tasks.values() if final or self._ripe(task, started)]
        age = started - self._saved_at.get(ledgers.PART, 0.0)
        if not (ripe or final or (self._counted > self._saved and age >= self._interval)):
            return
        if self.replayed:
            for task in ripe:
                task.release(now)
        self._save([task.checkpoint() for task in ripe if task.clean])
        took = time.monotonic() - started
        self._interval = max(self._settings.keeper.checkpoint / 1e6, _SHARE * took)

    def _ripe(self, task: PolicyTask, at: float) -> bool:
        if not task.clean or task.saved >= task.offset:
            return False
        age = at - self._saved_at.get(task.part, 0.0)
        return age >= (self._interval if task.changed else _UNCHANGED)

    def _save(self, parts: list[Checkpoint], drop: Sequence[str] = ()) -> None:
        """One transaction: the ledger is never behind a task, so nothing is counted twice.

        Raises:
            Superseded: the partition is another worker's.
        """
        router = ledgers.to_checkpoint(self.ledger, self._counted)
        floor = min([self._saved, *(task.saved for task in self._tasks.values())])
        once, outlived = self._deduplicator.parts(floor)
        saved, dropped = [*parts, *once, router], [*drop, *outlived]
        examples = self._examples.take_changed(self._counted)
        self._stores.save(self.partition, self._term, saved, dropped, examples)
        self._deduplicator.saved()
        at = time.monotonic()
        self._saved = self._counted
        self._waits_since = None
        self._saved_at[ledgers.PART] = at
        for part in parts:
            task = self._tasks[part.part]
            task.saved, task.changed = part.offset, False
            self._saved_at[part.part] = at


def policy_of(stored: StoredPolicy | None, settings: Settings) -> Policy | None:
    """The policy of a version, or None where there is none that can be read."""
    if stored is None:
        return None
    try:
        return parse(stored.document, stored.owner, stored.version, settings.keeper.timezone)
    except Invalid as error:
        # Written by another version of Lakebed: say so, and let the other policies work.
        log.error("policy cannot be read", policy=f"{stored.owner}/{stored.name}", error=str(error))
        return None


def stored_policy(store: PolicyStore, part: str) -> StoredPolicy | None:
    """The version that a checkpoint's part names."""
    name, _, version = part.rpartition("@")
    owner, _, name = name.rpartition("/")
    return store.policy_version(owner, name, int(version))


def _inherit(task: PolicyTask, former: Iterable[PolicyTask]) -> None:
    """A changed policy goes on with the open windows, rings and filters of its last version."""
    for old in former:
        new, was = task.policy, old.policy
        same = (new.owner, new.name, new.keep, new.type)
        if same == (was.owner, was.name, was.keep, was.type):
            task.restore(old.state())
