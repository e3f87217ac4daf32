"""A shard: everything a keeper does for one partition. It moves with the partition.

    entries ──> Once ──> Stretch ──> Routes ──> lanes ──> outcomes ──> Ledger
                                         │
              adopt (policies) ──────────┤
              flush ── drain ──> stores ─┤
              checkpoint ── lanes' and ledger's state, one transaction ──> catalog

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

from lakebed import times
from lakebed.errors import Invalid, LakebedError
from lakebed.keeper import forgetting
from lakebed.keeper import ledger as ledgers
from lakebed.keeper.examples import Examples
from lakebed.keeper.kinds.kind import Site
from lakebed.keeper.lane import Lane
from lakebed.keeper.ledger import Ledger
from lakebed.keeper.once import Once
from lakebed.keeper.poison import Poison
from lakebed.keeper.routes import Routes
from lakebed.keeper.stores import Stores
from lakebed.keeper.stretch import Stretch, join
from lakebed.messages import Entry, Ints
from lakebed.policies.document import parse
from lakebed.policies.outcomes import Outcome
from lakebed.policies.policy import Policy
from lakebed.ports import Checkpoint, Forgetting, Journal, PolicyStore, StoredPolicy
from lakebed.settings import Settings
from lakebed.times import Micros

log = structlog.get_logger(__name__)

_SHARE = 20  # a checkpoint may take 1/20 of the time
_SHORT = 5 * times.SECOND  # a buffer that a checkpoint waits for,
_PATIENCE = 3  # but no longer than so many times its usual distance
_UNCHANGED = 30.0  # seconds after which an idle lane's place is saved again


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
        self._lanes: dict[str, Lane] = {}
        self._routes = Routes([])
        self._examples = Examples(partition)
        self._once = Once(settings.journal.id_horizon)
        self._poison = Poison(partition, journal, stores, settings.dead_letters, self._once)
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
        self._once.restore(parts, self._counted)
        for part in parts.values():
            stored = self._stores.insist(partial(stored_policy, store, part.part))
            policy = policy_of(stored, self._settings)
            if policy is not None:
                lane = self._lane(policy, part.offset)
                lane.restore(part.state)
                lane.changed = False
                self._lanes[lane.part] = lane
        self._routes = Routes(list(self._lanes.values()))
        places = [lane.offset for lane in self._lanes.values()]
        self.offset = self._saved = min([self._counted, *places]) if router else 0
        return self.offset

    def _lane(self, policy: Policy, offset: int) -> Lane:
        site = Site(policy, self.partition, self.ledger.topics)
        return Lane(site, offset, self._settings.limits.future)

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
        stretch = join(entries, self.ledger)
        once = self._once.judge(entries)
        if once is not None:
            stretch = stretch.take(np.flatnonzero(once))
        if len(stretch):
            self._absorb_all(stretch)
        self.offset = stretch.end
        self._counted = max(self._counted, stretch.end)
        for lane in self._lanes.values():
            lane.offset = max(lane.offset, self.offset)

    def _absorb_all(self, stretch: Stretch) -> None:
        outcomes = np.full(len(stretch), Outcome.SKIPPED, np.uint8)
        fresh = stretch.offset >= self._counted
        shared: dict[int, tuple[Ints, Stretch]] = {}  # policies on the same topics share the index
        for lane, index in self._routes.split(stretch, self.ledger.channels):
            if stretch.offset[0] < lane.offset:
                index = index[stretch.offset[index] >= lane.offset]
            if not len(index):
                continue
            if id(index) not in shared:
                shared[id(index)] = index, stretch.take(index)
            became = self._absorb(lane, shared[id(index)][1])
            outcomes[index] = np.minimum(outcomes[index], became)
            key = (lane.policy.owner, lane.policy.name)
            new = fresh[index]
            self.ledger.count_policy(key, became[new])
            self._examples.note(key, became[new], stretch, index[new], self.ledger.channels)
        self._count(stretch, outcomes, fresh)
        skipped = np.flatnonzero(fresh & (outcomes == Outcome.SKIPPED))
        self._examples.note_skipped(skipped, stretch, self.ledger.channels)

    def _absorb(self, lane: Lane, stretch: Stretch) -> NDArray[np.uint8]:
        try:
            return lane.absorb(stretch)
        except LakebedError:
            raise
        except Exception:
            log.exception("a policy's code failed, isolating the message", policy=lane.part)
        mended, outcomes = self._poison.isolate(lane, stretch, self._lane, self.ledger)
        self._lanes[lane.part] = mended
        self._routes = Routes(list(self._lanes.values()))
        return outcomes

    def _count(
        self, stretch: Stretch, outcomes: NDArray[np.uint8], fresh: NDArray[np.bool_]
    ) -> None:
        if fresh.all():
            self.ledger.count(stretch.channel, outcomes, stretch.size, stretch.received)
        elif fresh.any():
            self.ledger.count(
                stretch.channel[fresh],
                outcomes[fresh],
                stretch.size[fresh],
                stretch.received[fresh],
            )

    # --- policies --------------------------------------------------------------------------------

    def adopt(self, revision: int, stored: Sequence[StoredPolicy], now: Micros) -> None:
        """Put these policies in force from here on: flush what changes, then checkpoint."""
        policies = [policy_of(policy, self._settings) for policy in stored]
        wanted = {f"{p.owner}/{p.name}@{p.version}": p for p in policies if p is not None}
        gone = {part: lane for part, lane in self._lanes.items() if part not in wanted}
        self._stores.write([lane.drain(now, final=True) for lane in gone.values()])
        fresh = []
        for part, policy in wanted.items():
            if part not in self._lanes:
                lane = self._lane(policy, self.offset)
                _inherit(lane, gone.values())
                self._lanes[part] = lane
                fresh.append(lane)
        for part in gone:
            del self._lanes[part]
        if gone or fresh or self.revision < 0:
            self._save([lane.checkpoint() for lane in fresh], drop=list(gone))
            self._routes = Routes(list(self._lanes.values()))
            log.info(
                "policies in force", partition=self.partition, count=len(self._lanes),
                added=[lane.part for lane in fresh], removed=list(gone),
            )  # fmt: skip
        self.revision, self.begun = revision, True

    # --- writing ---------------------------------------------------------------------------------

    def due(self) -> Micros | None:
        """When a lane wants to write at the latest."""
        return min((due for lane in self._lanes.values() if (due := lane.due()) is not None),
                   default=None)  # fmt: skip

    def flush(self, now: Micros, final: bool = False) -> None:
        """Write what is due, what has grown too large, or with `final` all that waits."""
        limit = self._settings.keeper
        writes = []
        for lane in self._lanes.values():
            rows, size = lane.load()
            due = lane.due()
            if final or rows >= limit.buffer_rows or size >= limit.buffer_bytes:
                writes.append(lane.drain(now, final=True))
            elif due is not None and due <= now:
                writes.append(lane.drain(now))
        self._stores.write(writes)

    def let_go(self, below: int, now: Micros) -> None:
        """The journal needs room: write and save all that makes it keep what lies below."""
        holding = [lane for lane in self._lanes.values() if lane.saved < min(below, lane.offset)]
        if holding or self._saved < min(below, self._counted):
            self._stores.write([lane.drain(now, final=True) for lane in holding if not lane.clean])
            self._save([lane.checkpoint() for lane in holding])

    def forget(self, wanted: Forgetting, now: Micros) -> int:
        """Let go of what is to be deleted, so that nothing below the returned offset returns.

        Only once `replayed`: before that an earlier run may have written what lies ahead.
        """
        lanes = [lane for lane in self._lanes.values() if forgetting.concerns(wanted, lane.policy)]
        self._stores.write([lane.drain(now, final=True) for lane in lanes])
        gone = forgetting.forgotten(wanted, self.ledger)
        for lane in lanes:
            lane.forget(gone)
        self._save([lane.checkpoint() for lane in lanes])
        return self.offset

    def checkpoint(self, now: Micros, final: bool = False) -> int:
        """Save the lanes whose state is complete and old enough; returns the place it reached.

        Everything below the returned offset may be forgotten by the journal.
        """
        started = time.monotonic()
        if self.begun and (final or not self._unwritten(started)):
            self._checkpoint(now, started, final)
        return min([self._saved, *(lane.saved for lane in self._lanes.values())])

    def _unwritten(self, at: float) -> bool:
        """Whether to wait a moment for a policy that is about to write.

        What the ledger has counted as kept can then be read; a long buffer is not waited for.
        """
        if not any(
            lane.policy.buffer <= _SHORT and lane.load()[0] for lane in self._lanes.values()
        ):
            return False
        if self._waits_since is None:
            self._waits_since = at
        return at - self._waits_since <= _PATIENCE * self._interval

    def _checkpoint(self, now: Micros, started: float, final: bool) -> None:
        ripe = [lane for lane in self._lanes.values() if final or self._ripe(lane, started)]
        age = started - self._saved_at.get(ledgers.PART, 0.0)
        if not (ripe or final or (self._counted > self._saved and age >= self._interval)):
            return
        if self.replayed:
            for lane in ripe:
                lane.release(now)
        self._save([lane.checkpoint() for lane in ripe if lane.clean])
        took = time.monotonic() - started
        self._interval = max(self._settings.keeper.checkpoint / 1e6, _SHARE * took)

    def _ripe(self, lane: Lane, at: float) -> bool:
        if not lane.clean or lane.saved >= lane.offset:
            return False
        age = at - self._saved_at.get(lane.part, 0.0)
        return age >= (self._interval if lane.changed else _UNCHANGED)

    def _save(self, parts: list[Checkpoint], drop: Sequence[str] = ()) -> None:
        """One transaction: the ledger is never behind a lane, so nothing is counted twice.

        Raises:
            Superseded: the partition is another worker's.
        """
        router = ledgers.to_checkpoint(self.ledger, self._counted)
        floor = min([self._saved, *(lane.saved for lane in self._lanes.values())])
        once, outlived = self._once.parts(floor)
        saved, dropped = [*parts, *once, router], [*drop, *outlived]
        examples = self._examples.take_changed(self._counted)
        self._stores.save(self.partition, self._term, saved, dropped, examples)
        self._once.saved()
        at = time.monotonic()
        self._saved = self._counted
        self._waits_since = None
        self._saved_at[ledgers.PART] = at
        for part in parts:
            lane = self._lanes[part.part]
            lane.saved, lane.changed = part.offset, False
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


def _inherit(lane: Lane, former: Iterable[Lane]) -> None:
    """A changed policy goes on with the open windows, rings and filters of its last version."""
    for old in former:
        new, was = lane.policy, old.policy
        same = (new.owner, new.name, new.keep, new.type)
        if same == (was.owner, was.name, was.keep, was.type):
            lane.restore(old.state())
