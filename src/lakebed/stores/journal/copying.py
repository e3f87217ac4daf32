"""Copies the embedded journal for a backup while it is written to.

The copy is a journal file with the messages that consumers still need, the ids within the horizon,
and the positions of consumers. It is made in short reads, because a long read transaction keeps the
WAL from being reset. The data read does not change meanwhile: batches below `end` are pinned, and
later ids have a later time.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from lakebed.stores.journal import database
from lakebed.system.files import sync
from lakebed.vocabulary.errors import StoreUnavailable
from lakebed.vocabulary.times import Micros

_ROWS = 16  # batches read at a time; one may hold megabytes
_IDS = 10_000
_BATCHES = (
    "SELECT offset, count, at, size, block FROM batches"
    " WHERE offset > ? AND offset < ? ORDER BY offset LIMIT ?"
)
_KEYS = "SELECT key, at FROM ids WHERE key > ? AND at <= ? ORDER BY key LIMIT ?"


class SqliteSnapshot:
    """Implements `ports.JournalSnapshot`.

    Args:
        path: the journal's file.
        positions: of each consumer at the moment of the snapshot.
        start: the first offset needed; may lie inside a batch.
        end: the offset behind the last message that was durable then.
        at: the time of the snapshot. Later ids have a later time, unless the clock is set back
            meanwhile; then ids of a few messages behind `end` are copied too.
        release: removes the retention pin; called once.
    """

    def __init__(
        self,
        path: Path,
        positions: dict[str, int],
        start: int,
        end: int,
        at: Micros,
        release: Callable[[], None],
    ) -> None:
        self.start: Mapping[int, int] = {0: start}
        self.end: Mapping[int, int] = {0: end}
        self._path, self._positions, self._at = path, positions, at
        self._release: Callable[[], None] | None = release

    def write(self, path: Path) -> None:
        try:
            self._write(path)
        except sqlite3.Error as error:
            raise StoreUnavailable(f"cannot copy the journal to {path}: {error}") from error

    def _write(self, path: Path) -> None:
        start, end = self.start[0], self.end[0]
        with closing(database.open_reader(self._path)) as source:
            copy = database.open_writer(path)
            try:
                for batches in _batches(source, start, end):
                    _insert(copy, "INSERT INTO batches VALUES (?, ?, ?, ?, ?)", batches)
                for keys in _keys(source, self._at):
                    _insert(copy, "INSERT INTO ids VALUES (?, ?)", keys)
                positions = [(name, min(at, end)) for name, at in self._positions.items()]
                _insert(copy, "INSERT INTO consumers VALUES (?, 0, ?)", positions)
                _insert(copy, "INSERT INTO meta VALUES (?, ?)", [("end", end)])
                copy.execute("PRAGMA journal_mode=delete")  # one file, without a WAL beside it
            finally:
                copy.close()
        sync(path)

    def close(self) -> None:
        release, self._release = self._release, None
        if release is not None:
            release()


def _batches(source: sqlite3.Connection, start: int, end: int) -> Iterator[list[tuple[int, ...]]]:
    """Read the batches from the one that contains `start` up to `end`."""
    (first,) = source.execute(
        "SELECT max(offset) FROM batches WHERE offset <= ?", (start,)
    ).fetchone()
    last = (start if first is None else first) - 1
    while rows := source.execute(_BATCHES, (last, end, _ROWS)).fetchall():
        yield rows
        last = rows[-1][0]


def _keys(source: sqlite3.Connection, at: Micros) -> Iterator[list[tuple[bytes, int]]]:
    last = b""
    while rows := source.execute(_KEYS, (last, at, _IDS)).fetchall():
        yield rows
        last = rows[-1][0]


def _insert(copy: sqlite3.Connection, statement: str, rows: Sequence[Sequence[object]]) -> None:
    copy.execute("BEGIN")
    copy.executemany(statement, rows)
    copy.execute("COMMIT")
