"""One process of Lakebed: it opens the stores that its roles need, then the roles, then the doors.

clock, addresses ──> home ──> catalog ──> series ──> journal     in the order of their need
                        └──> identification, feed            what all roles share
                               └──> keeper ──> gateway ──> api   those it has
                                      └──> MQTT, brokers, HTTP   doors open last, close first
"""

import asyncio
import os
from collections.abc import Collection, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from lakebed.migration import mark
from lakebed.ports import Catalog, Health, Series
from lakebed.runtime import sharing
from lakebed.runtime.contributions import Door, Parts
from lakebed.runtime.roles import ALL, ROLES, opened
from lakebed.runtime.settings import Settings
from lakebed.stores import home as homes
from lakebed.stores import opening
from lakebed.vocabulary import times
from lakebed.vocabulary.errors import Fatal

if TYPE_CHECKING:
    from lakebed.api.services import Common
    from lakebed.backup.loss import Loss
    from lakebed.sources.http.server import HttpServer


class Node:
    """Use: `await start()`, then `await run_until_stopped()`, then `await stop()`, on one event
    loop.

    Args:
        roles: names of `ROLES`.
        alone: whether nobody else uses these stores; the home is locked then. An embedded store
            makes it so.

    Attributes:
        parts: what it is made of, once started.
    """

    parts: Parts
    _http: "HttpServer"

    def __init__(
        self, settings: Settings, roles: Collection[str] = ALL, *, alone: bool = True
    ) -> None:
        self.settings = settings
        self.roles = [role for role in ROLES if role in roles]
        self._alone = alone or bool(sharing.embedded(settings, roles))
        self._stack = AsyncExitStack()
        self._failed: asyncio.Future[None]

    @property
    def http_url(self) -> str:
        return self._http.url

    @property
    def mqtt_address(self) -> tuple[str, int] | None:
        """None where devices cannot connect: it is no gateway."""
        return None if self.parts.mqtt is None else self.parts.mqtt.addresses[0]

    @property
    def alone(self) -> bool:
        """Whether this process holds its home."""
        return self._alone

    async def start(self) -> None:
        """Open everything; ready for messages when it returns.

        Raises:
            SettingsError, Fatal, StoreUnavailable: one line that says what is in the way.
        """
        sharing.check(self.settings, self.roles)
        times.check_clock(times.now())
        self._try_addresses()
        self._failed = asyncio.get_running_loop().create_future()
        try:
            await self._open_stores()
            for role in self.roles:
                await ROLES[role].open(self.parts)
            await self._open_doors()
        except BaseException:
            await self._stack.aclose()
            raise

    async def run_until_stopped(self) -> None:
        """Until this is cancelled; raises what made a part fail."""
        await asyncio.wait({self._failed})
        self._failed.result()

    async def stop(self) -> None:
        """Close the doors, finish what was accepted, write what waits, let go of the stores."""
        await self._stack.aclose()

    def health(self) -> dict[str, Health]:
        """How each part is, by name."""
        return {name: ask() for name, ask in self.parts.health.items()}

    def fail(self, error: BaseException) -> None:
        """A part cannot go on without breaking a promise. Any thread."""
        self._failed.get_loop().call_soon_threadsafe(self._set_failed, error)

    def _set_failed(self, error: BaseException) -> None:
        if not self._failed.done():
            fatal = error if isinstance(error, Fatal) else Fatal(f"{type(error).__name__}: {error}")
            self._failed.set_exception(fatal)

    # --- opening, in order -----------------------------------------------------------------------

    def _try_addresses(self) -> None:
        """A port that is taken is told at once, before the stores take their time to open."""
        from lakebed.sources.http.server import listen

        listen(self.settings.http.listen, "http.listen").close()
        for role in self.roles:
            for address, setting in ROLES[role].listens(self.settings):
                listen(address, setting).close()

    async def _open_stores(self) -> None:
        from lakebed.access.identification import Identification
        from lakebed.consuming.feed import LiveFeed

        if self._alone:
            self._stack.callback(os.close, homes.lock(self.settings.home))
            homes.check_whole(self.settings.home)
        mark.check_here(self.settings)
        catalog = await asyncio.to_thread(opening.open_catalog, self.settings)
        self._stack.callback(catalog.close)
        await asyncio.to_thread(mark.check_finished, catalog)
        series, lost = await self._open_series(catalog)
        journal = await asyncio.to_thread(opening.open_journal, self.settings, catalog)
        self._stack.callback(journal.close)
        feed = LiveFeed(journal)
        self._stack.push_async_callback(feed.close)
        self.parts = Parts(
            settings=self.settings,
            alone=self._alone,
            fail=self.fail,
            catalog=catalog,
            series=series,
            lost=lost,
            journal=journal,
            tokens=catalog,
            identification=Identification(catalog),
            feed=feed,
            stack=self._stack,
        )
        self.parts.health["journal"] = journal.health
        self.parts.health["catalog"] = catalog.health
        if series is not None:
            self.parts.health["series"] = series.health

    async def _open_series(self, catalog: Catalog) -> "tuple[Series | None, Loss | None]":
        if "series" not in opened(self.roles):
            return None, None
        checkpoints = await asyncio.to_thread(catalog.checkpoints, "keeper")
        if "keeper" in self.roles:
            from lakebed.backup import loss

            noticing = loss.open_noticing
            series, lost = await asyncio.to_thread(noticing, self.settings, checkpoints)
        else:
            # tables that are gone are for a keeper to notice, who also fills them again
            make = not checkpoints
            series = await asyncio.to_thread(opening.open_series, self.settings, make)
            lost = None
        self._stack.callback(series.close)
        return series, lost

    async def _open_doors(self) -> None:
        from lakebed.api.app import create_app, create_front
        from lakebed.api.services import Services
        from lakebed.sources.http.server import HttpServer

        common = self._common()
        given = common if self.parts.serve is None else self.parts.serve(common)
        app = create_app(given) if isinstance(given, Services) else create_front(given)
        self._http = HttpServer(app, self.settings.http)
        opened: list[Door] = []
        self._stack.push_async_callback(_close, opened)
        for door in (*self.parts.doors, self._http):
            opened.append(door)
            await door.start()

    def _common(self) -> "Common":
        from lakebed.api.services import Common

        gateway = "gateway" in self.roles
        return Common(
            settings=self.settings,
            identification=self.parts.identification,
            ready=self.health,
            intake=self.parts.intake if gateway else None,
            metrics=tuple(self.parts.metrics),
        )


async def _close(doors: Sequence[Door]) -> None:
    """All at once: each takes seconds for what is under way, and the whole stop has but ten."""
    ended = await asyncio.gather(*(door.stop() for door in doors), return_exceptions=True)
    for error in ended:
        if isinstance(error, BaseException):
            raise error
