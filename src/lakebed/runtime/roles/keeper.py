"""The role `keeper`: reads its partitions of the journal and applies policies to them.

journal ──partitions shared with other keepers──> policies ──> series, catalog

It also maintains the stores: it trims the journal, expires dead letters, measures what is stored,
merges old hours of the byte ledger and lets them expire, and rebuilds a series that is lost.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from functools import partial
from math import inf
from typing import TYPE_CHECKING

import structlog

from lakebed.ports.journal.journal import Journal
from lakebed.ports.metrics import CounterMetric, GaugeMetric, Sample
from lakebed.runtime.contributions import Contribution
from lakebed.runtime.process import Process
from lakebed.runtime.roles.relays import open_relays
from lakebed.runtime.roles.role import Role
from lakebed.vocabulary.errors import StoreDamaged, StoreUnavailable
from lakebed.vocabulary.times import HOUR, SECOND, Micros, now

if TYPE_CHECKING:
    from lakebed.backup.rebuilding import Rebuilding
    from lakebed.keeper.keeper import Keeper

LAG = GaugeMetric(
    "lakebed_keeper_lag_messages",
    "Messages of a partition of this process that its keeper has not processed.",
    ("partition",),
)
REPORTS_REFUSED = CounterMetric(
    "lakebed_unit_reports_refused_total",
    "Reports of units, or entries of them, that could not be kept.",
    ("kind", "reason"),
)
FILLS = GaugeMetric(
    "lakebed_fills", "Fills of policies at work, each counted in each partition of this process."
)
FILL_MESSAGES = CounterMetric(
    "lakebed_fill_messages_total",
    "Messages of the journal's past that this process has read to fill policies.",
)
LEDGER_ROWS = GaugeMetric(
    "lakebed_ledger_rows", "Rows of the byte ledger that are still counted in."
)
LEDGER_REST = CounterMetric(
    "lakebed_ledger_rest_messages_total",
    "Messages counted together in the byte ledger, without their topics.",
)

log = structlog.get_logger(__name__)

_STOP = 7.0  # seconds; the whole stop takes at most 10
_TRIM_EVERY = 5.0  # seconds
_TRIM_SELDOM = 60.0  # seconds between two trims, at most, while the journal has plenty of room
_ENOUGH_ROOM = 0.25  # part of the journal's limit below which there is plenty of room
_DAMAGE_EVERY = 1.0  # seconds between two checks for detached parts
_INDEX_EVERY = 2.0  # seconds between two looks at which fields policies index
_EXPIRE_EVERY = 60.0  # seconds between two checks of how old dead letters are


async def _open(process: Process, _: Contribution) -> Contribution:
    rebuild = _rebuild(process)
    keeper = _start(process)
    kept = partial(_needed_from, process)
    span = process.settings.journal.span
    expire = partial(_expire, process)
    return Contribution(
        health={"keeper": keeper.health},
        metrics=(partial(_metrics, keeper), keeper.timing.metrics),
        tasks={
            "trim": partial(
                _repeat, _TRIM_EVERY, "journal not trimmed", trimming(process.journal, span, kept)
            ),
            "expire": partial(_repeat, _EXPIRE_EVERY, "dead letters not looked through", expire),
            "ledger": partial(
                _repeat, _EXPIRE_EVERY, "byte ledger not maintained", _accounting(process)
            ),
            "indexes": partial(_repeat, _INDEX_EVERY, "fields not indexed", _indexing(process)),
            "damage": partial(
                _repeat, _DAMAGE_EVERY, "damage not recorded", _recording(process, rebuild)
            ),
        },
        policies_changed=(keeper.policies_changed,),
        erasure_asked=(keeper.erasure_asked,),
        quiesce=(rebuild.complete, keeper.quiesce),
    ) + open_relays(process)


def _needed_from(process: Process) -> int | None:
    """The offset from which on a rebuild or a fill, in this process or another, needs the journal.

    A rebuild needs all of it, or will as soon as a keeper starts. None: nothing needs it.
    """
    from lakebed.backup.loss import is_unfinished
    from lakebed.keeper.fill_state import needed_from

    if is_unfinished(process.catalog):
        return 0
    if not process.alone:  # else tables are in its home, and it looked when it started
        try:
            if process.series.missing().tables:
                return 0
        except StoreUnavailable:
            return 0  # it is unknown
    return needed_from(process.catalog, process.catalog.fill_orders())


def _start(process: Process) -> "Keeper":
    from lakebed.keeper.keeper import Keeper

    keeper = Keeper(
        process.journal,
        process.series,
        process.catalog,
        process.settings,
        process.fail,
        tracer=process.tracer,
    )
    keeper.start()
    process.stack.push_async_callback(asyncio.to_thread, keeper.stop, _STOP)
    return keeper


def _rebuild(process: Process) -> "Rebuilding":
    """Rebuild a lost series beside the keeper's work, whichever process detects the loss."""
    from lakebed.backup import lineage, loss, rebuilding

    stores = rebuilding.Stores(
        process.journal,
        process.series,
        process.catalog,
        process.settings,
        partial(lineage.of_home, process.settings.home),
    )
    rebuild = rebuilding.Rebuilding(stores, alone=process.alone)
    if not process.alone or loss.is_unfinished(process.catalog):
        rebuild.start()
    process.stack.push_async_callback(asyncio.to_thread, rebuild.stop)
    return rebuild


def _recording(process: Process, rebuild: "Rebuilding") -> Callable[[], None]:
    """Return a function that starts a rebuild of parts that the series has detached as damaged."""
    recorded = process.series.damages

    def record() -> None:
        nonlocal recorded
        found = process.series.damages
        if found == recorded:
            return
        from lakebed.backup.loss import record_damage

        record_damage(process.series, process.catalog)
        rebuild.start()
        recorded = found

    return record


def _indexing(process: Process) -> Callable[[], None]:
    from lakebed.keeper.indexing import Indexing

    return Indexing(process.series, process.catalog).look


def _metrics(keeper: "Keeper") -> Iterator[Sample]:
    for partition, behind in sorted(keeper.lag().items()):
        yield LAG(behind, partition)
    for (kind, reason), count in sorted(keeper.refused_reports.items()):
        yield REPORTS_REFUSED(count, kind, reason)
    yield FILLS(keeper.fills)
    yield FILL_MESSAGES(keeper.filled)
    yield LEDGER_ROWS(keeper.meter_rows)
    yield LEDGER_REST(keeper.meter_rest)


def trimming(
    journal: Journal, span: Micros, kept: Callable[[], int | None] = lambda: None
) -> Callable[[], None]:
    """Return a function that trims, but rarely while there is enough room, to spare the disk.

    Args:
        span: how long messages stay at least.
        kept: returns the offset from which on the journal is needed besides; None if it is not.
    """
    pinned: int | None = None
    release: Callable[[], None] = lambda: None  # noqa: E731 - there is no pin to remove
    spared = min(_TRIM_SELDOM, span / SECOND / 60)
    last = -inf

    def trim() -> None:
        nonlocal last, pinned, release
        if (needed := kept()) != pinned:
            former, pinned = release, needed
            release = (lambda: None) if needed is None else journal.pin(needed)
            former()
        at, pressure = time.monotonic(), journal.pressure()
        plenty = pressure is not None and pressure.by == "bytes" and pressure.full < _ENOUGH_ROOM
        if not plenty or at - last >= spared:
            last = at
            journal.trim()

    return trim


def _expire(process: Process) -> int:
    from lakebed.keeper.stores import expire_letters

    settings = process.settings
    process.accounts.expire_unit_logs(now() - settings.units.log_for)
    return expire_letters(process.catalog, settings.dead_letters, process.journal.time())


def _accounting(process: Process) -> Callable[[], None]:
    """Return a function that once an hour measures what is stored, and lets old hours expire.

    Not at the first call: a server that has just started has other work. What is to be merged is
    merged day by day, one at each call.
    """
    from lakebed.metering.merging import Merging

    ledger = process.settings.ledger
    merging = Merging(process.catalog, ledger.hours)
    done: int | None = None  # the hour that was measured last

    def account() -> None:
        nonlocal done
        at = now()
        if done is not None and done != at // HOUR:
            if ledger.stored:
                _measure(process, at)
            process.catalog.expire_ledger(at - ledger.keep)
            merging.look()
            done = at // HOUR
        elif done is None:
            done = 0
        else:
            # hours are not old because a clock is ahead
            merging.merge_one(min(at, process.journal.time()))

    return account


def _measure(process: Process, at: Micros) -> None:
    from lakebed.keeper.sampling import sample

    try:
        sample(process.series, process.catalog, at)
    except StoreDamaged as error:
        log.warning("what is stored was not measured", error=str(error))


async def _repeat(seconds: float, failure: str, work: Callable[[], object]) -> None:
    """Call `work` every so many seconds; log `failure` where a store does not answer."""
    while True:
        try:
            await asyncio.to_thread(work)
        except StoreUnavailable as error:
            log.warning(failure, error=str(error))
        await asyncio.sleep(seconds)


ROLE = Role(frozenset({"catalog", "series", "journal"}), _open, restores=True)
