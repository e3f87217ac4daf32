"""The MQTT endpoint for devices. PUBACK means that the message is on disk.

listeners (plain, TLS, WebSocket) ──> Connection per device ──> Intake
sweep, twice a second  ──> keep-alive and connect time-outs of all connections
Intake's gate          ──> all sockets are read, or none
"""

import asyncio
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any

import structlog

from lakebed.accounts.presence import Presence
from lakebed.metering.outgoing import CountSent, uncounted
from lakebed.ports.accounts.audit import AuditEntry
from lakebed.section import split_address
from lakebed.sources.mqtt.codec.compiled import is_compiled
from lakebed.sources.mqtt.codec.reasons import Reason
from lakebed.sources.mqtt.read_pause import PauseReason
from lakebed.sources.mqtt.server.connection import Connection
from lakebed.sources.mqtt.server.sessions import Sessions
from lakebed.sources.mqtt.server.shared import Shared
from lakebed.sources.mqtt.settings import MqttSettings
from lakebed.sources.mqtt.stats import Stats
from lakebed.system.descriptors import Descriptors
from lakebed.system.tls import server_context
from lakebed.system.waiting import wait_until
from lakebed.vocabulary.errors import Problem, SettingsError
from lakebed.vocabulary.times import SECOND

if TYPE_CHECKING:
    from lakebed.access.identification import Identification
    from lakebed.consuming.feed import LiveFeed
    from lakebed.ingest.intake import Intake

log = structlog.get_logger(__name__)

SWEEP = 0.5
"""Seconds between two checks of all connections; time-outs may be late by this much."""

_BACKLOG = 4096  # connections that the kernel queues: after a restart all devices come at once


class MqttEndpoint:
    """Listens for devices, from `start` to `stop`. Event loop thread only.

    Args:
        known: the journal's keys with a prefix: `Journal.known`, run in a thread.
        sent: counts what subscribers are sent.
    """

    def __init__(
        self,
        settings: MqttSettings,
        intake: "Intake",
        identification: "Identification",
        feed: "LiveFeed",
        known: Callable[[bytes], Awaitable[list[bytes]]],
        descriptors: Descriptors | None = None,
        presence: Presence | None = None,
        audit: Callable[[AuditEntry], None] = lambda _: None,
        sent: CountSent = uncounted,
    ) -> None:
        self.stats = Stats()
        self._settings = settings
        self._tasks: set[asyncio.Task[None]] = set()
        self._servers: list[asyncio.Server] = []
        self._sweeper: asyncio.TimerHandle | None = None
        self._unwatch: Callable[[], None] | None = None
        sessions = Sessions(intake, known, self.stats, settings.mqtt.max_connections)
        self._shared = Shared(
            settings, intake, identification, feed, sessions, self.stats, self._spawn,
            descriptors or Descriptors(), presence or Presence(), audit, sent,
        )  # fmt: skip

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Host and port of each listening socket, the plain ones first."""
        return [socket.getsockname()[:2] for server in self._servers for socket in server.sockets]

    @property
    def connections(self) -> int:
        """Connections open now."""
        return len(self._shared.connections)

    @property
    def sessions(self) -> int:
        """Sessions connected or kept now."""
        return len(self._shared.sessions)

    @property
    def sparkplug(self) -> Counter[str]:
        """What was read of Sparkplug B."""
        return self._shared.sparkplug

    async def start(self) -> None:
        """Listen.

        Raises:
            SettingsError: the certificate cannot be read.
            OSError: an address is taken or not ours.
        """
        if not is_compiled():
            log.warning("the MQTT codec is not compiled: it runs as plain Python, which is slower")
        mqtt = self._settings.mqtt
        listeners: list[tuple[str, ssl.SSLContext | None, Callable[[], asyncio.Protocol]]] = [
            (mqtt.listen, None, self._plain)
        ]
        if mqtt.tls_listen is not None:
            listeners.append((mqtt.tls_listen, self._tls("tls_listen"), self._plain))
        if mqtt.ws_listen is not None:
            listeners.append((mqtt.ws_listen, None, self.websocket))
        if mqtt.wss_listen is not None:
            listeners.append((mqtt.wss_listen, self._tls("wss_listen"), self.websocket))
        loop = asyncio.get_running_loop()
        self._sweep()
        self._unwatch = self._shared.intake.watch(self._gate)
        try:
            for address, context, make in listeners:
                host, port = split_address(address)
                server = await loop.create_server(
                    make,
                    host,
                    port,
                    ssl=context,
                    backlog=_BACKLOG,
                    ssl_handshake_timeout=mqtt.connect_timeout / SECOND if context else None,
                )
                self._servers.append(server)
        except BaseException:
            await self.stop(grace=0)
            raise

    async def stop(self, grace: float = 3.0) -> None:
        """Read nothing more, send the acks that are due within `grace` seconds, disconnect."""
        shared = self._shared
        shared.open = False
        for server in self._servers:
            server.close()
        self._servers.clear()
        if self._unwatch is not None:
            self._unwatch()
            self._unwatch = None
        for connection in list(shared.connections):
            connection.end(Reason.SERVER_SHUTTING_DOWN, "Lakebed stops")
        await wait_until(lambda: not any(c.waiting for c in shared.connections), grace)
        for connection in list(shared.connections):
            connection.stop_waiting()
        await wait_until(lambda: not shared.connections, min(grace, 1.0))
        for connection in list(shared.connections):
            connection.abort()
        await wait_until(lambda: not shared.connections, 1.0)
        for task in list(self._tasks):
            task.cancel()
        shared.sessions.close()
        if self._sweeper is not None:
            self._sweeper.cancel()

    def _plain(self) -> asyncio.Protocol:
        return Connection(self._shared)

    def websocket(self) -> asyncio.Protocol:
        """A protocol for a socket whose client opens a WebSocket."""
        from lakebed.sources.mqtt.server.websocket import WebSocketProtocol

        return WebSocketProtocol(self._plain, self._settings.mqtt.connect_timeout / SECOND)

    def _tls(self, setting: str) -> ssl.SSLContext:
        home, mqtt = self._settings.home, self._settings.mqtt
        if mqtt.tls_certificate is None:
            raise SettingsError(Problem("mqtt.tls_certificate", f"`{setting}` needs a certificate"))
        key = None if mqtt.tls_key is None else home / mqtt.tls_key
        clients = None if mqtt.tls_client_ca is None else home / mqtt.tls_client_ca
        return server_context(home / mqtt.tls_certificate, key, "mqtt.tls_certificate", clients)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        shared = self._shared
        # Packets until the next sweep get this time; time-outs count from it.
        shared.clock = clock = loop.time()
        for connection in list(shared.connections):
            connection.check_alive(clock - SWEEP)
        self._sweeper = loop.call_later(SWEEP, self._sweep)

    def _gate(self, open: bool) -> None:
        """Back-pressure: pause or resume reading all sockets as the intake demands."""
        for connection in self._shared.connections:
            if open:
                connection.resume_reading(PauseReason.INTAKE)
            else:
                connection.pause_reading(PauseReason.INTAKE)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, name="mqtt-connect")
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("mqtt connect failed", exc_info=task.exception())
