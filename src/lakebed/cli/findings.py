"""The checks of `doctor`. Each is a function of the settings that returns findings.

settings ──> machine: python, clock ──> disks: file system, fsync, space
         ──> a server on it?  yes: ask /readyz, and which consumers hold the journal
                              no: are the ports free, do the stores of its roles open?
"""

import platform
import resource
import socket
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakebed.cli import findings_clock, findings_limits, findings_sources, output
from lakebed.cli.home import held, is_foreign, running_on
from lakebed.diagnosis import journal, parts
from lakebed.diagnosis.finding import Finding, bad, note, ok
from lakebed.runtime.checks.contradictions import contradictions
from lakebed.runtime.checks.disks import disks, existing
from lakebed.runtime.roles import ROLES, opened
from lakebed.runtime.settings import Settings, load
from lakebed.section import split_address
from lakebed.system.descriptors import too_few
from lakebed.vocabulary.errors import Denied, LakebedError, SettingsError

if TYPE_CHECKING:
    from lakebed.cli.client import Server


def examine(
    home: Path | None, config: Path | None, roles: Collection[str] | None = None
) -> list[Finding]:
    """Run all checks, in order.

    Args:
        roles: of a process that is one of several; None for all in one process.

    Raises:
        SettingsError: without settings there is nothing to look at.
    """
    flags = {"home": None if home is None else str(home)}
    settings = load(config, flags=flags)
    if is_foreign(settings.home):
        what = f"{settings.home.absolute()} belongs to another user, who alone may look into it"
        return [bad("home", what, "run doctor as that user: sudo -u USER lakebed doctor …")]
    found = [
        ok("settings", f"home {settings.home}"),
        *contradictions(settings),
        ok("python", f"{platform.python_version()}, sqlite {sqlite3.sqlite_version}"),
        *findings_clock.clock(existing(settings.home.absolute())),
        *disks(settings),
    ]
    if held(settings.home):
        return found + list(_server(settings))
    return found + list(_start(settings, ROLES.keys() if roles is None else roles))


def _start(settings: Settings, roles: Collection[str]) -> Iterator[Finding]:
    """What a process with these roles would need at its start."""
    from lakebed.runtime import sharing

    try:
        sharing.check(settings, roles)
    except SettingsError as error:
        for problem in error.problems:
            yield bad("settings", str(problem), "name such a store in the settings")
    yield from _ports(settings, roles)
    if "gateway" in roles:
        yield from _descriptors(settings)
    yield from _stores(settings, roles)


# --- server ---------------------------------------------------------------------------------------


def _server(settings: Settings) -> Iterator[Finding]:
    from lakebed.cli.client import Server

    running = running_on(settings.home)
    stores = ("journal", "catalog", "series")
    schemes = {store: getattr(settings, store).url.partition(":")[0] for store in stores}
    url = running.http if running else f"http://{settings.http.listen}"
    yield ok("server", f"holds this home{f' as process {running.pid}' if running else ''}: {url}")
    try:
        with Server(url, None, settings.home) as server:
            parts = server.ready()
            for name, part in parts.items():
                yield from _part(name, part, schemes.get(name, ""))
            yield from _journal(server)
            yield from findings_sources.not_stored(server)
            yield from findings_limits.near(server, parts.get("limits", {}))
            yield from findings_clock.future(server, settings)
    except LakebedError as error:
        yield bad("server", f"does not answer: {error}", "see its log; restart it if it hangs")


def _part(name: str, part: Mapping[str, Any], scheme: str = "") -> Iterator[Finding]:
    figures = (f"{k} {output.plain(v)}" for k, v in part.items() if k not in ("ok", "message"))
    text = ", ".join(filter(None, (str(part.get("message", "")), *figures))) or "well"
    return parts.part(name, part, text, scheme)


def _journal(server: "Server") -> Iterator[Finding]:
    try:
        found = server.get("/api/v1/journal")
    except Denied:
        yield note("journal", "only admins see its consumers", "give an admin's --token")
        return
    yield from journal.change(found)
    yield from journal.damage(found)
    yield from journal.partitions(found)
    yield from journal.consumers(found)


def _descriptors(settings: Settings) -> Iterator[Finding]:
    """Compare the hard limit: a server raises its soft one to that."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and (few := too_few(hard, settings.mqtt.max_connections)):
        yield note("files", f"started from here: {few}", parts.MORE_FILES)


def _ports(settings: Settings, roles: Collection[str]) -> Iterator[Finding]:
    listens = [("http", settings.http.listen)]
    if "gateway" in roles:
        listens.append(("mqtt", settings.mqtt.listen))
    for part, address in listens:
        try:
            with socket.create_server(split_address(address), reuse_port=False):
                yield ok(part, f"{address} is free")
        except OSError as error:
            if part == "http" and (parts := _parts_at(settings)) is not None:
                yield ok(part, f"a process of Lakebed listens at {address}; its parts:")
                for name, figures in parts.items():
                    yield from _part(name, figures)
                return
            yield bad(
                part, f"{address}: {error.strerror}", f"stop what uses it, or choose --{part}"
            )


def _parts_at(settings: Settings) -> dict[str, Any] | None:
    """The parts of the process that listens where this one would; None if it is another program."""
    from lakebed.cli.client import Server
    from lakebed.cli.running import reachable_url

    host, port = split_address(settings.http.listen)
    scheme = "http" if settings.http.tls_certificate is None else "https"
    url = reachable_url(f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}")
    try:
        with Server(url, None, settings.home) as server:
            return server.ready()
    except (LakebedError, KeyError, TypeError, AttributeError):
        return None


def _stores(settings: Settings, roles: Collection[str]) -> Iterator[Finding]:
    """Open each store as a process with these roles would; embedded ones only if they exist."""
    from lakebed.stores.opening import open_catalog, open_series

    opening: dict[str, tuple[str, Callable[[Settings], Any]]] = {
        "catalog": (settings.catalog.url, open_catalog),
        "series": (settings.series.url, partial(open_series, make=False)),
        "journal": (settings.journal.url, _open_journal),
    }
    for part in opened(roles):
        url, open_store = opening[part]
        scheme, _, path = url.partition(":")
        if scheme in ("sqlite", "chdb", "memory") and not (settings.home / path).exists():
            yield note(part, f"{url} is not there yet; the first start makes it")
            continue
        yield from _opened(part, scheme, open_store, settings)


def _open_journal(settings: Settings) -> Any:
    """With the catalog, where both are on servers: it knows which topic the journal is."""
    from lakebed.stores.opening import is_embedded, open_catalog, open_journal

    if is_embedded(settings.journal.url) or is_embedded(settings.catalog.url):
        return open_journal(settings)
    with closing(open_catalog(settings)) as catalog:
        return open_journal(settings, catalog)


def _store_advice(part: str, scheme: str) -> str:
    if scheme in ("sqlite", "chdb"):
        return "see what is said of the home and its disk; what is damaged is in a backup"
    return f"see that it runs and can be reached from this machine, or correct {part}.url"


def _opened(
    part: str, scheme: str, open_store: Callable[[Settings], Any], settings: Settings
) -> Iterator[Finding]:
    try:
        store = open_store(settings)
    except LakebedError as error:
        yield bad(part, f"{scheme} does not open: {error}", _store_advice(part, scheme))
        return
    try:
        health = store.health()
    finally:
        store.close()
    if health.ok:
        yield ok(part, f"{scheme} opens{f', {health.message}' if health.message else ''}")
    else:
        yield bad(part, health.message, _store_advice(part, scheme))
    yield from parts.durability(part, health.detail, scheme)
