"""A server whose disk can lose its power."""

import random
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from tests.crash.disk import Disk, Note, read_log
from tests.processes import preloaded, serving
from tests.server import Server


class Recorded:
    """Records what a server does to its home, from each start to the next power loss.

    Args:
        folder: for its log; not the home.
    """

    def __init__(self, server: Server, folder: Path) -> None:
        self._server = server
        self._log = folder / "record.log"
        server.home.mkdir(parents=True, exist_ok=True)
        server.environment |= {
            **preloaded("recorder"),
            "RECORDER_ROOT": str(server.home),
            "RECORDER_LOG": str(self._log),
        }
        self.restart()

    def restart(self) -> None:
        """Take what is in the home now for durable, and begin a new record."""
        self._log.unlink(missing_ok=True)
        self.disk = Disk(self._server.home)

    def notes(self) -> Iterator[Note]:
        return read_log(self._log)

    def lose_power(self, dice: random.Random) -> None:
        """To be called when the server is dead: what was not fsynced is gone, or part of it."""
        for note in self.notes():
            self.disk.follow(note)
        self.disk.lose_power(dice)
        self.restart()


def shared() -> AbstractContextManager[dict[str, Any]]:
    """The fork server of processes that are recorded."""
    return serving.preloading(Path(__file__).with_name("recorder.c"))
