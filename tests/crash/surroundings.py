"""What surrounds a server: its wall clock, the room on its disk, its series store."""

import mmap
import struct
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.crash import faulty
from tests.processes import preloaded, serving
from tests.server import Server

WELL, FULL, FAILING, NO_SYNC, NO_NAMES, READ_ONLY = range(6)
"""States of a disk: with FAILING there is room, but nothing is written; with NO_SYNC no file can be
fsynced, with NO_NAMES no folder. With READ_ONLY nothing changes, and no file opens for writing."""


def weather(folder: Path, root: Path) -> dict[str, str]:
    """The environment of a process whose disk `root` is on.

    Args:
        folder: for the file by which it is turned; not below `root`.
    """
    file = folder / "weather"
    file.write_bytes(bytes(16))
    return {
        **preloaded("weather"),
        "WEATHER": str(file),
        "WEATHER_ROOT": str(root),
    }


def shared() -> AbstractContextManager[dict[str, Any]]:
    """The fork server of processes whose surroundings can be turned."""
    return serving.preloading(Path(__file__).with_name("weather.c"))


def turn_disk(file: Path, state: int) -> None:
    _turn(file, 8, state)


def _turn(file: Path, at: int, value: int) -> None:
    with file.open("r+b") as opened, mmap.mmap(opened.fileno(), 16) as shared:
        struct.pack_into("<q", shared, at, value)


class Weather:
    """Turns the clock and the room on the disk of a server, which it must be given before a start.

    Args:
        folder: for the file by which they are turned; not the home.
    """

    def __init__(self, server: Server, folder: Path) -> None:
        server.environment |= weather(folder, server.home)
        self._server, self._file = server, folder / "weather"

    def clock(self, hours: float) -> None:
        """Let the wall clock show so much more than the right time."""
        _turn(self._file, 0, round(hours * 3600e9))
        self._server.clock_offset = timedelta(hours=hours)

    def disk(self, state: int) -> None:
        turn_disk(self._file, state)

    def disk_full(self, full: bool) -> None:
        turn_disk(self._file, FULL if full else WELL)


class SeriesStore:
    """Lets a server's series store fail. `rate` is the share of inserts that meet a fault."""

    def __init__(self, server: Server, rate: float = 0.0) -> None:
        self._home = server.home
        server.module = "tests.crash.faulty"
        server.environment["FAULTS"] = str(rate)

    @property
    def faults(self) -> int:
        log = self._home / faulty.LOG
        return len(log.read_text().splitlines()) if log.exists() else 0

    def leave(self) -> None:
        (self._home / faulty.AWAY).touch()

    def come_back(self) -> None:
        (self._home / faulty.AWAY).unlink()
