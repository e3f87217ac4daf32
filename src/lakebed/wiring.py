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
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import structlog

from lakebed import times
from lakebed.backup import lineage, restoring
from lakebed.errors import Fatal, Problem, SettingsError, StoreUnavailable
from lakebed.policies.policy import Policy
from lakebed.ports import Catalog, Health, Identity, Journal, Objects, Series
from lakebed.settings import MqttSource, Settings

if TYPE_CHECKING:
    from lakebed.api.server import HttpServer
    from lakebed.backup.loss import Loss
    from lakebed.backup.rebuilding import Rebuilding
    from lakebed.backup.taking import Stores as BackupStores
    from lakebed.keeper.keeper import Keeper
    from lakebed.keeper.rebuild import Checkpoints
    from lakebed.series.forgetting import Forgetting
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
_EXPIRE_EVERY = 60.0  # seconds between two looks at how old dead letters are


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


def _kafka_journal(url: str, settings: Settings, begin: int) -> Journal:
    try:
        from lakebed.journal.kafka.journal import KafkaJournal
    except ModuleNotFoundError as error:
        if error.name != "confluent_kafka":
            raise
        what = "kafka:// needs the package confluent-kafka: install lakebed[kafka]"
        raise SettingsError(Problem("journal.url", what)) from None
    return KafkaJournal(url, settings.journal, payload=settings.limits.payload)


def _sql_catalog(url: str, settings: Settings) -> Catalog:
    from lakebed.catalog.sql import open_catalog

    return open_catalog(url, settings.home)


def _clickhouse_series(url: str, settings: Settings, make: bool) -> Series:
    from lakebed.series.opening import open_series

    return open_series(url, settings.home, make)


JOURNALS = {"sqlite": _sqlite_journal, "memory": _memory_journal, "kafka": _kafka_journal}
CATALOGS = {"sqlite": _sql_catalog, "postgresql": _sql_catalog}
SERIES = {
    "chdb": _clickhouse_series,
    "clickhouse": _clickhouse_series,
    "clickhouses": _clickhouse_series,
}


def open_journal(settings: Settings, begin: int = 0) -> Journal:
    """Open the journal; in a new one that is ours alone offsets begin at `begin`."""
    return _choose(JOURNALS, settings.journal.url, "journal")(settings.journal.url, settings, begin)


def open_catalog(settings: Settings) -> Catalog:
    return _choose(CATALOGS, settings.catalog.url, "catalog")(settings.catalog.url, settings)


def open_series(settings: Settings, make: bool = True) -> Series:
    """Open the series; without `make` tables that are missing are left so."""
    return _choose(SERIES, settings.series.url, "series")(settings.series.url, settings, make)


def open_objects(url: str, *, make: bool = False) -> Objects:
    """Open a folder or an object store; `make` a folder that is missing."""
    from lakebed.objects.store import open_objects

    return open_objects(url, make=make)


def _backups_of(settings: Settings) -> Objects | None:
    """The place of this home's backups, where one is configured."""
    place = settings.backup.to
    if place is None:
        return None
    return open_objects(place if "://" in place else str(settings.home / place))


def _catalog_in(folder: Path) -> Catalog:
    from lakebed.catalog.sql import open_catalog

    return open_catalog("sqlite:catalog.db", folder)


def series_noticing(settings: Settings, checkpoints: "Checkpoints") -> tuple[Series, "Loss | None"]:
    """The series, and what of it is lost: the catalog's checkpoints say that there was one."""
    from lakebed.backup.loss import open_noticing

    url = settings.series.url
    folder = settings.home / url.partition(":")[2].removeprefix("//")
    return open_noticing(
        settings.home,
        folder if url.startswith("chdb:") else None,
        checkpoints,
        partial(open_series, settings),
    )


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
        """Until this is cancelled; raises what made a part fail."""
        await asyncio.wait({self._failed})
        self._failed.result()

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
        self._stack.callback(os.close, lock(home))
        check_whole(home)
        self.catalog = await asyncio.to_thread(open_catalog, self.settings)
        self._stack.callback(self.catalog.close)
        _ensure_admin(self.catalog, home)
        checkpoints = self.catalog.checkpoints("keeper")
        self.series, lost = await asyncio.to_thread(series_noticing, self.settings, checkpoints)
        self._stack.callback(self.series.close)
        self.journal = await asyncio.to_thread(open_journal, self.settings, beyond(self.catalog))
        self._stack.callback(self.journal.close)

        self.lineage = lineage.of_home(home)
        self._rebuilding = self._rebuild(lost) if lost is not None else None
        if self._rebuilding is not None:
            self._rebuilding.start()
            self._stack.push_async_callback(asyncio.to_thread, self._rebuilding.stop)

    def _rebuild(self, lost: "Loss") -> "Rebuilding":
        from lakebed.backup.rebuilding import Parts, Rebuilding

        parts = Parts(
            self.journal, self.series, self.catalog, self.settings, self.lineage,
            partial(_backups_of, self.settings), _catalog_in,
        )  # fmt: skip
        return Rebuilding(parts, lost)

    async def _open_middle(self) -> None:
        from lakebed.keeper.keeper import Keeper
        from lakebed.sources.access import Access
        from lakebed.sources.feed import LiveFeed
        from lakebed.sources.intake import Intake

        self.keeper = Keeper(self.journal, self.series, self.catalog, self.settings, self.fail)
        self.keeper.start()
        self._stack.push_async_callback(asyncio.to_thread, self.keeper.stop, _STOP_KEEPER)
        self._task("trim", self._trim())
        self._task("expire", self._expire())
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
        from lakebed.backup.service import Backups
        from lakebed.sources.mqtt.endpoint import MqttEndpoint

        settings = self.settings
        self._brokers = [self._broker(source) for source in settings.sources]
        self._mqtt = MqttEndpoint(settings, self.intake, self.access, self.feed, self._known)
        self._backups = Backups(self._backed_up(), partial(open_objects, make=True))
        self._stack.push_async_callback(asyncio.to_thread, self._backups.close)
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
            forget=self._forget,
            policies_changed=self.keeper.policies_changed,
            backups=self._backups,
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

    def _backed_up(self) -> "BackupStores":
        from lakebed.backup.taking import Stores

        return Stores(
            self.catalog,
            self.journal,
            self.series,
            self.lineage,
            self.settings.home,
            self._still,
        )

    @contextmanager
    def _still(self) -> Iterator[None]:
        """For a backup: nothing is written inside, and everything is there."""
        if self._rebuilding is not None and not self._rebuilding.done:
            raise StoreUnavailable("the series is being rebuilt: try again when that is done")
        with self.keeper.still():
            yield

    def health(self) -> dict[str, Health]:
        """How each part is, by name."""
        series = self.series.health()
        if self._rebuilding is not None:
            series = self._rebuilding.health(series)
        parts = {
            "journal": self.journal.health(),
            "catalog": self.catalog.health(),
            "series": series,
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

    async def _expire(self) -> None:
        from lakebed.keeper.stores import expire_letters

        while True:
            try:
                await asyncio.to_thread(expire_letters, self.catalog, self.settings.dead_letters)
            except StoreUnavailable as error:
                log.warning("dead letters not looked through", error=str(error))
            await asyncio.sleep(_EXPIRE_EVERY)

    # --- what parts ask of others -----------------------------------------------------------------

    def _room(self) -> bool:
        """Whether the home's disk has room for more messages."""
        disk = os.statvfs(self.settings.home)
        return disk.f_bavail * disk.f_frsize >= self.settings.limits.disk_free

    async def _known(self, prefix: bytes) -> list[bytes]:
        return await asyncio.to_thread(self.journal.known, prefix)

    def _forget(self, wanted: "Forgetting") -> int:
        from lakebed.series.forgetting import forget

        places, last = self.keeper.forget(wanted)
        return last + forget(self.series, wanted, places)

    def _preview(self, policy: Policy) -> dict[str, Any]:
        from lakebed.keeper.preview import preview

        horizon = self.settings.journal.id_horizon
        found = preview(policy, self.journal, self.settings.limits.future, horizon=horizon)
        return found.to_dict()


def lock(home: Path) -> int:
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


def check_whole(home: Path) -> None:
    """Raises `Fatal` where stores were being exchanged when something went wrong."""
    if (home / restoring.MARK).exists():
        raise Fatal(f"a restore to {home} was interrupted: run `lakebed restore --replace` again")


def beyond(catalog: Catalog) -> int:
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
