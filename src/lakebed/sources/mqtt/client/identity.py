"""The client identifier of a process: its own, and the same after each restart.

    HOME/source-0.id   locked by the first process on the home     office-1c9f02
    HOME/source-1.id   by the second, and so on                    office-77ab3e

A broker keeps a session for each identifier. Two processes with the same one disconnect each other.
A process that restarts with another one leaves its session behind, with the messages in it.
"""

import hashlib
import os
import re
import socket
from itertools import count
from pathlib import Path

import structlog

from lakebed.system import files

log = structlog.get_logger(__name__)

_DIGITS = 6  # of the hash
_USED = "lineage.json"
"""A file that is in the home of a server since its first start."""


def claim(home: Path) -> tuple[str, int | None]:
    """Claim an identity; return it, and a descriptor that holds it until it is closed.

    The identity is empty for a home of an earlier version, whose sessions have none. If the home is
    not writable, it is made of the host's name and the home's path, so two processes on that home
    have the same.
    """
    for number in count():
        path = home / f"source-{number}.id"
        try:
            descriptor = files.lock(path)
            if descriptor is not None:
                return _written(path, descriptor, number), descriptor
        except OSError as error:
            log.warning("no identity can be kept in the home", home=str(home), error=str(error))
            return _made(home, number), None
    raise AssertionError  # it counts for ever


def _written(path: Path, descriptor: int, number: int) -> str:
    """Read the identity in a file, or write it at the first use. A line end marks it complete."""
    text = os.pread(descriptor, 256, 0).decode(errors="replace")
    if text.endswith("\n"):
        return text.strip()
    used = number == 0 and (path.parent / _USED).exists()
    made = "" if used else _made(path.parent, number)
    os.pwrite(descriptor, f"{made}\n".encode(), 0)
    os.fsync(descriptor)
    files.sync(path.parent)
    return made


def _made(home: Path, number: int) -> str:
    """Make an identity of host, home and number: the same even if the home was emptied."""
    host = socket.gethostname()
    digest = hashlib.sha256(f"{host}\0{home.absolute()}\0{number}".encode()).hexdigest()
    return f"{re.sub(r'[^A-Za-z0-9-]', '-', host)}-{digest[:_DIGITS]}"
