"""A keeper's shard by itself, as after a start or a crash."""

import time
from collections.abc import Callable
from typing import Any

from lakebed.consuming.checkpoints import PartitionCheckpoints
from lakebed.consuming.retry import Retry
from lakebed.keeper.ledger import CONSUMER
from lakebed.keeper.settings import KeeperSettings
from lakebed.keeper.shard import Shard
from lakebed.keeper.stores import Stores
from lakebed.ports.catalog.catalog import Catalog
from lakebed.ports.journal.journal import Journal


def claimed_shard(
    catalog: Catalog,
    series: Any,
    journal: Journal,
    settings: KeeperSettings,
    *,
    partition: int = 0,
    end: int | None = None,
    retry: Retry | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> Shard:
    """Claim a partition and go on from its last checkpoint.

    Args:
        series: where rows are inserted; the rest of the port may be missing.
        end: below which an earlier run may have written; None for the journal's.
    """
    retry = retry or Retry()
    checkpoints = PartitionCheckpoints(catalog, retry, CONSUMER, partition)
    checkpoints.claim()
    if end is None:
        end = journal.extent()[partition][1]
    stores = Stores(series, catalog, retry)
    shard = Shard(partition, end, journal, checkpoints, stores, catalog, settings, monotonic)
    shard.load()
    return shard
