"""Files that are there whole or not at all, also after a loss of power."""

import os
from pathlib import Path


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
