"""Relays of one process: the consumer `relays`, its threads, and what they need.

    catalog ──relays, every second──> RelayShard of each partition ──> Relaying ──> lanes
    ConsumerLoop (one thread) ───────────────┘                           └─ Pool (threads)

Without any relay there is no consumer, so that the journal is read and kept for nobody.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol

import structlog

from lakebed.consuming.checkpoints import PartitionCheckpoints
from lakebed.consuming.chores import Chore
from lakebed.consuming.loop import ConsumerLoop
from lakebed.metering.outgoing import CountSent, uncounted
from lakebed.ports.catalog.backfills import BackfillStore
from lakebed.ports.catalog.checkpoints import TransactionalCheckpoints
from lakebed.ports.catalog.dead_letters import DeadLetterSink
from lakebed.ports.catalog.outbox import Stream
from lakebed.ports.catalog.relays import CONSUMER, RelayReader, StoredRelay
from lakebed.ports.health import Health
from lakebed.ports.journal.consuming import Consumable
from lakebed.ports.journal.operating import JournalOperations
from lakebed.ports.journal.reading import JournalReader
from lakebed.ports.relays import Target
from lakebed.ports.series import SeriesReader
from lakebed.relays.asking import Asking
from lakebed.relays.backfilling import relay_of
from lakebed.relays.documents import Spec
from lakebed.relays.metrics import DeliveryTimes
from lakebed.relays.opening import TargetOpener
from lakebed.relays.policy_source import OutboxCatalog, PolicySource
from lakebed.relays.pool import Pool
from lakebed.relays.relaying import Memory, Relaying
from lakebed.relays.settings import RelaysSection
from lakebed.relays.shard import RelayShard
from lakebed.relays.source import Source
from lakebed.relays.state import RelayState
from lakebed.secrets.resolving import SecretMissing
from lakebed.secrets.values import Secret
from lakebed.vocabulary.errors import Conflict, LakebedError, NotFound, Unavailable
from lakebed.vocabulary.times import DAY, Micros
from lakebed.vocabulary.times import now as wall_clock

log = structlog.get_logger(__name__)

_LOOK_EVERY = 1.0  # seconds between two looks for relays
_LATELY: Micros = DAY  # for so long health tells of a gap
_READ = 5_000  # messages read from the journal at a time
_STOP = 0.5  # seconds for threads that deliver, after their positions were saved


class RelayJournal(Consumable, JournalReader, JournalOperations, Protocol):
    """What relays need of the journal."""


class RelayCatalog(
    TransactionalCheckpoints, RelayReader, DeadLetterSink, OutboxCatalog, BackfillStore, Protocol
):
    """What relays need of the catalog."""


class Relays:
    """Any thread may call its methods.

    Args:
        horizon: how long ids of messages are remembered.
        delay: how long messages are held back before they are appended.
        on_failure: called when the consumer ends by an error.
        sent: counts what targets have taken, for the byte ledger.
    """

    def __init__(
        self,
        journal: RelayJournal,
        series: SeriesReader,
        catalog: RelayCatalog,
        settings: RelaysSection,
        opener: TargetOpener,
        horizon: Micros,
        delay: Micros,
        on_failure: Callable[[BaseException], None],
        sent: CountSent = uncounted,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Callable[[], Micros] = wall_clock,
    ) -> None:
        self._journal, self._series, self._catalog = journal, series, catalog
        self._settings, self._opener = settings, opener
        self._horizon, self._delay, self._on_failure = horizon, delay, on_failure
        self._sent, self._monotonic, self._clock = sent, monotonic, clock
        self._life = threading.Lock()  # held by whoever begins or ends the consumer
        self._stopping = self._forgotten = False
        self._shards: list[RelayShard] = []
        self._loop: ConsumerLoop[RelayShard] | None = None
        self._pool: Pool | None = None
        self._memory = Memory(settings.memory)
        self._asking: dict[str, tuple[int, Asking]] = {}
        self._used: dict[tuple[int, str], dict[str, Secret]] = {}  # by partition and identity
        self._relays: Sequence[StoredRelay] = ()
        self._looked = float("-inf")
        self.times = DeliveryTimes()

    # --- running ----------------------------------------------------------------------------------

    def look(self) -> None:
        """Begin where there are relays, and end where there are none. Every second, say."""
        relays = self._wanted()
        with self._life:
            if self._stopping:
                return
            if relays and self._loop is None:
                self._start(relays)
            elif not relays:
                self._end(5.0)
                self._forget_consumer()

    def stop(self, timeout: float) -> None:
        """Save where every relay is; what is being delivered has some seconds to end."""
        self._stopping = True
        self._end(timeout)

    def wake(self) -> None:
        """Look for changed relays now."""
        self._looked = float("-inf")
        if (loop := self._loop) is not None:
            loop.wake()

    @contextmanager
    def quiesce(self) -> Iterator[None]:
        """See `ConsumerLoop.quiesce`; meanwhile relays neither begin nor end."""
        with self._life:
            if self._loop is None:
                yield
            else:
                with self._loop.quiesce():
                    yield

    def health(self) -> Health:
        """Always ready: a target that is away is no fault of this process."""
        loop = self._loop
        if loop is None:
            return Health(True, "", {"relays": 0})
        detail: dict[str, Any] = {"relays": len(self._relays)}
        shards = list(loop.assignment.workers.values())
        lately = self._clock() - _LATELY
        stopped = {id for shard in shards for id in shard.stopped}
        gapped = {id for shard in shards for id in shard.gapped(lately)}
        said = [loop.halted or loop.retry.failing]
        if stopped:
            detail["stopped"] = len(stopped)
            said.append(
                f"{len(stopped)} relays are stopped, because more waits than they may hold:"
                " mend their targets, and resume them"
            )
        if gapped:
            detail["gaps"] = len(gapped)
            said.append(f"{len(gapped)} relays have missed messages in the last day")
        return Health(True, "; ".join(filter(None, said)), detail)

    def _start(self, relays: Sequence[StoredRelay]) -> None:
        self._relays, self._looked = relays, self._monotonic()
        self._forgotten = False
        self._pool = Pool(self._settings.threads, self._monotonic)
        self._loop = ConsumerLoop(
            CONSUMER, self._journal, self._catalog, self._shard, read=_READ,
            delay=self._delay, on_failure=self._on_failure, clock=self._clock,
            monotonic=self._monotonic,
        )  # fmt: skip
        self._loop.chores = (_Adoption(self),)
        self._pool.start()
        self._loop.start()

    def _end(self, timeout: float) -> None:
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.stop(timeout)
        pool, self._pool = self._pool, None  # the consumer needs it to its end
        if pool is not None:
            pool.stop(_STOP)
        self._shards.clear()
        self._asking.clear()

    def _forget_consumer(self) -> None:
        """Let the journal keep nothing for a consumer that nobody needs."""
        if self._forgotten:
            return
        try:
            if any(one.name == CONSUMER for one in self._journal.positions()):
                self._journal.drop_consumer(CONSUMER)
        except (NotFound, Conflict, Unavailable) as error:
            log.debug("the consumer of relays stays", why=str(error))
        else:
            self._forgotten = True

    def _wanted(self) -> list[StoredRelay]:
        """All relays, and those that deliver their backfills."""
        relays = self._catalog.relays()
        if not relays:
            return []
        by_id = {relay.id: relay for relay in relays}
        open = (one for one in self._catalog.backfills() if one.goes_on and one.relay in by_id)
        return [*relays, *(relay_of(by_id[one.relay], one) for one in open)]

    def adopt(self) -> None:
        """Let all shards take up relays as they are now; on the consumer's thread."""
        now = self._monotonic()
        loop = self._loop
        if loop is None or now - self._looked < _LOOK_EVERY:
            return
        self._looked = now
        if self._pool is not None:
            self._pool.tend()
        try:
            self._relays = self._wanted()
        except LakebedError as error:
            log.warning("relays not looked at", error=str(error))
            return
        ids = {relay.id for relay in self._relays}
        for id in self._asking.keys() - ids:
            del self._asking[id]
        for key in [key for key in self._used if key[1] not in ids]:
            del self._used[key]
        ours = list(loop.assignment.workers.values())
        for shard in self._shards:
            if shard not in ours:  # the partition was taken away
                shard.close()
        self._shards = ours
        for partition in list(loop.assignment.workers):
            loop.assignment.with_worker(partition, lambda shard: shard.adopt(self._relays))
            loop.assignment.with_worker(partition, lambda shard: shard.poll_policies())

    def _shard(self, partition: int, end: int, checkpoints: PartitionCheckpoints) -> RelayShard:
        shard = RelayShard(
            partition, end, self._journal, checkpoints, self, lambda: self._relays,
            self._horizon, self._monotonic, self._clock,
        )  # fmt: skip
        self._shards.append(shard)
        return shard

    # --- shard.Opening ----------------------------------------------------------------------------

    def begin(self, partition: int, spec: Spec, state: RelayState, source: Source) -> Relaying:
        pool = self._pool
        assert pool is not None
        used: dict[str, Secret] = {}
        self._used[partition, spec.id] = used
        asking = self._asking_of(spec, pool)
        distance = _numbers if spec.policy else partial(self._journal.distance, partition)

        def open_target(lane: int) -> Target:
            # `used` has the oldest value that a target may hold
            return self._opener.open(spec, partition, lane, used.setdefault)

        return Relaying(
            partition, spec, state, source, open_target, asking, pool,
            self._memory, self._catalog, distance, self._sent, self._monotonic, self._clock,
        )  # fmt: skip

    def is_stale(self, partition: int, spec: Spec) -> bool:
        for text, used in tuple(self._used.get((partition, spec.id), {}).items()):
            try:
                if self._opener.secrets.resolve(spec.owner, text) != used:
                    return True
            except SecretMissing:
                return True
            except LakebedError as error:
                log.warning("a secret of a relay not looked at", error=str(error))
        return False

    def of_policy(self, partition: int, spec: Spec) -> PolicySource:
        stream = Stream(spec.owner, spec.policy, partition, spec.reader)
        return PolicySource(self._catalog, self._series, stream, spec.gives)

    def _asking_of(self, spec: Spec, pool: Pool) -> Asking:
        """What all partitions of a relay share; another one after each change and order."""
        known = self._asking.get(spec.id)
        if known is not None and known[0] == spec.version:
            return known[1]
        most = max(1, self._settings.threads // 4)
        asking = Asking(spec, most, pool.schedule, self.times.observe, self._monotonic, self._clock)
        self._asking[spec.id] = (spec.version, asking)
        return asking


def _numbers(start: int, end: int) -> int:
    """How many records of an outbox, which numbers them, lie between two offsets."""
    return end - start


class _Adoption(Chore):
    """Looks for relays before each poll."""

    def __init__(self, relays: Relays) -> None:
        self._relays = relays

    def before_poll(self) -> None:
        self._relays.adopt()
