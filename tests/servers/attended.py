"""Servers that are programs of others: started, killed, hung; none outlives the tests."""

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

_ATTENDED = '"$@" </dev/null & cat >/dev/null; kill -9 $!'
"""Tests that are killed leave no server behind: the shell sees their end of the pipe close."""


class Attended:
    """One program, and what it started.

    Args:
        command: the program and its arguments.
        folder: where it runs.
        log: takes what it says.
    """

    def __init__(self, command: Sequence[Any], folder: Path, log: Path) -> None:
        self._log = log
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                ["sh", "-c", _ATTENDED, "attended", *command],
                stdin=subprocess.PIPE, stdout=file, stderr=file, cwd=folder,
                start_new_session=True,
            )  # fmt: skip

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    @property
    def pid(self) -> int:
        """Of the program, not of the shell that attends it, nor of its `cat`."""
        children = psutil.Process(self._process.pid).children()
        return next(child.pid for child in children if child.name() != "cat")

    def kill(self) -> None:
        """SIGKILL, as a machine that goes away."""
        self.signal(signal.SIGKILL)
        with self._process:  # closes the pipe, and waits
            pass

    def signal(self, what: signal.Signals) -> None:
        os.killpg(self._process.pid, what)

    def said(self) -> str:
        """The last of it."""
        return self._log.read_text(errors="replace")[-2000:]
