"""The keeper: the consumer of the journal that applies policies.

    ┌──> poll ──> adopt policies ──> absorb ──> flush what is due ──> checkpoint ──> commit ──┐
    │   (Journal)  (PolicyStore)    (Shard)     (Series, Catalog)      (Catalog)    (Journal) │
    └──────────── erase by request <── make room in the journal <─────────────────────────────┘

The loop is every consumer's (`consuming/loop.py`); a shard is the keeper's worker for a partition.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from lakebed.consuming.checkpoints import PartitionCheckpoints
from lakebed.consuming.loop import ConsumerLoop
from lakebed.keeper.early_flush import EarlyFlush
from lakebed.keeper.erasures import ErasureCatalog, Erasures
from lakebed.keeper.fills import Fills
from lakebed.keeper.final_flush import FinalFlush
from lakebed.keeper.ledger import CONSUMER
from lakebed.keeper.parked_orders import ParkedStretches
from lakebed.keeper.policy_adoption import PolicyAdoption
from lakebed.keeper.settings import KeeperSettings
from lakebed.keeper.shard import Shard
from lakebed.keeper.stores import KeptValues, Stores
from lakebed.keeper.timing import KeeperTiming
from lakebed.ports.catalog.checkpoints import TransactionalCheckpoints
from lakebed.ports.catalog.fills import FillOrders
from lakebed.ports.catalog.parking import ParkedOrders
from lakebed.ports.catalog.policies import PolicyReader, PolicyVersionReader
from lakebed.ports.health import Health
from lakebed.ports.journal.adoption import Adoptable
from lakebed.ports.journal.consuming import Consumable
from lakebed.ports.journal.operating import Pressured, Timed
from lakebed.ports.journal.reading import JournalReader
from lakebed.ports.metrics import CounterMetric
from lakebed.ports.series import SeriesWriter
from lakebed.ports.tracing import Tracer
from lakebed.vocabulary.times import Micros
from lakebed.vocabulary.times import now as wall_clock

ROWS = CounterMetric("lakebed_keeper_rows_written_total", "Rows that were written to the series.")


class KeeperJournal(Consumable, JournalReader, Pressured, Timed, Adoptable, Protocol):
    """What a keeper needs of the journal."""


class KeeperCatalog(
    TransactionalCheckpoints,
    PolicyReader,
    PolicyVersionReader,
    KeptValues,
    ErasureCatalog,
    ParkedOrders,
    FillOrders,
    Protocol,
):
    """What a keeper needs of the catalog."""


class Keeper:
    """Reads its share of the journal on a thread of its own. Any thread may call its methods.

    Args:
        on_failure: called from the keeper's thread when it ends by an error.
        clock: the wall clock, microseconds.
    """

    def __init__(
        self,
        journal: KeeperJournal,
        series: SeriesWriter,
        catalog: KeeperCatalog,
        settings: KeeperSettings,
        on_failure: Callable[[BaseException], None],
        clock: Callable[[], Micros] = wall_clock,
        tracer: Tracer | None = None,
    ) -> None:
        self._journal, self._catalog, self._settings = journal, catalog, settings
        self._loop = ConsumerLoop(
            CONSUMER, journal, catalog, self._shard, read=settings.keeper.read,
            delay=settings.journal.commit_delay, on_failure=on_failure, clock=clock,
        )  # fmt: skip
        assignment, retry = self._loop.assignment, self._loop.retry
        self._stores = Stores(series, catalog, retry, tracer)
        self._policies = PolicyAdoption(catalog, assignment, retry)
        self._erasures = Erasures(catalog, assignment, retry)
        self._fills = Fills(catalog, journal, assignment, retry, self._loop.wake)
        self._loop.chores = (
            self._policies,
            EarlyFlush(journal, assignment),
            FinalFlush(journal, assignment),
            self._erasures,
            ParkedStretches(
                catalog, journal, assignment, retry,
                settings.journal.span, settings.limits.parked_for,
            ),
            self._fills,
        )  # fmt: skip

    def _shard(self, partition: int, end: int, checkpoints: PartitionCheckpoints) -> Shard:
        self._policies.look_now()  # it has no policies yet
        return Shard(
            partition, end, self._journal, checkpoints, self._stores, self._catalog, self._settings
        )

    def start(self) -> None:
        self._loop.start()

    def stop(self, timeout: float) -> None:
        """See `ConsumerLoop.stop`."""
        self._loop.stop(timeout)

    def quiesce(self) -> AbstractContextManager[None]:
        """See `ConsumerLoop.quiesce`."""
        return self._loop.quiesce()

    def policies_changed(self) -> None:
        """Adopt changed policies now, and look for fills to begin.

        Returns when the policies are in force, or after two seconds.
        """
        wanted = self._catalog.revision()
        self._policies.look_now()
        self._fills.look_now()
        self._loop.wake()
        self._policies.wait_for(wanted)

    def erasure_asked(self) -> None:
        """Check for orders to erase now; return at once."""
        self._erasures.look_now()
        self._loop.wake()

    def lag(self) -> dict[int, int]:
        """About how many messages of each partition of this keeper are not absorbed yet."""
        return self._loop.lag()

    @property
    def timing(self) -> KeeperTiming:
        return self._stores.timing

    @property
    def refused_reports(self) -> Mapping[tuple[str, str], int]:
        """Reports of units that could not be kept, by kind and reason."""
        return dict(self._stores.refused)

    def cut_fills(self, timeout: float) -> None:
        """End windows that fills have begun and that go on: the home is moved elsewhere."""
        self._fills.cut_tails(timeout)

    @property
    def filled(self) -> int:
        """Messages of the journal's past that were read to fill policies."""
        return self._fills.read

    @property
    def fills(self) -> int:
        """Fills at work, each counted in each partition that this keeper has."""
        shards = list(self._loop.assignment.workers.values())
        return sum(len(shard.filling.running) for shard in shards)

    @property
    def meter_rows(self) -> int:
        """Rows of the byte ledger in memory."""
        return sum(shard.meter.rows for shard in list(self._loop.assignment.workers.values()))

    @property
    def meter_rest(self) -> int:
        """Messages counted without their topics, in the partitions that this keeper has."""
        return sum(shard.meter.rest for shard in list(self._loop.assignment.workers.values()))

    def health(self) -> Health:
        running = self._loop.running
        failing = self._loop.halted or self._loop.retry.failing
        message = failing or ("" if running else "not running")
        behind = {str(partition): count for partition, count in self.lag().items()}
        detail: dict[str, Any] = {"behind": behind, "rows_written": self._stores.rows}
        if self._stores.refused:
            detail["reports_refused"] = sum(self._stores.refused.values())
        return Health(not message, message, detail, (ROWS(self._stores.rows),))
