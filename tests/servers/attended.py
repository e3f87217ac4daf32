"""Servers that are programs of others: started, killed, hung; none outlives the tests."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
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
        account: for `subprocess`, where it is to run as somebody else.
    """

    def __init__(
        self,
        command: Sequence[Any],
        folder: Path,
        log: Path,
        account: Mapping[str, Any] | None = None,
    ) -> None:
        self._log = log
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                ["sh", "-c", _ATTENDED, "attended", *command],
                stdin=subprocess.PIPE, stdout=file, stderr=file, cwd=folder,
                start_new_session=True, **(account or {}),
            )  # fmt: skip

    @property
    def ended(self) -> bool:
        program = self._program()
        try:
            return program is None or program.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    @property
    def pid(self) -> int:
        """Of the program, not of the shell that attends it, nor of its `cat`."""
        program = self._program()
        assert program is not None
        return program.pid

    def _program(self) -> psutil.Process | None:
        try:
            children = psutil.Process(self._process.pid).children()
            return next((child for child in children if child.name() != "cat"), None)
        except psutil.NoSuchProcess:
            return None

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
