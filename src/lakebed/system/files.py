"""Files that are there whole or not at all, also after a loss of power; and those that lock."""

import fcntl
import os
import time
from pathlib import Path

_RETRY = 0.05  # seconds


def write_file(path: Path, data: bytes) -> None:
    """Replace the file's content, durably."""
    waiting = path.with_name(path.name + ".new")
    with waiting.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    rename(waiting, path)


def rename(path: Path, to: Path) -> None:
    """Give a file or folder another name, durably; replaces a file that has it."""
    os.replace(path, to)
    sync(to.parent)


def remove_file(path: Path) -> None:
    """Durably; a file that is not there is no error."""
    path.unlink(missing_ok=True)
    sync(path.parent)


def sync(path: Path) -> None:
    """Fsync a file, or a folder: its names, which a file's own fsync does not make durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def lock(path: Path, patience: float = 0.0) -> int | None:
    """Hold a file, made where there is none, against other processes.

    Args:
        patience: seconds that another process is waited for.

    Returns:
        The descriptor that holds it until it is closed; None where another process has it.

    Raises:
        OSError: the file cannot be made, or its file system has no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    until = time.monotonic() + patience
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= until:
                    os.close(descriptor)
                    return None
                time.sleep(_RETRY)
            else:
                return descriptor
    except OSError:
        os.close(descriptor)
        raise
