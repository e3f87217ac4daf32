"""What every process has, whatever its roles are: settings, stores, who asks, the live feed."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakebed.ports.catalog.catalog import Catalog
from lakebed.ports.health import Health
from lakebed.ports.journal.journal import Journal
from lakebed.ports.series import Series
from lakebed.ports.tokens import TokenStore
from lakebed.runtime.settings import Settings

if TYPE_CHECKING:
    from lakebed.access.identification import Identification
    from lakebed.backup.loss import Loss
    from lakebed.consuming.feed import LiveFeed
    from lakebed.ingest.intake import Intake


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """What a role is opened on.

    Attributes:
        alone: whether this process holds its home, and nobody else uses its stores.
        fail: a part cannot go on without breaking a promise. Any thread.
        ready: how each part of the process is, by name. Any thread.
        stack: what to close at the end, the last first.
        lost: what of the series is lost, for who makes it good.
    """

    settings: Settings
    alone: bool
    fail: Callable[[BaseException], None]
    ready: Callable[[], dict[str, Health]]
    stack: AsyncExitStack
    catalog: Catalog
    tokens: TokenStore
    journal: Journal
    identification: "Identification"
    feed: "LiveFeed"
    opened_series: Series | None = None
    opened_intake: "Intake | None" = None
    lost: "Loss | None" = None

    @property
    def series(self) -> Series:
        """In a process with a role that asks for it."""
        assert self.opened_series is not None
        return self.opened_series

    @property
    def intake(self) -> "Intake":
        """In a process with a role that asks for it: one for all that write to the journal."""
        assert self.opened_intake is not None
        return self.opened_intake

    async def known(self, prefix: bytes) -> list[bytes]:
        """The journal's keys with a prefix, without holding up the loop."""
        return await asyncio.to_thread(self.journal.known, prefix)
