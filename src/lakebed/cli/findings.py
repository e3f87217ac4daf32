"""What `doctor` looks at. Each check is a function of the settings that returns findings.

settings ──> machine: python, sqlite, clock ──> home: file system, fsync, space
         ──> a server on it?  yes: ask /readyz    no: are the ports free, do the stores open?
"""

import os
import platform
import shutil
import socket
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from lakebed.cli import output
from lakebed.cli.home import held, running_on
from lakebed.errors import Invalid, LakebedError
from lakebed.settings import Settings, load, split_address
from lakebed.times import check_clock, now, to_rfc3339

State = Literal["ok", "note", "bad"]
_MARKS = {"ok": "ok  ", "note": "note", "bad": "BAD "}
_MEMORY = {"tmpfs", "ramfs"}
_FSYNCS = 15
_SLOW = 0.03  # seconds of an fsync from which on it decides the rate of single messages


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at.

    Attributes:
        state: `bad` makes doctor say no; a `note` is worth knowing.
        advice: what to do, where there is something to do.
    """

    part: str
    state: State
    text: str
    advice: str = ""

    def as_json(self) -> dict[str, str]:
        return asdict(self)

    def as_line(self) -> str:
        advice = f"\n     {'':10} do: {self.advice}" if self.advice else ""
        return f"{_MARKS[self.state]} {self.part:10} {self.text}{advice}"


def ok(part: str, text: str) -> Finding:
    return Finding(part, "ok", text)


def note(part: str, text: str, advice: str = "") -> Finding:
    return Finding(part, "note", text, advice)


def bad(part: str, text: str, advice: str = "") -> Finding:
    return Finding(part, "bad", text, advice)


def examine(home: Path | None, config: Path | None) -> list[Finding]:
    """Everything, in order.

    Raises:
        SettingsError: without settings there is nothing to look at.
    """
    flags = {"home": None if home is None else str(home)}
    settings = load(config, flags=flags)
    found = [ok("settings", f"home {settings.home}"), *_machine(), *_disk(settings)]
    checks: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
        (_server,) if held(settings.home) else (_ports, _stores)
    )
    return found + [finding for check in checks for finding in check(settings)]


def _machine() -> Iterator[Finding]:
    yield ok("python", f"{platform.python_version()}, sqlite {sqlite3.sqlite_version}")
    clock = now()
    try:
        check_clock(clock)
        yield ok("clock", to_rfc3339(clock))
    except Invalid as error:
        yield bad("clock", str(error), "set it, for example with NTP")


# --- disk -----------------------------------------------------------------------------------------


def _disk(settings: Settings) -> Iterator[Finding]:
    home = settings.home.absolute()
    place = _existing(home)
    if place != home:
        yield note("home", f"{home} is not there yet; the first start makes it")
    if not os.access(place, os.W_OK | os.X_OK):
        yield bad("home", f"{place} cannot be written to", "change its owner, or choose --home")
        return
    yield _file_system(place)
    yield _fsync(place)
    yield _space(settings, place)


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def _file_system(place: Path) -> Finding:
    kind = _kind_of(place)
    if kind in _MEMORY:
        return bad(
            "disk", f"{place} is on {kind}: memory", "choose a --home on a disk to keep anything"
        )
    if kind == "overlay":
        return note(
            "disk", f"{place} is inside a container ({kind})", "mount a volume to outlive it"
        )
    return ok("disk", f"{place} is on {kind or 'a file system of unknown kind'}")


def _kind_of(place: Path) -> str:
    """File system of the longest mount point above it."""
    import psutil

    mounts = {Path(part.mountpoint): part.fstype for part in psutil.disk_partitions(all=True)}
    real = place.resolve()
    return next((mounts[folder] for folder in (real, *real.parents) if folder in mounts), "")


def _fsync(place: Path) -> Finding:
    """Measured, because it decides how fast single messages are acknowledged."""
    taken = []
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            for _ in range(_FSYNCS):
                file.write(b"x" * 4096)
                file.flush()
                begun = time.perf_counter()
                os.fsync(file.fileno())
                taken.append(time.perf_counter() - begun)
    except OSError as error:
        return bad("fsync", f"{place}: {error.strerror}", "free some space, or choose --home")
    middle = statistics.median(taken)
    text = f"{middle * 1000:.2f} ms (median of {_FSYNCS}): each acknowledgement waits for one"
    if middle > _SLOW:
        return note("fsync", text, "batches hide it; a faster disk would help single messages")
    return ok("fsync", text)


def _space(settings: Settings, place: Path) -> Finding:
    free = shutil.disk_usage(place).free
    text = f"{output.size(free)} free"
    least, limit = settings.limits.disk_free, settings.journal.limit
    if free < least:
        return bad(
            "space", f"{text}, sources are held back below {output.size(least)}", "free some space"
        )
    if free < least + limit:
        return note(
            "space",
            f"{text}, less than the journal's limit of {output.size(limit)}",
            "lower journal.limit or free some space",
        )
    return ok("space", text)


# --- server ---------------------------------------------------------------------------------------


def _server(settings: Settings) -> Iterator[Finding]:
    from lakebed.cli.client import Server

    running = running_on(settings.home)
    url = running.http if running else f"http://{settings.http.listen}"
    yield ok("server", f"holds this home{f' as process {running.pid}' if running else ''}: {url}")
    try:
        with Server(url, None, settings.home) as server:
            parts = server.ready()
    except LakebedError as error:
        yield bad("server", f"does not answer: {error}", "see its log; restart it if it hangs")
        return
    for name, part in parts.items():
        figures = (f"{k} {output.plain(v)}" for k, v in part.items() if k not in ("ok", "message"))
        text = ", ".join(filter(None, (str(part.get("message", "")), *figures))) or "well"
        yield ok(name, text) if part.get("ok") else bad(name, text, "see the server's log")


def _ports(settings: Settings) -> Iterator[Finding]:
    for part, address in (("http", settings.http.listen), ("mqtt", settings.mqtt.listen)):
        try:
            with socket.create_server(split_address(address), reuse_port=False):
                yield ok(part, f"{address} is free")
        except OSError as error:
            yield bad(
                part, f"{address}: {error.strerror}", f"stop what uses it, or choose --{part}"
            )


def _stores(settings: Settings) -> Iterator[Finding]:
    """Open each store as the server would; embedded ones only where they are there already."""
    from lakebed import wiring

    opening: dict[str, tuple[str, Callable[[Settings], Any]]] = {
        "catalog": (settings.catalog.url, wiring.open_catalog),
        "series": (settings.series.url, partial(wiring.open_series, make=False)),
        "journal": (settings.journal.url, wiring.open_journal),
    }
    for part, (url, open_store) in opening.items():
        scheme, _, path = url.partition(":")
        if scheme in ("sqlite", "chdb", "memory") and not (settings.home / path).exists():
            yield note(part, f"{url} is not there yet; the first start makes it")
            continue
        yield _opened(part, scheme, open_store, settings)


def _opened(
    part: str, scheme: str, open_store: Callable[[Settings], Any], settings: Settings
) -> Finding:
    try:
        store = open_store(settings)
    except LakebedError as error:
        return bad(part, f"{scheme} does not open: {error}", f"see {part}.url in the settings")
    try:
        health = store.health()
    finally:
        store.close()
    text = f"{scheme} opens{f', {health.message}' if health.message else ''}"
    return ok(part, text) if health.ok else bad(part, text)
