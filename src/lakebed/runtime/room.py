"""Waits at the start until the disk has room, as a running server does, and reports it.

    open stores, roles, doors ──no room──> close all ──> wait, /readyz says why ──room──> again

An exit would not help: a service manager gives up after a few tries, and an operator would have to
start the server by hand once there is room.
"""

import asyncio
import errno
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

import structlog

from lakebed.ports.health import Health
from lakebed.system.disk import room_at
from lakebed.vocabulary.errors import Fatal, JournalFailed, SettingsError, StoreUnavailable

if TYPE_CHECKING:
    from lakebed.access.identification import Identification
    from lakebed.accounts.audit_trail import AuditTrail
    from lakebed.http.asgi import Receive, Scope, Send
    from lakebed.runtime.settings import Settings
    from lakebed.sources.http.ingest import Ingest
    from lakebed.sources.http.server import HttpServer

log = structlog.get_logger(__name__)

_LOOK_EVERY = 1.0  # seconds between two looks at the disk
_TRY_EVERY = 15.0  # seconds to the next try where the disk seems to have room: of a quota
_WORDS = re.compile(
    r"no space|disk( is|:)? (nearly )?full|database or disk is full|not_enough_space|quota",
    re.IGNORECASE,
)
_ERRNOS = (errno.ENOSPC, errno.EDQUOT)


def is_wanting(error: BaseException, home: Path) -> bool:
    """Whether a start failed because the disk of the home has no room."""
    if isinstance(error, OSError):
        return error.errno in _ERRNOS
    if isinstance(error, SettingsError) or not isinstance(error, (StoreUnavailable, Fatal)):
        return False
    if _WORDS.search(str(error)):
        return True
    return not room_at(home).some and isinstance(error, (StoreUnavailable, JournalFailed))


class WaitingForRoom:
    """Answers while the server cannot start: /healthz 200, /readyz the reason, all else 503."""

    def __init__(self, settings: "Settings") -> None:
        self._settings = settings
        self._reason = ""
        self._http: HttpServer | None = None

    async def wait(self, error: BaseException) -> None:
        """Wait until there may be room; the first call opens the HTTP port."""
        home = self._settings.home
        left = f"{room_at(home)} are free on the disk of {home.absolute()}"
        reason = f"waiting for room: {left} ({error}); free some and the start goes on by itself"
        if not self._reason:
            log.error("the start waits for room on the disk", home=str(home), reason=reason)
        self._reason = reason
        await self._answer()
        until = asyncio.get_running_loop().time() + _TRY_EVERY
        while asyncio.get_running_loop().time() < until:
            before = room_at(home).some
            await asyncio.sleep(_LOOK_EVERY)
            if room_at(home).some and not before:
                return

    async def close(self) -> None:
        if self._http is not None:
            await self._http.stop()
            self._http = None

    async def _answer(self) -> None:
        if self._http is None:
            from lakebed.sources.http.server import HttpServer

            http = HttpServer(_Answers(self._settings, self._health), self._settings.http)
            await http.start()
            self._http = http

    def _health(self) -> dict[str, Health]:
        return {"disk": Health(False, self._reason)}


class _Answers:
    """An ASGI application of a process whose stores are not open."""

    def __init__(self, settings: "Settings", health: Callable[[], dict[str, Health]]) -> None:
        from lakebed.api.app import create_front
        from lakebed.api.services import Common

        # the routes of health look up no token, and refuse nobody
        self._front = create_front(
            Common(
                settings=settings,
                identification=cast("Identification", None),
                ready=health,
                audit=cast("AuditTrail", None),
            )
        )
        self._health = health
        self.ingest: Ingest = self._front.ingest
        self.at_once = self._front.at_once

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        from lakebed.http import problems

        if scope["path"] in ("/healthz", "/readyz", "/metrics"):
            await self._front(scope, receive, send)
        else:
            (part,) = self._health().values()
            await problems.answer(send, StoreUnavailable(part.message))
