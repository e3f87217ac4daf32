"""Reads the files of a server's home for commands on the same machine."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple


class Running(NamedTuple):
    """The process and addresses of a home's server, which it wrote when it was ready."""

    pid: int
    http: str
    mqtt: str


def token_of(home: Path) -> str | None:
    """The admin token that a server wrote into its home; None if it cannot be read."""
    try:
        return (home / "admin.token").read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def running_on(home: Path) -> Running | None:
    """The server of a home; None if none runs or it is not ready yet."""
    try:
        return Running(**json.loads(_file(home).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def held(home: Path) -> bool:
    """Whether a process has locked the home, as a running node does."""
    import fcntl

    try:
        with (home / "lock").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def is_foreign(home: Path) -> bool:
    """Whether the home belongs to another user and is not readable."""
    try:
        return not os.access(home, os.R_OK | os.X_OK) and home.exists()
    except OSError:  # not even the folder above it may be looked into
        return True


def write_running(home: Path, http: str, mqtt: str) -> None:
    """Replace the file; on a full disk the former one stays, which usually has the same content.

    Raises:
        OSError: it stays. The server works without it.
    """
    new = _file(home).with_suffix(".new")
    new.write_text(json.dumps(Running(os.getpid(), http, mqtt)._asdict()) + "\n")
    new.replace(_file(home))


def remove_running(home: Path) -> None:
    """Remove the file. One left on a read-only disk is ignored if no process has the home."""
    with suppress(OSError):
        _file(home).unlink(missing_ok=True)


def _file(home: Path) -> Path:
    return home / "running.json"
