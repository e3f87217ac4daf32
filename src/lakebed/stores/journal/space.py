"""The space that the journal's file uses, and its limit.

Counting the pages in use takes a query, so between two counts the sizes of writes are added up,
rather too high: the limit is never passed, and near it every append counts.
"""

import sqlite3

from lakebed.ports.journal.operating import Pressure
from lakebed.stores.journal import database
from lakebed.vocabulary.errors import JournalFull

_COUNT_EVERY = 2**20  # bytes that may be written between two counts


class SpaceLimit:
    """Used by the writer's thread; `pressure` by any thread.

    Args:
        limit: bytes.

    Attributes:
        used: bytes in use, rather too high since the last count.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = self._count_at = 0

    def count(self, connection: sqlite3.Connection) -> None:
        """Count the bytes in use."""
        self.used = database.used(connection)
        self._count_at = self.used + _COUNT_EVERY

    def count_soon(self) -> None:
        """Count before the next write, because something was written that is not added up."""
        self._count_at = 0

    def take(self, connection: sqlite3.Connection, size: int) -> None:
        """Add a block of `size` bytes that is about to be written.

        Raises:
            JournalFull: it would pass the limit.
        """
        guessed = self.used + database.room_for(size)
        if guessed > min(self.limit, self._count_at):
            self.count(connection)
            if self.used + size > self.limit:
                raise JournalFull(f"the journal holds {self.used} bytes, its limit is {self.limit}")
            guessed = self.used + database.room_for(size)
        self.used = guessed

    def is_scarce(self, connection: sqlite3.Connection) -> bool:
        """Whether more than three quarters of the limit are in use."""
        return database.used(connection) > self.limit * 3 // 4

    def pressure(self) -> Pressure:
        return Pressure(min(self.used / max(1, self.limit), 1.0), "bytes")
