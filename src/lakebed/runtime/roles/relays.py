"""What a process that runs relays adds: the consumer `relays`, in processes with the role `keeper`.

Relays read the series too, where they pass on windows, so they are at home beside the keeper. The
setting `relays.run` keeps them out of a process.
"""

import asyncio
from typing import TYPE_CHECKING

import structlog

from lakebed.runtime.contributions import Contribution
from lakebed.runtime.process import Process
from lakebed.vocabulary.errors import StoreUnavailable

if TYPE_CHECKING:
    from lakebed.relays.backfilling import Backfilling
    from lakebed.relays.service import Relays

log = structlog.get_logger(__name__)

_LOOK_EVERY = 1.0  # seconds between two looks whether there are relays
_STOP = 2.5  # seconds; the whole stop takes at most 10, and the keeper most of it


def open_relays(process: Process) -> Contribution:
    """Run relays in this process, unless the settings say otherwise."""
    if not process.settings.relays.run:
        return Contribution()
    from lakebed.relays.backfilling import Backfilling
    from lakebed.relays.opening import TargetOpener
    from lakebed.relays.service import Relays

    settings = process.settings
    relays = Relays(
        process.journal, process.series, process.catalog, settings.relays,
        TargetOpener(process.secrets, process.egress, process.relay_objects),
        settings.journal.id_horizon, settings.journal.commit_delay, process.fail,
        process.outgoing.add,
    )  # fmt: skip
    process.stack.push_async_callback(asyncio.to_thread, relays.stop, _STOP)

    backfilling = Backfilling(process.catalog, process.series)

    async def look() -> None:
        await _look(relays)

    async def read_backfills() -> None:
        await _read_backfills(backfilling)

    return Contribution(
        health={"relays": relays.health},
        metrics=(relays.times.metrics,),
        tasks={"relays": look, "backfills": read_backfills},
        quiesce=(relays.quiesce,),
    )


async def _look(relays: "Relays") -> None:
    while True:
        try:
            await asyncio.to_thread(relays.look)
        except StoreUnavailable as error:
            log.warning("relays not looked at", error=str(error))
        await asyncio.sleep(_LOOK_EVERY)


async def _read_backfills(backfilling: "Backfilling") -> None:
    while True:
        more = False
        try:
            more = await asyncio.to_thread(backfilling.step)
        except StoreUnavailable as error:
            log.warning("backfills wait", error=str(error))
        if not more:
            await asyncio.sleep(_LOOK_EVERY)
