"""A process of Lakebed: opens the stores that its roles need, then the roles, then the doors.

clock, addresses ──> home ──> catalog ──> series ──> journal     stores, as far as needed
                        └──> identification, feed                shared by all roles
                               └──> keeper ──> gateway ──> api   the roles of this process
                                      └──> MQTT, brokers, HTTP   doors: opened last, closed first
"""

import asyncio
import os
from collections.abc import Callable, Collection, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import structlog

from lakebed.migration import mark
from lakebed.ports.catalog.catalog import Catalog
from lakebed.ports.health import Health
from lakebed.ports.metrics import CounterMetric, GaugeMetric, Sample, measured
from lakebed.ports.series import Series
from lakebed.runtime import room, sharing
from lakebed.runtime.contributions import Address, Contribution, Door
from lakebed.runtime.health_timeout import with_timeout
from lakebed.runtime.process import Process
from lakebed.runtime.roles import ROLES, opened
from lakebed.runtime.room import WaitingForRoom
from lakebed.runtime.settings import Settings
from lakebed.stores import home as homes
from lakebed.stores import opening
from lakebed.system.descriptors import Descriptors
from lakebed.system.disk import FEW_FILES, few_files, room_at
from lakebed.vocabulary import times
from lakebed.vocabulary.errors import Fatal, StoreUnavailable
from lakebed.vocabulary.times import SECOND

if TYPE_CHECKING:
    from lakebed.limits.book import LimitBook
    from lakebed.limits.reports import ClusterReports
    from lakebed.metering.outgoing import OutgoingMeter
    from lakebed.sources.http.server import Application, HttpServer

SENT = CounterMetric(
    "lakebed_sent_messages_total", "Messages and records sent to readers.", ("way",)
)
SENT_BYTES = CounterMetric("lakebed_sent_bytes_total", "Bytes sent to readers.", ("way",))
_DISK = {
    "free": GaugeMetric("lakebed_disk_free_bytes", "Free bytes on the disk of the home."),
    "files": GaugeMetric("lakebed_disk_free_files", "Files that can still be made on that disk."),
}

log = structlog.get_logger(__name__)


class Node:
    """Runs one process on one event loop: `start()`, then `run_until_stopped()`, then `stop()`.

    Args:
        roles: names of `ROLES`.
        alone: whether no other process uses these stores; the home is then locked. With an embedded
            store this is always so.
        on_locked: called when this process holds the home, before its stores are opened.

    Attributes:
        process: the stores and services that roles use, once started.
        contributed: the sum of what stores and roles have added so far.
    """

    process: Process
    _http: "HttpServer"

    def __init__(
        self,
        settings: Settings,
        roles: Collection[str] = ROLES,
        *,
        alone: bool = True,
        on_locked: Callable[[], None] = lambda: None,
    ) -> None:
        self.settings = settings
        self.roles = {name: role for name, role in ROLES.items() if name in roles}
        self.contributed = Contribution()
        self._on_locked = on_locked
        self._lock: int | None = None  # the descriptor that has the home's lock
        self._alone = alone or bool(sharing.embedded(settings, roles))
        self._stack = AsyncExitStack()
        self._failed: asyncio.Future[None]

    @property
    def http_url(self) -> str:
        return self._http.url

    @property
    def mqtt_address(self) -> Address | None:
        """Where devices connect; None in a process that is no gateway."""
        addresses = self.contributed.addresses.get("mqtt")
        return None if addresses is None else addresses()[0]

    @property
    def alone(self) -> bool:
        """Whether this process has locked its home."""
        return self._alone

    async def start(self) -> None:
        """Open stores, roles and doors, in this order.

        Raises:
            SettingsError, Fatal, StoreUnavailable: one line that says what is wrong.
        """
        sharing.check(self.settings, self.roles)
        times.check_clock(times.now())
        self._try_addresses()
        self._failed = asyncio.get_running_loop().create_future()
        waiting = WaitingForRoom(self.settings)
        try:
            while (error := await self._open(waiting)) is not None:
                await waiting.wait(error)
        except BaseException:
            self._unlock_home()
            raise
        finally:
            await waiting.close()

    async def _open(self, waiting: WaitingForRoom) -> Exception | None:
        """Open everything, or nothing; the error is returned where the disk wants room."""
        try:
            await self._open_stores()
            await self._open_roles()
            await waiting.close()  # it has the port of HTTP
            await self._open_doors()
        except BaseException as error:
            await self._stack.aclose()
            self.contributed = Contribution()
            if isinstance(error, Exception) and room.is_wanting(error, self.settings.home):
                return error
            raise
        return None

    async def run_until_stopped(self) -> None:
        """Wait until cancelled; raise the error of a part that failed."""
        await asyncio.wait({self._failed})
        self._failed.result()

    async def stop(self) -> None:
        """Close the doors, make accepted messages durable, write waiting rows, close the stores."""
        try:
            await self._stack.aclose()
        finally:
            self._unlock_home()

    def health(self) -> dict[str, Health]:
        """The health of each part by name. Thread-safe."""
        return {name: ask() for name, ask in self.contributed.health.items()}

    def fail(self, error: BaseException) -> None:
        """End `run_until_stopped` with an error: a part cannot keep its guarantees. Thread-safe."""
        self._failed.get_loop().call_soon_threadsafe(self._set_failed, error)

    def _set_failed(self, error: BaseException) -> None:
        if not self._failed.done():
            fatal = error if isinstance(error, Fatal) else Fatal(f"{type(error).__name__}: {error}")
            self._failed.set_exception(fatal)

    # --- opening, in order -----------------------------------------------------------------------

    def _try_addresses(self) -> None:
        """Fail at once if a port is in use, before the stores are opened, which takes longer."""
        from lakebed.sources.http.server import listen

        listen(self.settings.http.listen, "http.listen").close()
        for role in self.roles.values():
            for address, setting in role.listens(self.settings):
                listen(address, setting).close()

    async def _open_stores(self) -> None:
        from lakebed.access.identification import Identification
        from lakebed.access.unit_directory import UnitDirectory
        from lakebed.accounts.audit_trail import AuditTrail, keep
        from lakebed.accounts.presence import Presence
        from lakebed.accounts.presence import keep as keep_presence
        from lakebed.consuming.feed import LiveFeed
        from lakebed.egress.guard import Egress
        from lakebed.metering.outgoing import OutgoingMeter
        from lakebed.secrets.keys import Keys
        from lakebed.secrets.resolving import Secrets
        from lakebed.telemetry.opening import open_tracer

        tracer = open_tracer(self.settings.telemetry, self.roles)
        if tracer is not None:
            self._stack.push_async_callback(asyncio.to_thread, tracer.close)
        if self._alone:
            self._lock_home()
            homes.check_whole(self.settings.home)
        else:
            homes.make_private(self.settings.home)
        mark.check_not_moved(self.settings)
        catalog = await asyncio.to_thread(opening.open_catalog, self.settings)
        self._stack.callback(catalog.close)
        await asyncio.to_thread(mark.check_finished, catalog)
        series = await self._open_series(catalog)
        journal = await asyncio.to_thread(opening.open_journal, self.settings, catalog)
        self._stack.callback(journal.close)
        outgoing = OutgoingMeter(catalog)
        self._stack.push_async_callback(asyncio.to_thread, outgoing.close)
        feed = LiveFeed(journal)
        self._stack.push_async_callback(feed.close)
        units = UnitDirectory(catalog, self.fail)
        self._stack.push_async_callback(units.close)
        audit = AuditTrail(catalog)
        self._stack.push_async_callback(asyncio.to_thread, audit.flush)
        self._run("audit log", partial(keep, audit, catalog, self.settings.auth.audit_for))
        auth, presence = self.settings.auth, Presence()
        identification = Identification(catalog, second_factor=auth.second_factor)
        self._stack.push_async_callback(presence.leave, catalog, identification)
        self._run("presence", partial(keep_presence, presence, catalog, identification))
        keys = Keys(self.settings.home, self.settings.secrets.key, self._alone)
        self.process = Process(
            settings=self.settings,
            alone=self._alone,
            fail=self.fail,
            ready=self.health,
            stack=self._stack,
            catalog=catalog,
            accounts=catalog,
            journal=journal,
            identification=identification,
            audit=audit,
            presence=presence,
            units=units,
            feed=feed,
            descriptors=Descriptors(),
            outgoing=outgoing,
            secrets=Secrets(catalog, keys),
            egress=Egress(self.settings.relays.allow_private),
            tracer=tracer,
            opened_series=series,
        )
        health: dict[str, Callable[[], Health]] = {
            "journal": journal.health,
            "catalog": with_timeout("the catalog", catalog.health),
            "disk": partial(_disk, self.settings),
        }
        if series is not None:
            health["series"] = with_timeout("the series", partial(_series_health, catalog, series))
        self.contributed += Contribution(health=health, metrics=(partial(_sent, outgoing),))
        self._run("outgoing", partial(_flushing, outgoing))

    def _lock_home(self) -> None:
        """Lock the home until the stop, also while the start waits for room."""
        if self._lock is None:
            self._lock = homes.lock(self.settings.home)
            self._on_locked()

    def _unlock_home(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    async def _open_series(self, catalog: Catalog) -> Series | None:
        if "series" not in opened(self.roles):
            return None
        if any(role.restores for role in self.roles.values()):
            from lakebed.backup.loss import open_detecting_loss

            series, _ = await asyncio.to_thread(open_detecting_loss, self.settings, catalog)
        else:
            # missing tables of a used instance are left to the keeper, which also fills them again
            make = not await asyncio.to_thread(catalog.claimed, "keeper")
            series = await asyncio.to_thread(opening.open_series, self.settings, make)
        self._stack.callback(series.close)
        return series

    async def _open_roles(self) -> None:
        for role in self.roles.values():
            if role.intake and self.process.opened_intake is None:
                await self._open_intake()
            contribution = await role.open(self.process, self.contributed)
            for name, run in contribution.tasks.items():
                self._run(name, run)
            self.contributed += contribution

    async def _open_intake(self) -> None:
        from lakebed.ingest import refusals
        from lakebed.ingest.intake import Intake
        from lakebed.ingest.recording import AttributeRecorder
        from lakebed.limits.book import LimitBook
        from lakebed.limits.metrics import metrics
        from lakebed.limits.stored import StoredLimits

        embedded = opening.is_embedded(self.settings.journal.url)
        section = self.settings.limits
        stored = StoredLimits(self.process.accounts, self.process.catalog)
        limits = LimitBook(
            section.owner,
            section.unit,
            stored,
            read_topics=partial(_topics, self.process.catalog),
            longest_topic=section.topic,
        )
        await limits.start()
        recorder = AttributeRecorder(self.settings.ingest)
        intake = Intake(
            self.process.journal,
            on_fatal=self.fail,
            room=partial(_has_room, self.settings) if embedded else None,
            delay=self.settings.journal.commit_delay / SECOND,
            recorder=recorder,
            limits=limits,
            tracer=self.process.tracer,
        )
        await intake.start()
        self._run("limits", limits.run)
        self._run("what is recorded", partial(recorder.follow, self.process.catalog))
        self._run("refusals", partial(refusals.keep, intake.refusals, self.process.catalog))
        cluster = await self._share_limits(limits)
        self.contributed += Contribution(metrics=(partial(metrics, limits),))
        self._stack.push_async_callback(intake.stop)
        self.process = replace(self.process, opened_intake=intake, opened_cluster=cluster)
        self.contributed += Contribution(
            health={
                "intake": intake.health,
                "limits": cluster.health,
                "refusals": intake.refusals.health,
            },
            metrics=(intake.refusals.metrics, intake.metrics),
        )

    async def _share_limits(self, limits: "LimitBook") -> "ClusterReports":
        """Hold a part of all limits, as other gateways do, and tell them what is received."""
        from lakebed.limits.leases import Leases, metrics
        from lakebed.limits.reports import ClusterReports

        catalog = self.process.catalog
        if self._alone:
            self.contributed += Contribution(metrics=(partial(metrics, None),))
            return ClusterReports(None, limits, "alone")
        if "gateway" not in self.roles:
            cluster = ClusterReports(catalog, limits, None)
            self._run("reports of load", cluster.run)
            return cluster
        leases = Leases(catalog, limits)
        cluster = ClusterReports(catalog, limits, leases.process)
        await leases.join()
        self._stack.push_async_callback(leases.leave)
        self._run("leases of limits", leases.run)
        self._run("reports of load", cluster.run)
        self.contributed += Contribution(metrics=(partial(metrics, leases),))
        return cluster

    def _run(self, name: str, run: Callable[[], Coroutine[None, None, None]]) -> None:
        """Run a task until the node stops; stop the node if the task fails."""
        task = asyncio.create_task(run(), name=name)
        task.add_done_callback(self._task_ended)
        self._stack.callback(task.cancel)

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("task failed", task=task.get_name(), error=str(error))
            self.fail(error)

    async def _open_doors(self) -> None:
        from lakebed.api.app import assemble
        from lakebed.api.services import Common
        from lakebed.sources.http.server import HttpServer

        contributed = self.contributed
        common = Common(
            settings=self.settings,
            identification=self.process.identification,
            ready=self.health,
            audit=self.process.audit,
            intake=contributed.intake,
        )
        made = assemble(common, contributed.routes, contributed.metrics)
        app: Application = made
        if self.process.tracer is not None:
            from lakebed.api.tracing import Traced

            app = Traced(made, self.process.tracer)
        self._http = HttpServer(
            app, self.settings.http, self.process.descriptors, contributed.upgrades
        )
        opened: list[Door] = []
        self._stack.push_async_callback(_close, opened)
        for door in (*contributed.doors, self._http):
            opened.append(door)
            await door.start()
        if self.process.opened_intake is not None:
            self._stack.callback(self.process.opened_intake.end_delay)


def _disk(settings: Settings) -> Health:
    """Free space on the disk of the home."""
    left = room_at(settings.home)
    message = few_files(left, settings.home)
    detail = {"free": left.bytes} | ({} if left.files is None else {"files": left.files})
    ok = left.files is None or left.files >= FEW_FILES
    return Health(ok, message, detail, tuple(measured(_DISK, detail)))


async def _flushing(outgoing: "OutgoingMeter") -> None:
    """Write what readers were sent; where the catalog is away, with the next time."""
    from lakebed.metering.outgoing import FLUSH_EVERY

    while True:
        await asyncio.sleep(FLUSH_EVERY)
        try:
            await asyncio.to_thread(outgoing.flush)
        except StoreUnavailable as error:
            log.warning("what readers were sent is not in the byte ledger yet", error=str(error))


def _sent(outgoing: "OutgoingMeter") -> Iterator[Sample]:
    for way in sorted(outgoing.messages):
        yield SENT(outgoing.messages[way], way)
        yield SENT_BYTES(outgoing.bytes[way], way)


def _series_health(catalog: Catalog, series: Series) -> Health:
    from lakebed.backup.loss_report import health

    return health(catalog, series.health())


def _topics(catalog: Catalog, owners: Collection[str]) -> dict[str, list[str]]:
    """The topics of these owners that the ledger knows."""
    from lakebed.keeper.ledger import load

    found: dict[str, list[str]] = {owner: [] for owner in owners}
    for channel in load(catalog).channels:
        if channel.owner in found:
            found[channel.owner].append(channel.topic)
    return found


def _has_room(settings: Settings) -> bool:
    """Whether the home's disk has room for more messages."""
    disk = os.statvfs(settings.home)
    return disk.f_bavail * disk.f_frsize >= settings.limits.disk_free


async def _close(doors: Sequence[Door]) -> None:
    """Stop all doors at once: each may take seconds, and the whole stop has ten."""
    ended = await asyncio.gather(*(door.stop() for door in doors), return_exceptions=True)
    for error in ended:
        if isinstance(error, BaseException):
            raise error
