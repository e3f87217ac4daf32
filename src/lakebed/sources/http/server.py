"""The HTTP server: one listening port and its connections."""

import asyncio
import socket
from functools import partial
from typing import Protocol

from lakebed.http.asgi import Receive, Scope, Send
from lakebed.http.at_once import AtOnce
from lakebed.http.connection import Shared
from lakebed.section import split_address
from lakebed.sources.http.fast_path import FastPathConnection, Upgrades
from lakebed.sources.http.ingest import Ingest
from lakebed.sources.http.settings import HttpSection
from lakebed.system.descriptors import Descriptors
from lakebed.system.tls import server_context
from lakebed.system.waiting import wait_until
from lakebed.vocabulary.errors import Fatal

_BACKLOG = 4096  # connections that the kernel queues: after a restart all clients come at once
_GRACE = 2.0  # seconds that running requests may take when the server stops,
_LAST_WRITES = 1.0  # and that answers to requests which took longer may take


class Application(Protocol):
    """An ASGI application with a fast path for messages beside it."""

    @property
    def ingest(self) -> Ingest: ...

    @property
    def at_once(self) -> AtOnce | None: ...

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...


class HttpServer:
    """Listens from `start` to `stop`. Event loop only."""

    def __init__(
        self,
        app: Application,
        settings: HttpSection,
        descriptors: Descriptors | None = None,
        upgrades: Upgrades | None = None,
    ) -> None:
        self._settings = settings
        self._ingest, self._at_once = app.ingest, app.at_once
        self._shared = Shared(app, descriptors or Descriptors())
        self._upgrades = upgrades or {}
        self._server: asyncio.Server | None = None
        self._socket: socket.socket | None = None

    @property
    def url(self) -> str:
        assert self._socket is not None
        host, port = self._socket.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        scheme = "https" if self._settings.tls_certificate else "http"
        return f"{scheme}://{shown}:{port}"

    async def start(self) -> None:
        """Listen; returns once connections are accepted.

        Raises:
            Fatal: the address cannot be used.
            SettingsError: the certificate cannot be used.
        """
        certificate, key = self._settings.tls_certificate, self._settings.tls_key
        context = None
        if certificate is not None:
            context = server_context(certificate, key, "http.tls_certificate")
        self._socket = listen(self._settings.listen, "http.listen")
        self._server = await asyncio.get_running_loop().create_server(
            partial(FastPathConnection, self._shared, self._ingest, self._at_once, self._upgrades),
            sock=self._socket,
            ssl=context,
            backlog=_BACKLOG,
        )

    async def stop(self) -> None:
        """Accept no more connections, answer requests under way, close the other connections."""
        shared = self._shared
        if self._server is not None:
            self._server.close()
        for connection in list(shared.connections):
            connection.finish()
        await wait_until(lambda: not (shared.connections or shared.tasks), _GRACE)
        for task in list(shared.tasks):
            task.cancel()
        await wait_until(lambda: not (shared.connections or shared.tasks), _LAST_WRITES)
        for connection in list(shared.connections):
            connection.abort()


def listen(address: str, setting: str) -> socket.socket:
    """A bound, listening TCP socket.

    Raises:
        Fatal: it names the setting to change.
    """
    host, port = split_address(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise Fatal(
            f"cannot listen on {address}: {error.strerror}; choose another {setting}"
        ) from None
