"""Puts the parts together: URL schemes to adapters, roles to tasks. The only place that knows all.

    lock the home ──> catalog ──> series ──> journal         stores, in the order of their need
          └──> intake, access, feed                          what sources share
                 └──> keeper thread                          policies at work
                        └──> HTTP, MQTT, brokers             doors open last, and close first

Adapters are imported when their URL asks for them: what is not used costs nothing.
"""

import asyncio
import fcntl
import os
import secrets
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import structlog

from lakebed import times
from lakebed.errors import Fatal, Problem, SettingsError, StoreUnavailable
from lakebed.policies.policy import Policy
from lakebed.ports import Catalog, Health, Identity, Journal, Series
from lakebed.settings import MqttSource, Settings

if TYPE_CHECKING:
    from lakebed.api.server import HttpServer
    from lakebed.keeper.keeper import Keeper
    from lakebed.sources.access import Access
    from lakebed.sources.feed import LiveFeed
    from lakebed.sources.intake import Intake
    from lakebed.sources.mqtt.client import MqttClient
    from lakebed.sources.mqtt.endpoint import MqttEndpoint

T = TypeVar("T")
log = structlog.get_logger(__name__)

ADMIN = "admin"
"""The owner that the first token belongs to."""

_STOP_KEEPER = 8.0  # seconds; the whole stop takes at most 10
_TRIM_EVERY = 5.0  # seconds


class _Door(Protocol):
    async def start(self) -> None: ...

    async def stop(self) -> None: ...


# --- stores ---------------------------------------------------------------------------------------


def _sqlite_journal(url: str, settings: Settings, begin: int) -> Journal:
    from lakebed.journal.sqlite import SqliteJournal

    path = settings.home / url.removeprefix("sqlite:")
    return SqliteJournal(path, settings.journal, begin=begin)


def _memory_journal(url: str, settings: Settings, begin: int) -> Journal:
    from lakebed.journal.memory import MemoryJournal

    return MemoryJournal(settings.journal)


def _sql_catalog(url: str, settings: Settings) -> Catalog:
    from lakebed.catalog.sql import open_catalog

    return open_catalog(url, settings.home)


def _clickhouse_series(url: str, settings: Settings) -> Series:
    from lakebed.series.clickhouse import open_series

    return open_series(url, settings.home)


JOURNALS = {"sqlite": _sqlite_journal, "memory": _memory_journal}
CATALOGS = {"sqlite": _sql_catalog, "postgresql": _sql_catalog}
SERIES = {
    "chdb": _clickhouse_series,
    "clickhouse": _clickhouse_series,
    "clickhouses": _clickhouse_series,
}


def open_journal(settings: Settings, begin: int = 0) -> Journal:
    """Open the journal; in a new one offsets begin at `begin`."""
    return _choose(JOURNALS, settings.journal.url, "journal")(settings.journal.url, settings, begin)


def open_catalog(settings: Settings) -> Catalog:
    return _choose(CATALOGS, settings.catalog.url, "catalog")(settings.catalog.url, settings)


def open_series(settings: Settings) -> Series:
    return _choose(SERIES, settings.series.url, "series")(settings.series.url, settings)


def _choose(adapters: Mapping[str, T], url: str, store: str) -> T:
    scheme = url.partition(":")[0]
    if scheme not in adapters:
        known = ", ".join(adapters)
        raise SettingsError(Problem(f"{store}.url", f"no {store} speaks {scheme!r}: use {known}"))
    return adapters[scheme]


# --- the node -------------------------------------------------------------------------------------


class Node:
    """One process of Lakebed.

    Use: `await start()`, then `await run_until_stopped()`, then `await stop()`, on one event loop.

    Attributes:
        settings, journal, catalog, series, intake, access, feed, keeper: its parts, once started.
    """

    journal: Journal
    catalog: Catalog
    series: Series
    intake: "Intake"
    access: "Access"
    feed: "LiveFeed"
    keeper: "Keeper"
    _http: "HttpServer"
    _mqtt: "MqttEndpoint"

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._stack = AsyncExitStack()
        self._failed: asyncio.Future[None]
        self._stop_asked = asyncio.Event()

    @property
    def http_url(self) -> str:
        return self._http.url

    @property
    def mqtt_address(self) -> tuple[str, int]:
        return self._mqtt.addresses[0]

    @property
    def admin_token(self) -> str:
        return _token_file(self.settings.home).read_text().strip()

    async def start(self) -> None:
        """Open everything; ready for messages when it returns.

        Raises:
            SettingsError, Fatal, StoreUnavailable: one line that says what is in the way.
        """
        from lakebed.api.server import listen

        times.check_clock(times.now())
        # a port that is taken is told at once, before the stores take their time to open
        listen(self.settings.http.listen, "http.listen").close()
        listen(self.settings.mqtt.listen, "mqtt.listen").close()
        self._failed = asyncio.get_running_loop().create_future()
        try:
            await self._open_stores()
            await self._open_middle()
            await self._open_doors()
        except BaseException:
            await self._stack.aclose()
            raise

    async def run_until_stopped(self) -> None:
        """Return when `request_stop` was called; raise what made a part fail."""
        stop = asyncio.create_task(self._stop_asked.wait())
        either: set[asyncio.Future[Any]] = {stop, self._failed}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
        if self._failed.done():
            self._failed.result()

    def request_stop(self) -> None:
        self._stop_asked.set()

    async def stop(self) -> None:
        """Close the doors, finish what was accepted, write what waits, let go of the home."""
        await self._stack.aclose()

    def fail(self, error: BaseException) -> None:
        """A part cannot go on without breaking a promise. Any thread."""
        self._failed.get_loop().call_soon_threadsafe(self._set_failed, error)

    def _set_failed(self, error: BaseException) -> None:
        if not self._failed.done():
            fatal = error if isinstance(error, Fatal) else Fatal(f"{type(error).__name__}: {error}")
            self._failed.set_exception(fatal)

    # --- opening, in order -----------------------------------------------------------------------

    async def _open_stores(self) -> None:
        home = self.settings.home
        self._stack.callback(os.close, _lock(home))
        self.catalog = await asyncio.to_thread(open_catalog, self.settings)
        self._stack.callback(self.catalog.close)
        _ensure_admin(self.catalog, home)
        self.series = await asyncio.to_thread(open_series, self.settings)
        self._stack.callback(self.series.close)
        self.journal = await asyncio.to_thread(open_journal, self.settings, _beyond(self.catalog))
        self._stack.callback(self.journal.close)

    async def _open_middle(self) -> None:
        from lakebed.keeper.keeper import Keeper
        from lakebed.sources.access import Access
        from lakebed.sources.feed import LiveFeed
        from lakebed.sources.intake import Intake

        self.keeper = Keeper(self.journal, self.series, self.catalog, self.settings, self.fail)
        self.keeper.start()
        self._stack.push_async_callback(asyncio.to_thread, self.keeper.stop, _STOP_KEEPER)
        self._task("trim", self._trim())
        self.access = Access(self.catalog)
        self.feed = LiveFeed(self.journal)
        self._stack.push_async_callback(self.feed.close)
        self.intake = Intake(self.journal, on_fatal=self.fail, room=self._room)
        await self.intake.start()
        self._stack.push_async_callback(self.intake.stop)

    async def _open_doors(self) -> None:
        from lakebed.api.app import create_app
        from lakebed.api.server import HttpServer
        from lakebed.api.services import Services
        from lakebed.sources.mqtt.endpoint import MqttEndpoint

        settings = self.settings
        self._brokers = [self._broker(source) for source in settings.sources]
        self._mqtt = MqttEndpoint(settings, self.intake, self.access, self.feed, self._known)
        services = Services(
            settings=settings,
            journal=self.journal,
            series=self.series,
            catalog=self.catalog,
            intake=self.intake,
            access=self.access,
            feed=self.feed,
            ready=self.health,
            preview=self._preview,
            policies_changed=self.keeper.policies_changed,
            metrics=(self._mqtt.stats.metrics,),
        )
        self._http = HttpServer(create_app(services), settings.http)
        doors: tuple[_Door, ...] = (self._mqtt, *self._brokers, self._http)
        for door in doors:
            await door.start()
            self._stack.push_async_callback(door.stop)

    def _broker(self, source: MqttSource) -> "MqttClient":
        from lakebed.sources.mqtt.client import MqttClient

        return MqttClient(
            source, self.intake, self._known, payload_maximum=self.settings.limits.payload
        )

    def health(self) -> dict[str, Health]:
        """How each part is, by name."""
        parts = {
            "journal": self.journal.health(),
            "catalog": self.catalog.health(),
            "series": self.series.health(),
            "intake": self.intake.health(),
            "keeper": self.keeper.health(),
        }
        # a broker that is away is told, but takes no healthy node out of its balancer
        sources = {f"source {b.name}": replace(b.health(), ok=True) for b in self._brokers}
        return parts | sources

    # --- tasks -----------------------------------------------------------------------------------

    def _task(self, name: str, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._task_ended)
        self._stack.callback(task.cancel)

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("task failed", task=task.get_name(), error=str(error))
            self.fail(error)

    async def _trim(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self.journal.trim)
            except StoreUnavailable as error:
                log.warning("journal not trimmed", error=str(error))
            await asyncio.sleep(_TRIM_EVERY)

    # --- what parts ask of others -----------------------------------------------------------------

    def _room(self) -> bool:
        """Whether the home's disk has room for more messages."""
        disk = os.statvfs(self.settings.home)
        return disk.f_bavail * disk.f_frsize >= self.settings.limits.disk_free

    async def _known(self, prefix: bytes) -> list[bytes]:
        return await asyncio.to_thread(self.journal.known, prefix)

    def _preview(self, policy: Policy) -> dict[str, Any]:
        from lakebed.keeper.preview import preview

        return preview(policy, self.journal, self.settings.limits.future).to_dict()


def _lock(home: Path) -> int:
    """Hold the home for this process; returns the descriptor that holds it."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(home / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise Fatal(f"the home {home} cannot be used: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise Fatal(f"another process holds the home {home}: stop it or choose --home") from None
    return descriptor


def _beyond(catalog: Catalog) -> int:
    """An offset that no checkpoint has reached: where a journal that was removed begins anew.

    Places and versions made of offsets must grow, whatever happened to the journal's file.
    """
    parts = catalog.checkpoints("keeper", 0).get(0, [])
    return max((part.offset for part in parts), default=0)


def _token_file(home: Path) -> Path:
    return home / "admin.token"


def _ensure_admin(catalog: Catalog, home: Path) -> None:
    """A first start makes the admin's token; a token file that was deleted is made anew."""
    path = _token_file(home)
    if path.is_file() and catalog.identify(path.read_text().strip()) is not None:
        return
    if any(i.owner == ADMIN and i.name == ADMIN for i in catalog.tokens()):
        catalog.revoke_token(ADMIN, ADMIN)
    token = secrets.token_urlsafe(32)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        os.fchmod(descriptor, 0o600)
        file.write(token + "\n")
        file.flush()
        os.fsync(descriptor)
    catalog.add_token(Identity(ADMIN, ADMIN, admin=True), token)
