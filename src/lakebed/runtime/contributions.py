"""What the roles of one process share, and where they put what they begin."""

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import structlog

from lakebed.ports import Catalog, Health, Journal, Series, TokenStore
from lakebed.runtime.settings import Settings
from lakebed.vocabulary.times import SECOND

if TYPE_CHECKING:
    from prometheus_client import Metric

    from lakebed.access.identification import Identification
    from lakebed.api.services import Common
    from lakebed.backup.loss import Loss
    from lakebed.backup.rebuilding import Rebuilding
    from lakebed.consuming.feed import LiveFeed
    from lakebed.ingest.intake import Intake
    from lakebed.keeper.keeper import Keeper
    from lakebed.sources.mqtt.server.endpoint import MqttEndpoint

log = structlog.get_logger(__name__)


class Door(Protocol):
    """Where something comes in from outside."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


@dataclass(slots=True, kw_only=True)
class Parts:
    """Made by the node with what every process has; roles add to it as they open.

    Attributes:
        alone: whether this process holds its home, and nobody else uses its stores.
        fail: a part cannot go on without breaking a promise. Any thread.
        stack: what to close at the end, the last first.
        health: how each part is, by name; asked by any thread.
        metrics: further ones for /metrics.
        doors: opened when all else works.
        lost: what of the series is lost, for the keeper to make good.
        serve: makes of what every process has what the API needs, in a process that has one.
        series, keeper, rebuilding, intake, mqtt: of the roles that have them.
    """

    settings: Settings
    alone: bool
    fail: Callable[[BaseException], None]
    catalog: Catalog
    journal: Journal
    tokens: TokenStore
    identification: "Identification"
    feed: "LiveFeed"
    stack: AsyncExitStack
    series: Series | None = None
    lost: "Loss | None" = None
    keeper: "Keeper | None" = None
    rebuilding: "Rebuilding | None" = None
    intake: "Intake | None" = None
    mqtt: "MqttEndpoint | None" = None
    health: dict[str, Callable[[], Health]] = field(default_factory=dict)
    metrics: list[Callable[[], Iterable["Metric"]]] = field(default_factory=list)
    doors: list[Door] = field(default_factory=list)
    serve: "Callable[[Common], Common] | None" = None

    def task(self, name: str, work: Coroutine[None, None, None]) -> None:
        """Let something run until the node stops; if it fails, the node does."""
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._task_ended)
        self.stack.callback(task.cancel)

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("task failed", task=task.get_name(), error=str(error))
            self.fail(error)

    async def open_intake(self) -> "Intake":
        """The way into the journal, one for all roles that write to it."""
        from lakebed.ingest.intake import Intake
        from lakebed.stores.opening import is_embedded

        if self.intake is None:
            room = self._room if is_embedded(self.settings.journal.url) else None
            self.intake = Intake(
                self.journal,
                on_fatal=self.fail,
                room=room,
                delay=self.settings.journal.commit_delay / SECOND,
            )
            await self.intake.start()
            self.stack.push_async_callback(self.intake.stop)
            self.health["intake"] = self.intake.health
        return self.intake

    def _room(self) -> bool:
        """Whether the home's disk has room for more messages."""
        disk = os.statvfs(self.settings.home)
        return disk.f_bavail * disk.f_frsize >= self.settings.limits.disk_free

    async def known(self, prefix: bytes) -> list[bytes]:
        """The journal's keys with a prefix, without holding up the loop."""
        return await asyncio.to_thread(self.journal.known, prefix)
