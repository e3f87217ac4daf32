"""Copying the journal for a backup, and keeping messages from being trimmed meanwhile."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from lakebed.ports.journal.reading import Extents


class JournalSnapshot(Protocol):
    """The log as of one moment, from the offset of the slowest consumer on.

    Attributes:
        start, end: for each partition the first offset, and the one behind the last.
    """

    start: Mapping[int, int]
    end: Mapping[int, int]

    def write(self, path: Path) -> None:
        """Write messages, ids and consumers' offsets into a new file: a complete journal."""
        ...

    def close(self) -> None: ...


class Snapshots(Protocol):
    def snapshot(self) -> JournalSnapshot:
        """The log as of now. Close the snapshot soon: `trim` waits for it.

        Raises:
            Unsupported: this journal is backed up with its own tools.
        """
        ...


class Pins(Extents, Protocol):
    def pin(self, offset: int) -> Callable[[], None]:
        """Keep messages at or behind `offset` from being trimmed, until the result is called."""
        ...
