"""The role `keeper`: reads its partitions of the journal and applies policies to them.

journal ──partitions shared with other keepers──> policies ──> series, catalog

It also maintains the stores: it trims the journal, expires dead letters, and rebuilds a series that
is lost.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from functools import partial
from math import inf
from typing import TYPE_CHECKING

import structlog

from lakebed.ports.health import Health
from lakebed.ports.journal.journal import Journal
from lakebed.ports.series import Series
from lakebed.runtime.contributions import Contribution
from lakebed.runtime.process import Process
from lakebed.runtime.roles.role import Role
from lakebed.vocabulary.errors import StoreUnavailable
from lakebed.vocabulary.times import SECOND, Micros

if TYPE_CHECKING:
    from prometheus_client import Metric

    from lakebed.backup.loss import Loss
    from lakebed.backup.rebuilding import Rebuilding
    from lakebed.keeper.keeper import Keeper

log = structlog.get_logger(__name__)

_STOP = 7.0  # seconds; the whole stop takes at most 10
_TRIM_EVERY = 5.0  # seconds
_TRIM_SPARED = 60.0  # seconds between two trims, at most, while the journal has plenty of room
_PLENTY = 0.25  # part of the journal's limit below which there is plenty of room
_EXPIRE_EVERY = 60.0  # seconds between two checks of how old dead letters are


async def _open(process: Process, _: Contribution) -> Contribution:
    rebuild = None if process.lost is None else _rebuild(process, process.lost)
    keeper = _start(process)
    span = process.settings.journal.span
    expire = partial(_expire, process)
    contribution = Contribution(
        health={"keeper": keeper.health},
        metrics=(partial(_metrics, keeper),),
        tasks={
            "trim": partial(
                _repeat, _TRIM_EVERY, "journal not trimmed", trimming(process.journal, span)
            ),
            "expire": partial(_repeat, _EXPIRE_EVERY, "dead letters not looked through", expire),
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
    """Start to rebuild a lost series, while the keeper works."""
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


def trimming(journal: Journal, span: Micros) -> Callable[[], None]:
    """Return a function that trims, but seldom while there is plenty of room, to spare the disk.

    Args:
        span: how long messages stay at least.
    """
    spared = min(_TRIM_SPARED, span / SECOND / 60)
    last = -inf

    def trim() -> None:
        nonlocal last
        at, pressure = time.monotonic(), journal.pressure()
        plenty = pressure is not None and pressure.by == "bytes" and pressure.full < _PLENTY
        if not plenty or at - last >= spared:
            last = at
            journal.trim()

    return trim


def _expire(process: Process) -> int:
    from lakebed.keeper.stores import expire_letters

    return expire_letters(process.catalog, process.settings.dead_letters, process.journal.time())


async def _repeat(seconds: float, failure: str, work: Callable[[], object]) -> None:
    """Call `work` every so many seconds; log `failure` where a store does not answer."""
    while True:
        try:
            await asyncio.to_thread(work)
        except StoreUnavailable as error:
            log.warning(failure, error=str(error))
        await asyncio.sleep(seconds)


ROLE = Role(frozenset({"catalog", "series", "journal"}), _open, restores=True)
