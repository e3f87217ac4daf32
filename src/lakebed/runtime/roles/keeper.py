"""The keeper: reads its share of the journal and lets policies keep what they ask for.

journal ──partitions shared with other keepers──> policies ──> series, catalog

It also looks after the stores: the journal lets go of what all consumers are done with, dead
letters expire, and a series that is lost is put together again.
"""

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import structlog

from lakebed.ports.health import Health
from lakebed.ports.series import Series
from lakebed.runtime.contributions import Contribution
from lakebed.runtime.process import Process
from lakebed.runtime.roles.role import Role
from lakebed.vocabulary.errors import StoreUnavailable

if TYPE_CHECKING:
    from prometheus_client import Metric

    from lakebed.backup.loss import Loss
    from lakebed.backup.rebuilding import Rebuilding
    from lakebed.keeper.keeper import Keeper

log = structlog.get_logger(__name__)

_STOP = 7.0  # seconds; the whole stop takes at most 10
_TRIM_EVERY = 5.0  # seconds
_EXPIRE_EVERY = 60.0  # seconds between two looks at how old dead letters are


async def _open(process: Process, _: Contribution) -> Contribution:
    rebuild = None if process.lost is None else _rebuild(process, process.lost)
    keeper = _start(process)
    expire = partial(_expire, process)
    contribution = Contribution(
        health={"keeper": keeper.health},
        metrics=(partial(_metrics, keeper),),
        tasks={
            "trim": partial(_again, _TRIM_EVERY, "journal not trimmed", process.journal.trim),
            "expire": partial(_again, _EXPIRE_EVERY, "dead letters not looked through", expire),
        },
        policies_changed=(keeper.policies_changed,),
        erasure_asked=(keeper.erasure_asked,),
        quiesce=(keeper.quiesce,),
    )
    return contribution if rebuild is None else rebuild + contribution


def _start(process: Process) -> "Keeper":
    from lakebed.keeper.keeper import Keeper

    keeper = Keeper(
        process.journal, process.series, process.catalog, process.settings, process.fail
    )
    keeper.start()
    process.stack.push_async_callback(asyncio.to_thread, keeper.stop, _STOP)
    return keeper


def _rebuild(process: Process, lost: "Loss") -> Contribution:
    """Put a lost series together again beside the keeper's work."""
    from lakebed.backup import lineage, rebuilding

    stores = rebuilding.Stores(
        process.journal,
        process.series,
        process.catalog,
        process.settings,
        lineage.of_home(process.settings.home),
    )
    rebuild = rebuilding.Rebuilding(stores, lost)
    rebuild.start()
    process.stack.push_async_callback(asyncio.to_thread, rebuild.stop)
    return Contribution(
        health={"series": partial(_series_health, process.series, rebuild)},
        quiesce=(rebuild.complete,),
    )


def _series_health(series: Series, rebuild: "Rebuilding") -> Health:
    return rebuild.health(series.health())


def _metrics(keeper: "Keeper") -> Iterator["Metric"]:
    from prometheus_client.core import GaugeMetricFamily

    lag = GaugeMetricFamily(
        "lakebed_keeper_lag_messages",
        "Messages of a partition of this process that its keeper has not worked through.",
        labels=["partition"],
    )
    for partition, behind in sorted(keeper.lag().items()):
        lag.add_metric([str(partition)], behind)
    yield lag


def _expire(process: Process) -> int:
    from lakebed.keeper.stores import expire_letters

    return expire_letters(process.catalog, process.settings.dead_letters)


async def _again(seconds: float, failure: str, work: Callable[[], object]) -> None:
    """Do it now and then; a store that is away is asked again the next time."""
    while True:
        try:
            await asyncio.to_thread(work)
        except StoreUnavailable as error:
            log.warning(failure, error=str(error))
        await asyncio.sleep(seconds)


ROLE = Role(frozenset({"catalog", "series", "journal"}), _open, restores=True)
