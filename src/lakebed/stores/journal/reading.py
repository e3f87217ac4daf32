"""Reads blocks from the journal's file, and skips damaged ones."""

import sqlite3
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from lakebed.stores.journal import database
from lakebed.stores.journal.blocks import Damaged, count_channels, decode
from lakebed.stores.journal.recent import READ_BYTES, cut
from lakebed.stores.journal.writer import is_malformed
from lakebed.vocabulary.errors import JournalFailed, StoreUnavailable
from lakebed.vocabulary.messages import Channel, Entry
from lakebed.vocabulary.times import Micros

Row = tuple[int, int, int, bytes]
"""offset, count, bytes of payload, block"""

_ROWS = """
SELECT offset, count, size, block FROM batches
WHERE offset >= coalesce((SELECT max(offset) FROM batches WHERE offset <= :offset), 0)
  AND offset + count > :offset AND offset < :end
ORDER BY offset
"""

_WRITTEN = """
SELECT at FROM batches
WHERE offset >= coalesce((SELECT max(offset) FROM batches WHERE offset <= :offset), 0)
  AND offset + count > :offset
ORDER BY offset LIMIT 1
"""


class Blocks:
    """Reads the stored batches through read-only connections. Any thread.

    Args:
        on_damaged: called with the offset of a damaged block.
        on_malformed: called when the file itself is damaged. Reading then raises `JournalFailed`:
            the next start salvages what is intact.
    """

    def __init__(
        self, path: Path, on_damaged: Callable[[int], None], on_malformed: Callable[[], None]
    ) -> None:
        self._path = path
        self._on_damaged = on_damaged
        self._on_malformed = on_malformed
        self._idle: list[sqlite3.Connection] = []
        self._closed = False

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """Open a connection for one thread; each statement sees the commits before it."""
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = database.open_reader(self._path)
        try:
            yield connection
        except sqlite3.Error as error:
            if is_malformed(error):
                self._on_malformed()
                raise JournalFailed(f"the journal's file is damaged: {error}") from error
            raise StoreUnavailable(f"the journal cannot be read: {error}") from error
        finally:
            self._idle.append(connection)
            if self._closed:
                self.close()

    def read(self, offset: int, end: int, limit: int) -> tuple[list[Entry], int]:
        """Read entries from `offset` below `end`, about `limit` messages; also the next offset."""
        found: list[Entry] = []
        messages = size = 0
        with closing(self._rows(offset, end)) as rows:
            for start, count, weight, block in rows:
                try:
                    batch = decode(block)
                    if len(batch) != count:
                        raise Damaged("its length is wrong")
                except Damaged:
                    self._on_damaged(start)
                else:
                    found.append(cut(Entry(0, start, batch), offset))
                    messages += len(found[-1].batch)
                    size += weight
                if messages >= limit or size >= READ_BYTES:
                    return found, start + count
        return found, end

    def count(self, offset: int, end: int) -> Counter[Channel]:
        """Count the messages from `offset` below `end` by channel."""
        counts: Counter[Channel] = Counter()
        for start, _, _, block in self._rows(offset, end):
            try:
                counts.update(count_channels(block, max(0, offset - start)))
            except Damaged:
                self._on_damaged(start)
        return counts

    def oldest(self) -> Micros | None:
        """The time at which the oldest batch was written."""
        with self.connection() as connection:
            row = connection.execute("SELECT at FROM batches ORDER BY offset LIMIT 1").fetchone()
        return row[0] if row else None

    def newest(self) -> Micros | None:
        """The time at which the newest batch was written."""
        with self.connection() as connection:
            row = connection.execute(
                "SELECT at FROM batches ORDER BY offset DESC LIMIT 1"
            ).fetchone()
        return row[0] if row else None

    def written(self, offset: int) -> Micros | None:
        """The time at which the first message at or behind `offset` was written."""
        with self.connection() as connection:
            row = connection.execute(_WRITTEN, {"offset": offset}).fetchone()
        return row[0] if row else None

    def close(self) -> None:
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def _rows(self, offset: int, end: int) -> Generator[Row, None, None]:
        if offset >= end:
            return
        with self.connection() as connection:
            cursor = connection.execute(_ROWS, {"offset": offset, "end": end})
            try:
                yield from cursor
            finally:
                cursor.close()  # ends the read transaction, which would hold up the WAL
