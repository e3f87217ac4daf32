"""Free space on a disk: bytes and files."""

import os
from pathlib import Path
from typing import NamedTuple

LEAST_BYTES = 8 << 20
"""If a store does not open on a disk with less, the reason is taken to be the lack of space."""
LEAST_FILES = 64
FEW_FILES = 1_000
"""With fewer a server is not ready: one part of the series takes about 15 files."""
_WARN_FILES = 20_000


class Room(NamedTuple):
    """Attributes:
    bytes: that are free.
    files: names that can still be made; None where the file system does not count them.
    """

    bytes: int
    files: int | None

    @property
    def some(self) -> bool:
        """Whether a store can open."""
        return self.bytes >= LEAST_BYTES and (self.files is None or self.files >= LEAST_FILES)

    def __str__(self) -> str:
        files = "" if self.files is None else f" and {self.files} files"
        return f"{self.bytes >> 20} MiB{files}"


def few_files(room: Room, folder: Path) -> str:
    """A sentence if a disk can hold only few more files, whatever is free; else empty."""
    if room.files is None or room.files >= _WARN_FILES:
        return ""
    return (
        f"the disk of {folder} takes only {room.files} more files (inodes): remove some, or move"
        " the home to a disk with more"
    )


def room_at(folder: Path) -> Room:
    """The free space on the disk of a folder, or of the nearest existing folder above it."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    disk = os.statvfs(there)
    return Room(disk.f_bavail * disk.f_frsize, disk.f_favail if disk.f_files else None)
