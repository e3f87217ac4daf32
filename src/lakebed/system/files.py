"""Atomic and durable writing of files, and lock files."""

import fcntl
import os
import time
from pathlib import Path

_RETRY = 0.05  # seconds


def write_file(path: Path, data: bytes) -> None:
    """Replace the file's content, atomically and durably."""
    temporary = path.with_name(path.name + ".new")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    rename(temporary, path)


def write_private(path: Path, data: bytes) -> None:
    """As `write_file`, readable for its user alone; makes the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)  # the mode of one that is there would stay
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)
    rename(temporary, path)


def rename(path: Path, to: Path) -> None:
    """Rename a file or folder, durably; replaces a file of the new name."""
    os.replace(path, to)
    sync(to.parent)


def remove_file(path: Path) -> None:
    """Delete a file, durably; a missing file is no error."""
    path.unlink(missing_ok=True)
    sync(path.parent)


def sync(path: Path) -> None:
    """Fsync a file, or a folder. A folder's fsync makes the names in it durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def lock(path: Path, timeout: float = 0.0) -> int | None:
    """Lock a file against other processes; create it if missing.

    Args:
        timeout: seconds to wait for another process that has the lock.

    Returns:
        The descriptor, which has the lock until it is closed; None if another process has it.

    Raises:
        OSError: the file cannot be made, or its file system has no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    until = time.monotonic() + timeout
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
