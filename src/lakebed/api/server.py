"""The HTTP server: uvicorn on our event loop, stopped by us and not by its own signal handlers."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn

from lakebed.settings import Http, split_address
from lakebed.sources.http.fast_path import FastPathProtocol
from lakebed.sources.mqtt.server.endpoint import server_context
from lakebed.vocabulary.errors import Fatal

_GRACE = 2  # seconds that running requests may take when the server stops


class HttpServer:
    """One listening port."""

    def __init__(self, app: Any, settings: Http) -> None:
        self._settings = settings
        self._config = uvicorn.Config(
            app,
            http=FastPathProtocol,
            ws="none",
            lifespan="off",
            proxy_headers=False,  # nobody downstream of us is told who asks
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=_GRACE,
            ssl_certfile=settings.tls_certificate,
            ssl_keyfile=settings.tls_key,
        )
        self._server = _Server(self._config)
        self._task: asyncio.Task[None] | None = None
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
            Fatal: the address cannot be had.
            SettingsError: the certificate cannot be used.
        """
        if self._settings.tls_certificate is not None:
            server_context(
                self._settings.tls_certificate, self._settings.tls_key, "http.tls_certificate"
            )
        self._socket = listen(self._settings.listen, "http.listen")
        self._task = asyncio.create_task(self._server.serve([self._socket]), name="http")
        while not self._server.started:
            if self._task.done():
                self._task.result()
                raise Fatal("the HTTP server did not start")
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        self._server.should_exit = True
        if self._task is not None:
            await self._task


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # the command line owns the signals


def listen(address: str, setting: str) -> socket.socket:
    """A bound, listening TCP socket.

    Raises:
        Fatal: says which setting to change.
    """
    host, port = split_address(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=4096)
    except OSError as error:
        raise Fatal(
            f"cannot listen on {address}: {error.strerror}; choose another {setting}"
        ) from None
