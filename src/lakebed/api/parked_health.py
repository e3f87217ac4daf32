"""Tells of parked messages that expire soon, or have expired, before somebody looks for them."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from lakebed.keeper.parking import load, outlook
from lakebed.ports.catalog.checkpoints import CheckpointReader
from lakebed.ports.health import Health
from lakebed.ports.metrics import GaugeMetric
from lakebed.vocabulary.errors import Unavailable
from lakebed.vocabulary.times import Micros, format_duration, now

EXPIRING = GaugeMetric(
    "lakebed_parked_expiring_messages",
    "Parked messages that expire within a tenth of the time that they are kept for.",
)

_EVERY = 10.0  # seconds between two looks


class ParkedHealth:
    """The health check tells what `look` saw last; it asks no store, and may be used anywhere."""

    def __init__(
        self,
        catalog: CheckpointReader,
        parked_for: Micros,
        wall: Callable[[], Micros] = now,
    ) -> None:
        self._catalog, self._parked_for, self._wall = catalog, parked_for, wall
        self._found = Health(True)

    def health(self) -> Health:
        """Ready whatever is parked: only policies miss it."""
        return self._found

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            with suppress(Unavailable):  # the catalog's own health says so
                await asyncio.to_thread(self.look)
            await asyncio.sleep(_EVERY)

    def look(self) -> None:
        """Read what is parked. Blocks."""
        found = outlook(load(self._catalog), self._wall(), self._parked_for)
        said = []
        if found.expired:
            said.append(f"{found.expired} parked messages have expired, and cannot be released")
        if found.expiring:
            soon = format_duration(self._parked_for // 10)
            said.append(f"{found.expiring} parked messages expire within {soon}")
        samples = (EXPIRING(found.expiring),)
        self._found = Health(True, "; ".join(said), found._asdict(), samples)
