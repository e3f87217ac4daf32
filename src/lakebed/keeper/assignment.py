"""The partitions that a keeper has, each with its shard: they come and go.

    journal: whose is it?          ──assigned, revoked, lost──> {partition: Shard}
    catalog: who claimed it last?  ──Superseded───────────────────┘

Both are asked, for the journal's word may be late: what another has claimed in the catalog is not
ours any more, whatever the journal says.
"""

import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeVar

import structlog

from lakebed.keeper.settings import KeeperSettings
from lakebed.keeper.shard import Shard
from lakebed.keeper.stores import Stores
from lakebed.ports import Catalog, Consumer, Journal
from lakebed.vocabulary.errors import Superseded
from lakebed.vocabulary.times import Micros

T = TypeVar("T")
log = structlog.get_logger(__name__)

_CONTESTED = 5.0
"""Seconds that a partition may be ours by the journal and another's by the catalog: the journal's
word is late, or the other one came to nothing."""


class PartitionAssignment:
    """Fulfils `ports.RebalanceListener`. One thread, the keeper's, calls all of it.

    Args:
        consumer: what tells the journal the places below which all is kept.
        clock: the wall clock, microseconds.
        on_new: called when a partition has come, which has no policies yet.

    Attributes:
        shards: of the partitions that are ours.
    """

    def __init__(
        self,
        journal: Journal,
        catalog: Catalog,
        stores: Stores,
        settings: KeeperSettings,
        consumer: Consumer,
        clock: Callable[[], Micros],
        on_new: Callable[[], None],
    ) -> None:
        self._journal, self._catalog, self._stores = journal, catalog, stores
        self._settings, self._consumer, self._clock = settings, consumer, clock
        self._on_new = on_new
        self.shards: dict[int, Shard] = {}
        self._contested: dict[int, float] = {}  # partitions; monotonic seconds since when

    # --- ports.RebalanceListener ------------------------------------------------------------------

    def assigned(self, partition: int, end: int) -> int:
        self._contested.pop(partition, None)
        shard = Shard(partition, end, self._journal, self._stores, self._settings)
        offset = shard.load(self._catalog)
        self.shards[partition] = shard
        self._on_new()
        log.info("partition taken over", partition=partition, offset=offset, end=end)
        return offset

    def revoked(self, partition: int) -> None:
        self.check([partition])
        place = self.working(partition, partial(_write_all, now=self._clock()))
        if self.shards.pop(partition, None) is not None and place is not None:
            self._consumer.commit({partition: place})
        self._contested.pop(partition, None)

    def lost(self, partition: int) -> None:
        self._contested.pop(partition, None)
        if self.shards.pop(partition, None) is not None:
            log.warning("partition lost to another keeper", partition=partition)

    # --- for the keeper ---------------------------------------------------------------------------

    def working(self, partition: int, work: Callable[[Shard], T]) -> T | None:
        """Let a shard work; None where it is not ours any more."""
        shard = self.shards.get(partition)
        try:
            return None if shard is None else work(shard)
        except Superseded:
            self._superseded(partition)
            return None

    def check(self, partitions: Iterable[int]) -> None:
        """Ask who these belong to, before anything is written for them."""
        for partition in partitions:
            if self.working(partition, Shard.is_ours) is False:
                self._superseded(partition)

    def commit(self, write: Callable[[Shard], int]) -> None:
        """Let each shard write; `write` returns the place below which all is kept."""
        places = {partition: self.working(partition, write) for partition in list(self.shards)}
        self._consumer.commit({p: place for p, place in places.items() if place is not None})

    def commit_everything(self) -> None:
        """Let each shard write and save all that waits."""
        self.commit(partial(_write_all, now=self._clock()))

    def settle_contests(self) -> None:
        """What no keeper has, since the one who had claimed it lost it at once, is asked for."""
        if any(time.monotonic() - since > _CONTESTED for since in self._contested.values()):
            log.warning("asking for partitions anew", contested=sorted(self._contested))
            self._contested.clear()
            self._consumer.subscribe(self)

    def _superseded(self, partition: int) -> None:
        """By the catalog another has it; the journal will say so, or has changed its mind."""
        self.lost(partition)
        self._contested[partition] = time.monotonic()


def _write_all(shard: Shard, now: Micros) -> int:
    shard.flush(now, final=True)
    return shard.checkpoint(now, final=True)
