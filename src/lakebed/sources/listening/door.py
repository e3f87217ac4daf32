"""A listener: its ports, from `start` to `stop`.

TCP, TLS ──> Stream per connection ──┐
                                     ├──> Taker ──> Intake
UDP ───────> UdpPort ────────────────┘      ^
Intake's gate ──> no socket is read, or all ┘
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING

from lakebed.ports.health import Health
from lakebed.section import split_address
from lakebed.sources.listening.datagrams import UdpPort
from lakebed.sources.listening.format import Format
from lakebed.sources.listening.settings import ListenerSection
from lakebed.sources.listening.stats import Stats
from lakebed.sources.listening.stream import Shared, Stream
from lakebed.sources.listening.taking import Taker
from lakebed.system.descriptors import Descriptors
from lakebed.system.tls import server_context
from lakebed.system.waiting import wait_until

if TYPE_CHECKING:
    from lakebed.ingest.intake import Intake

_COUNT_EVERY = 1.0  # seconds between two looks at what UDP lost
_HANDSHAKE = 10.0  # seconds that TLS may take


class Listener:
    """Event loop only.

    Args:
        section: with an owner and at least one address.
        longest: bytes of one payload (`limits.payload`).
    """

    def __init__(
        self,
        format: Format,
        section: ListenerSection,
        intake: "Intake",
        longest: int,
        descriptors: Descriptors | None = None,
    ) -> None:
        assert section.owner is not None
        self.name = format.name
        self.stats = Stats(format.name)
        self._section = section
        self._intake = intake
        taker = Taker(format, intake, section.owner, section.networks, longest, self.stats)
        self._shared = Shared(taker, section.max_connections, descriptors or Descriptors())
        self._udp = UdpPort(taker) if section.udp_listen is not None else None
        self._servers: list[asyncio.Server] = []
        self._timer: asyncio.TimerHandle | None = None
        self._unwatch: Callable[[], None] | None = None

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Host and port of each listening socket: TCP, TLS, UDP."""
        found = [one.getsockname()[:2] for server in self._servers for one in server.sockets]
        return found if self._udp is None else [*found, self._udp.address]

    def health(self) -> Health:
        return self.stats.health()

    async def start(self) -> None:
        """Listen.

        Raises:
            SettingsError: the certificate cannot be read.
            OSError, Fatal: an address is taken or not ours.
        """
        section, loop = self._section, asyncio.get_running_loop()
        try:
            for address, name in section.listens:
                host, port = split_address(address)
                context = self._tls() if name == "tls_listen" else None
                server = await loop.create_server(
                    lambda: Stream(self._shared), host, port, ssl=context,
                    ssl_handshake_timeout=_HANDSHAKE if context else None,
                )  # fmt: skip
                self._servers.append(server)
            if self._udp is not None and section.udp_listen is not None:
                self._udp.open(section.udp_listen)
        except BaseException:
            await self.stop()
            raise
        self._unwatch = self._intake.watch(self._gate)
        self._count()

    async def stop(self) -> None:
        """Read nothing more; what was read is made durable as the intake stops."""
        for server in self._servers:
            server.close()
        self._servers.clear()
        if self._unwatch is not None:
            self._unwatch()
            self._unwatch = None
        if self._timer is not None:
            self._timer.cancel()
        if self._udp is not None:
            self._udp.close()
        connections = self._shared.connections
        for stream in list(connections):
            stream.close()
        await wait_until(lambda: not connections, 1.0)

    def _gate(self, is_open: bool) -> None:
        for stream in list(self._shared.connections):
            stream.gate(is_open)
        if self._udp is not None:
            self._udp.gate(is_open)

    def _count(self) -> None:
        if self._udp is not None:
            self._udp.count_lost()
            self._timer = asyncio.get_running_loop().call_later(_COUNT_EVERY, self._count)

    def _tls(self) -> ssl.SSLContext:
        section = self._section
        assert section.tls_certificate is not None
        context = server_context(
            section.tls_certificate,
            section.tls_key,
            f"{self.name}.tls_certificate",
            section.tls_client_ca,
        )
        if section.tls_client_ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
        return context
