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

from lakebed.ports import Health, Series
from lakebed.runtime.contributions import Parts
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


async def _open(parts: Parts) -> None:
    from lakebed.keeper.keeper import Keeper

    assert parts.series is not None
    if parts.lost is not None:
        _rebuild(parts, parts.series, parts.lost)
    keeper = Keeper(parts.journal, parts.series, parts.catalog, parts.settings, parts.fail)
    keeper.start()
    parts.stack.push_async_callback(asyncio.to_thread, keeper.stop, _STOP)
    parts.keeper = keeper
    parts.health["keeper"] = keeper.health
    parts.metrics.append(partial(_metrics, keeper))
    parts.task("trim", _again(_TRIM_EVERY, "journal not trimmed", parts.journal.trim))
    expire = partial(_expire, parts)
    parts.task("expire", _again(_EXPIRE_EVERY, "dead letters not looked through", expire))


def _rebuild(parts: Parts, series: Series, lost: "Loss") -> None:
    from lakebed.backup import lineage, rebuilding

    work = rebuilding.Parts(
        parts.journal,
        series,
        parts.catalog,
        parts.settings,
        lineage.of_home(parts.settings.home),
    )
    parts.rebuilding = rebuilding.Rebuilding(work, lost)
    parts.rebuilding.start()
    parts.stack.push_async_callback(asyncio.to_thread, parts.rebuilding.stop)
    parts.health["series"] = partial(_series_health, series, parts.rebuilding)


def _series_health(series: Series, rebuilding: "Rebuilding") -> Health:
    return rebuilding.health(series.health())


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


def _expire(parts: Parts) -> int:
    from lakebed.keeper.stores import expire_letters

    return expire_letters(parts.catalog, parts.settings.dead_letters)


async def _again(seconds: float, failure: str, work: Callable[[], object]) -> None:
    """Do it now and then; a store that is away is asked again the next time."""
    while True:
        try:
            await asyncio.to_thread(work)
        except StoreUnavailable as error:
            log.warning(failure, error=str(error))
        await asyncio.sleep(seconds)


ROLE = Role(frozenset({"catalog", "series", "journal"}), _open)
