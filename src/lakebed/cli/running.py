"""Runs a node in the foreground until a signal or a failure.

start ──> ready ──> [ node | tasks beside it ] ──signal or failure──> stop
"""

import asyncio
import gc
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Coroutine, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from lakebed.cli import loop
from lakebed.cli.greeting import ServerAddress, reachable
from lakebed.cli.home import remove_running, write_running
from lakebed.section import split_address
from lakebed.system.extras import require_server
from lakebed.vocabulary.errors import Fatal, LakebedError, SettingsError

if TYPE_CHECKING:
    from lakebed.runtime.node import Node
    from lakebed.runtime.settings import Settings

log = structlog.get_logger(__name__)

Beside = Callable[["Node"], Coroutine[None, None, None]]
"""Runs beside the node when it is ready, such as a greeting. It may return, or is cancelled."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_STOPPING = 8.0  # seconds that a start which is stopped may still take
_READY = 200  # checks, 50 ms apart; then it goes on although a part is not ready


def settings_of(
    home: Path | None, http: str | None, mqtt: str | None, config: Path | None
) -> "Settings":
    """Load the settings; the flags of `up` override file and environment.

    Raises:
        SettingsError: names what is wrong.
    """
    from lakebed.cli.logs import configure, logged_errors
    from lakebed.runtime.settings import load, load_log

    flags: dict[str, Any] = {
        "home": None if home is None else str(home),
        "http": {"listen": http},
        "mqtt": {"listen": mqtt},
    }
    section = load_log(config, flags=flags)
    configure(section)
    with logged_errors(section):
        return load(config, flags=flags)


def foreground(settings: "Settings", beside: Beside, roles: Collection[str] | None = None) -> None:
    """Run a node until a signal; return when everything is flushed and closed.

    Args:
        roles: of a process that may be one of several; None for all roles in one process.

    Raises:
        SettingsError: the settings are wrong.
        Fatal: it cannot start, or it failed.
    """
    from lakebed.cli.logs import configure, logged_errors

    require_server("a server")
    configure(settings.log)
    _raise_file_limit()
    with logged_errors(settings.log), _reported(settings, roles), _fatal_errors():
        loop.run(_until_signal(_serve(settings, beside, roles)))


@contextmanager
def _reported(settings: "Settings", roles: Collection[str] | None) -> Iterator[None]:
    """Report what is logged as an error, and the error by which it ends, where that is on."""
    from lakebed.cli.logs import configure
    from lakebed.telemetry.opening import open_reporter

    reporter = open_reporter(settings.telemetry, roles or ("up",))
    if reporter is None:
        yield
        return
    configure(settings.log, reporter.report)
    try:
        yield
    except Fatal as error:
        reporter.report("critical", "the server ended", {}, (Fatal, error, error.__traceback__))
        raise
    finally:
        configure(settings.log)
        reporter.close()


@contextmanager
def _fatal_errors() -> Iterator[None]:
    """Convert errors that end a server, other than of the settings, to `Fatal`."""
    try:
        yield
    except (SettingsError, Fatal):
        raise
    except LakebedError as error:
        raise Fatal(str(error)) from None
    except KeyboardInterrupt:  # the second Ctrl-C
        raise Fatal("interrupted while it was stopping") from None
    except Exception as error:
        log.exception("an uncaught error ended the server")
        raise Fatal(f"{type(error).__name__}: {error}") from None


def _raise_file_limit() -> None:
    """Raise the limit of open files: each connection is one, and the default is often 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(ValueError, OSError):  # macOS allows less than its "unlimited"
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _until_signal(work: Coroutine[None, None, None]) -> None:
    running = asyncio.get_running_loop()
    task = running.create_task(work)

    def stop() -> None:
        for number in _SIGNALS:
            running.remove_signal_handler(number)  # a second signal ends the process at once
        task.cancel()

    for number in _SIGNALS:
        running.add_signal_handler(number, stop)
    with suppress(asyncio.CancelledError):
        await task


async def _serve(settings: "Settings", beside: Beside, roles: Collection[str] | None) -> None:
    from lakebed.runtime.node import Node

    announce = partial(_write_first_addresses, settings)
    node = (
        Node(settings, on_locked=announce)
        if roles is None
        else Node(settings, roles, alone=False, on_locked=announce)
    )
    try:
        await node.start()
    except OSError as error:
        raise Fatal(_os_error(error)) from None
    except asyncio.CancelledError:
        _end_soon()
        raise
    try:
        await _wait_until_ready(node)
        _tune_interpreter()
        if node.alone:
            _write_addresses(node)
        async with asyncio.TaskGroup() as group:
            group.create_task(node.run_until_stopped(), name="node")
            group.create_task(beside(node), name="beside")
    except BaseException:
        await _stop_node(node)
        raise


def _end_soon() -> None:
    """End the process after a while although a thread still waits for a store.

    It was told to stop while it started: nothing was accepted, and what is stored survives a kill.
    """

    def end() -> None:
        time.sleep(_STOPPING)
        log.warning("ended without waiting for a store that does not answer", waited=_STOPPING)
        os._exit(0)

    threading.Thread(target=end, name="ends the process", daemon=True).start()


async def _stop_node(node: "Node") -> None:
    """Stop the node. An error while it stops does not hide the error that ended it."""
    if node.alone:
        remove_running(node.settings.home)
    try:
        await node.stop()
    except Exception:
        log.exception("a part did not stop in order; the next start goes on from what is durable")


def _write_first_addresses(settings: "Settings") -> None:
    """Write the addresses of a server that is not ready yet, so that doctor can ask it why."""
    host, port = split_address(settings.http.listen)
    if not port:  # the system chooses
        return
    scheme = "https" if settings.http.tls_certificate else "http"
    with suppress(OSError):
        url = reachable_url(f"{scheme}://{host or '127.0.0.1'}:{port}")
        write_running(settings.home, url, settings.mqtt.listen)


def _write_addresses(node: "Node") -> None:
    """Write the addresses into the home, for commands on this machine."""
    try:
        write_running(node.settings.home, reachable_url(node.http_url), mqtt_of(node) or "")
    except OSError as error:
        log.warning("its addresses are not in the home: name them by --url", error=str(error))


def _tune_interpreter() -> None:
    """Tune garbage collection and thread switching.

    Collections are rare, because they walk the long lists of columns, which have no cycles. Objects
    that exist after the start live to the end and are frozen. A thread switch takes at most a
    millisecond, because a query changes threads several times.
    """
    sys.setswitchinterval(0.001)
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


async def _wait_until_ready(node: "Node") -> None:
    """Wait until all parts are healthy, up to 10 s; then /readyz names the others."""
    for _ in range(_READY):
        if all(part.ok for part in node.health().values()):
            return
        await asyncio.sleep(0.05)


def address_of(node: "Node") -> ServerAddress:
    """The addresses of a node with all roles, for clients on this machine."""
    assert node.mqtt_address is not None
    host, port = node.mqtt_address
    return ServerAddress(reachable_url(node.http_url), (reachable(host), port), node.settings.home)


def mqtt_of(node: "Node") -> str | None:
    """HOST:PORT of the MQTT endpoint, or None without one."""
    return None if node.mqtt_address is None else ":".join(map(str, node.mqtt_address))


def reachable_url(url: str) -> str:
    scheme, _, rest = url.partition("://")
    host, _, port = rest.rstrip("/").rpartition(":")
    inner = reachable(host.strip("[]"))
    return f"{scheme}://{f'[{inner}]' if ':' in inner else inner}:{port}"


def _os_error(error: OSError) -> str:
    what = error.strerror or str(error)
    return f"cannot start: {error.filename}: {what}" if error.filename else f"cannot start: {what}"
