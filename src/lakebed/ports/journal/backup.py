"""Copying the journal for a backup, and keeping it from letting go meanwhile."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from lakebed.ports.journal.reading import Extents


class JournalSnapshot(Protocol):
    """Attributes:
    start, end: the offsets it holds, by partition; from the place of the slowest consumer on.
    """

    start: Mapping[int, int]
    end: Mapping[int, int]

    def write(self, path: Path) -> None:
        """Write it, with ids and places of consumers, into a new file: a journal by itself."""
        ...

    def close(self) -> None: ...


class Snapshots(Protocol):
    def snapshot(self) -> JournalSnapshot:
        """What a backup takes: the log as of now. Close it soon, it keeps `trim` waiting.

        Raises:
            Unsupported: this journal has a way of its own to be backed up.
        """
        ...


class Pins(Extents, Protocol):
    def pin(self, offset: int) -> Callable[[], None]:
        """Keep `trim` from what stands at or behind `offset`, until the returned call."""
        ...
