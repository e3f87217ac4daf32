"""The partitions that are assigned to a consumer, each with its worker.

    journal: the assignment  ──assigned, revoked, lost──> {partition: worker}
    catalog: the last claim  ──Superseded──────────────────┘

The journal may report a lost partition too late. So the catalog is asked as well: a partition that
another worker has claimed is not ours any more, whatever the journal says.
"""

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

import structlog

from lakebed.consuming.checkpoints import PartitionCheckpoints
from lakebed.consuming.worker import MakeWorker, W
from lakebed.ports.journal.consuming import Consumer
from lakebed.vocabulary.errors import Superseded
from lakebed.vocabulary.times import Micros

T = TypeVar("T")
log = structlog.get_logger(__name__)

_CONTESTED = 5.0
"""Seconds that the journal may assign a partition to us while another worker has claimed it: the
journal is late, or that worker has failed since."""


class PartitionAssignment(Generic[W]):
    """Implements `ports.journal.consuming.RebalanceListener`. Used by one thread.

    Args:
        consumer: tells the journal the offsets below which everything is done.
        checkpoints: those of a partition, not claimed yet.
        clock: the wall clock, microseconds.
        monotonic: seconds.

    Attributes:
        workers: of the partitions that are ours.
    """

    def __init__(
        self,
        consumer: Consumer,
        checkpoints: Callable[[int], PartitionCheckpoints],
        make: MakeWorker[W],
        clock: Callable[[], Micros],
        monotonic: Callable[[], float],
    ) -> None:
        self._consumer, self._checkpoints, self._make = consumer, checkpoints, make
        self._clock, self._monotonic = clock, monotonic
        self.workers: dict[int, W] = {}
        self._claims: dict[int, PartitionCheckpoints] = {}
        self._contested: dict[int, float] = {}  # partitions; seconds since when

    # --- ports.journal.consuming.RebalanceListener ------------------------------------------------

    def assigned(self, partition: int, end: int) -> int:
        self._contested.pop(partition, None)
        claim = self._checkpoints(partition)
        claim.claim()
        worker = self._make(partition, end, claim)
        offset = worker.load()
        self.workers[partition], self._claims[partition] = worker, claim
        log.info("partition taken over", partition=partition, offset=offset, end=end)
        return offset

    def revoked(self, partition: int) -> None:
        self.check([partition])
        offset = self.with_worker(partition, self._write_all)
        if self._drop(partition) and offset is not None:
            self._consumer.commit({partition: offset})
        self._contested.pop(partition, None)

    def lost(self, partition: int) -> None:
        self._contested.pop(partition, None)
        if self._drop(partition):
            log.warning("partition lost to another worker", partition=partition)

    # --- for the loop -----------------------------------------------------------------------------

    def with_worker(self, partition: int, work: Callable[[W], T]) -> T | None:
        """Call `work` with the worker; None where the partition is not ours any more."""
        worker = self.workers.get(partition)
        try:
            return None if worker is None else work(worker)
        except Superseded:
            self._superseded(partition)
            return None

    def check(self, partitions: Iterable[int]) -> None:
        """Drop the partitions that other workers have claimed, before anything is written."""
        for partition in partitions:
            claim = self._claims.get(partition)
            if claim is not None and not claim.is_ours():
                self._superseded(partition)

    def commit(self, write: Callable[[W], int]) -> None:
        """Let each worker write; `write` returns the offset below which everything is done."""
        done = {partition: self.with_worker(partition, write) for partition in list(self.workers)}
        self._consumer.commit({p: offset for p, offset in done.items() if offset is not None})

    def commit_everything(self) -> None:
        """Let each worker write and save all pending state."""
        self.commit(self._write_all)

    def resubscribe_if_contested(self) -> None:
        """Subscribe again if the journal assigns us partitions that another worker has claimed.

        That worker may have failed since, and then the partitions have no worker.
        """
        now = self._monotonic()
        if any(now - since > _CONTESTED for since in self._contested.values()):
            log.warning("subscribing again", contested=sorted(self._contested))
            self._contested.clear()
            self._consumer.subscribe(self)

    def _write_all(self, worker: W) -> int:
        now = self._clock()
        worker.flush(now, final=True)
        return worker.checkpoint(now, final=True)

    def _superseded(self, partition: int) -> None:
        """Another worker has claimed it; the journal will say so, or assigns it to us again."""
        self.lost(partition)
        self._contested[partition] = self._monotonic()

    def _drop(self, partition: int) -> bool:
        self._claims.pop(partition, None)
        return self.workers.pop(partition, None) is not None
