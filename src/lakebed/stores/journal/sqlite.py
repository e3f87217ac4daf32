"""The embedded journal: one SQLite file, one row per batch, one partition.

append ──> writer thread ──> file (fsync) ──┐
                 └──> recent entries ───────┴──> consumers, entries, pending

A reader near the end is served from memory; one that lags reads blocks from the file through
read-only connections, which block no writer. Offsets count messages from 0 without a gap, except
for damaged blocks.
"""

import asyncio
import os
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from lakebed.ports.health import Health
from lakebed.ports.journal.backup import JournalSnapshot
from lakebed.ports.journal.consuming import Consumer
from lakebed.ports.journal.operating import ConsumerPosition, Damage, Pressure
from lakebed.stores.journal import blocks, database, figures, identities, maintenance, salvage
from lakebed.stores.journal.age import WriterTime, uptime
from lakebed.stores.journal.copying import SqliteSnapshot
from lakebed.stores.journal.embedded import EmbeddedJournal
from lakebed.stores.journal.pins import RetentionPins
from lakebed.stores.journal.reading import Blocks
from lakebed.stores.journal.recent import Recent, count_channels, count_new, stored_once
from lakebed.stores.journal.settings import JournalSection
from lakebed.stores.journal.space import SpaceLimit
from lakebed.stores.journal.tail import TailConsumer
from lakebed.stores.journal.writer import Writer, is_malformed
from lakebed.system.processes import process_name
from lakebed.vocabulary import times
from lakebed.vocabulary.errors import Conflict, Fatal, JournalFull, NotFound
from lakebed.vocabulary.messages import Batch, Channel, Entry, Ints
from lakebed.vocabulary.times import SECOND, Micros

_TRIM_KEYS = 5_000
_INSERT = "INSERT INTO batches (offset, count, at, size, block) VALUES (?, ?, ?, ?, ?)"


class SqliteJournal(EmbeddedJournal):
    """See the port `Journal`.

    While more than three quarters of `options.limit` are in use, `trim` ignores the minimum span
    and keeps only what consumers need: a long span cannot stop the intake.

    Args:
        path: the database file; a missing folder is made.
        begin: the lowest offset to append at; a consumer may have saved lower ones.
        cache: bytes of memory for the newest entries.
        clock: wall clock; ages are not computed from it alone (see `age.py`).
        passed: a monotonic clock, microseconds.

    Raises:
        Fatal: another process has it open, or the file is not a journal.
    """

    def __init__(
        self,
        path: Path,
        options: JournalSection | None = None,
        *,
        begin: int = 0,
        cache: int = 64 * 2**20,
        clock: Callable[[], Micros] = times.now,
        passed: Callable[[], Micros] = uptime,
    ) -> None:
        self._path = path
        self._options = options or JournalSection()
        self._clock, self._passed = clock, passed
        self._recent = Recent(cache)
        self._space = SpaceLimit(self._options.limit)
        self._lock_descriptor = database.lock(path)
        try:
            self._open(begin)
        except BaseException:
            os.close(self._lock_descriptor)
            raise
        self._refused = ""  # the error of the last append, if the journal was full
        self._live: set[str] = set()
        self._closed = False
        self._pins = RetentionPins()  # offsets from which on snapshots need the log
        self.changed = threading.Condition()

    def _open(self, begin: int, again: bool = True) -> None:
        path = self._path
        connection = salvage.open_or_salvage(path, self._clock())
        self._blocks = Blocks(path, self._quarantine, self._suspect)
        try:
            self._look(connection, begin)
            self._writer = Writer(connection, self._suspect)
        except sqlite3.Error as error:
            connection.close()
            if not (again and is_malformed(error)):
                raise Fatal(f"the journal {path} cannot be opened: {error}") from None
            self._suspect()
            self._open(begin, again=False)

    def _look(self, connection: sqlite3.Connection, begin: int) -> None:
        self._positions = database.positions(connection)
        self._first, self.end = database.extent(connection)
        if begin > self.end:
            # an empty journal begins there; one with older messages gets a gap
            self._first = begin if self._first == self.end else self._first
            self.end = begin
        self._damaged = maintenance.damaged(connection)
        newest = database.newest(connection)
        self._span, self._horizon = (
            WriterTime(span, newest, self._clock, self._passed)
            for span in (self._options.span, self._options.id_horizon)
        )
        self._space.count(connection)
        self._fsync = database.fsync_mode(connection)

    # --- append -----------------------------------------------------------------------------------

    async def append(self, batch: Batch, release: Sequence[bytes] = ()) -> int:
        if not len(batch) and not release:
            return 0
        work = partial(self._append, batch, release)
        try:
            entry = await asyncio.wrap_future(self._writer.submit(work, self._publish))
        except JournalFull as full:
            self._refused = str(full)
            raise
        self._refused = ""
        return count_new(entry.batch)

    def _append(
        self, batch: Batch, release: Sequence[bytes], connection: sqlite3.Connection
    ) -> Entry:
        now = self._clock()
        if batch.sparse.keys is not None:
            oldest = self._horizon.oldest()
            keys = batch.sparse.keys
            fresh = identities.unknown(connection, keys, oldest)
            if len(fresh) < len(batch):
                keys = [keys[i] for i in fresh]
            identities.remember(connection, keys, now)
            batch = stored_once(batch, fresh)
            self._space.count_soon()  # keys take space too
        if release:
            identities.release(connection, release)
        if len(batch):
            block = blocks.encode(batch)
            self._space.take(connection, len(block))
            size = sum(map(len, batch.payloads))
            connection.execute(_INSERT, (self.end, len(batch), now, size, block))
            self._writer.wrote(len(block))
        return Entry(0, self.end, batch)

    def _publish(self, entry: Entry) -> None:
        if len(entry.batch):
            with self.changed:
                self._recent.push(entry)
                self.end = entry.end
                self.changed.notify_all()

    def known(self, prefix: bytes) -> list[bytes]:
        oldest = self._horizon.oldest()
        with self._blocks.connection() as connection:
            return identities.beginning(connection, prefix, oldest)

    def remembered(self) -> Iterator[tuple[list[bytes], Ints]]:
        """See the port `Predecessor`."""
        oldest = self._horizon.oldest()
        with self._blocks.connection() as connection:
            for rows in identities.noted(connection, oldest):
                keys, at = zip(*rows, strict=True)
                yield list(keys), np.array(at, np.int64)

    # --- read -------------------------------------------------------------------------------------

    def consumer(self, name: str) -> Consumer:
        with self.changed:
            if name in self._live:
                raise ValueError(f"there is a consumer {name!r} already")
            self._live.add(name)
            if name not in self._positions:
                self._positions[name] = 0
                self._writer.position(name, 0)
        return TailConsumer(self, name, self._live.discard)

    def extent(self) -> dict[int, tuple[int, int]]:
        with self.changed:
            return {0: (self._first, self.end)}

    def distance(self, partition: int, start: int, end: int) -> int:
        return end - start

    def entries(self, partition: int, offset: int, limit: int) -> list[Entry]:
        return self.read(offset, limit)[0] if partition == 0 else []

    def read(self, offset: int, limit: int) -> tuple[list[Entry], int]:
        """Read entries from `offset` on; return them with the next offset (for consumers)."""
        with self.changed:
            offset, end = max(offset, self._first), self.end
            if offset >= end:
                return [], offset
            found = self._recent.read(offset, limit)
        if found:
            return found, found[-1].end
        return self._blocks.read(offset, end, limit)

    def pending(self, since: Mapping[int, int]) -> Counter[Channel]:
        with self.changed:
            offset = max(since.get(0, 0), self._first)
            recent = self._recent.since(offset)
            edge = self.end if self._recent.start is None else self._recent.start
        return self._blocks.count(offset, edge) + count_channels(recent)

    # --- for consumers ----------------------------------------------------------------------------

    def committed(self, name: str) -> int | None:
        with self.changed:
            return self._positions.get(name)

    def commit(self, name: str, offset: int) -> None:
        """Set a position, which is written later. After a crash replay tolerates an old one."""
        with self.changed:
            if offset > self._positions.get(name, 0):
                self._positions[name] = offset
                self._recent.release(min(self._positions.values()))
                self._writer.position(name, offset)

    def positions(self) -> list[ConsumerPosition]:
        with self.changed:
            first, end = self._first, self.end
            found = [(name, at, name in self._live) for name, at in self._positions.items()]
        return [
            ConsumerPosition(name, 0, at, end - max(at, first), self._age_of_next(at, end), live)
            for name, at, live in sorted(found)
        ]

    def _age_of_next(self, position: int, end: int) -> float | None:
        at = self._blocks.written(position) if position < end else None
        return None if at is None else max(0.0, (self._clock() - at) / SECOND)

    def readers(self, name: str) -> dict[int, str]:
        with self.changed:
            return {0: process_name()} if name in self._live else {}

    def drop_consumer(self, name: str) -> None:
        with self.changed:
            if name not in self._positions:
                raise NotFound(f"no consumer is called {name!r}")
            if name in self._live:
                raise Conflict(f"{name!r} is reading: only a consumer that is gone can be dropped")
            del self._positions[name]
        self._writer.drop_consumer(name)
        self._writer.submit(partial(maintenance.drop, name)).result()

    # --- trimming ---------------------------------------------------------------------------------

    def trim(self) -> int:
        total = 0
        try:
            while count := self._writer.submit(self._trim, self._trimmed).result()[0]:
                total += count
            while self._writer.submit(self._expire).result() == _TRIM_KEYS:
                pass
        except JournalFull:
            pass  # the disk is too full even for deleting; the next call tries again
        return total

    def _trim(self, connection: sqlite3.Connection) -> tuple[int, int]:
        """Delete some batches; return how many messages they had, and the first offset left."""
        youngest = self._span.oldest()
        if self._space.is_scarce(connection):
            youngest = times.LATEST
        with self.changed:
            floor = min([*self._positions.values(), *self._pins.offsets()], default=self.end)
            first, end = self._first, self.end
        messages, rows, first = maintenance.trim(connection, floor, youngest, first, end)
        if messages:
            self._writer.wrote(database.PAGE * rows)
        self._space.count(connection)
        return messages, first

    def _trimmed(self, result: tuple[int, int]) -> None:
        with self.changed:
            self._first = result[1]

    def _expire(self, connection: sqlite3.Connection) -> int:
        oldest = self._horizon.oldest()
        return identities.expire(connection, oldest, _TRIM_KEYS)

    # --- snapshots --------------------------------------------------------------------------------

    def snapshot(self) -> JournalSnapshot:
        return self._writer.submit(lambda _: SqliteSnapshot(self._path, *self._held())).result()

    def pin(self, offset: int) -> Callable[[], None]:
        return self._pins.pin(offset)

    def _held(self) -> tuple[dict[str, int], int, int, Micros, Callable[[], None]]:
        """Capture the positions and the end. On the writer's thread, so between two appends."""
        with self.changed:
            positions = dict(self._positions)
            needed = [*positions.values(), *self._pins.offsets()]  # fills pin what they will read
            start = max(self._first, min(needed, default=self.end))
        return positions, start, self.end, self._clock(), self.pin(start)

    # --- damage -----------------------------------------------------------------------------------

    def _quarantine(self, offset: int) -> None:
        """Move an unreadable block to the table `damaged`, for the operator."""
        self._writer.submit(partial(maintenance.quarantine, offset), self._counted)

    def _counted(self, messages: int) -> None:
        self._damaged += messages

    def _suspect(self) -> None:
        """Mark the file, which SQLite finds malformed, so that the next start salvages it."""
        salvage.suspect(self._path)

    # --- state ------------------------------------------------------------------------------------

    def health(self) -> Health:
        first, end = self.extent()[0]
        with self.changed:
            positions = dict(self._positions)
        detail = {
            "bytes": database.file_size(self._path),
            "used": self._space.used,
            "limit": self._space.limit,
            "pressure": self.pressure().full,
            "messages": end - first,
            "oldest": self._oldest_age(),
            "ahead": self._ahead(),
            "damaged": self._damaged,
            "fsync": self._fsync,
            "behind": {name: end - max(at, first) for name, at in sorted(positions.items())},
        }
        of_file = figures.samples({**detail, "file": detail["bytes"]})
        samples = (*of_file, self._writer.fsyncs.sample())
        if self._writer.failure is not None:
            return Health(False, str(self._writer.failure), detail, samples)
        if self._refused:
            return Health(False, self._refused, detail, samples)
        if self._damaged:
            return Health(
                False,
                f"{self._damaged} messages were damaged and put aside: see `lakebed journal show`",
                detail,
                samples,
            )
        return Health(True, "", detail, samples)

    def _oldest_age(self) -> float | None:
        """Seconds since the oldest batch was written."""
        at = self._blocks.oldest()
        return None if at is None else max(0.0, (self._clock() - at) / SECOND)

    def pressure(self) -> Pressure:
        return self._space.pressure()

    def time(self) -> Micros:
        return self._span.now()

    def damage(self) -> Damage:
        with self._blocks.connection() as connection:
            return maintenance.damage(connection, self._path)

    def _ahead(self) -> float:
        """Seconds by which the newest batch is ahead of the clock, which was set back since."""
        at = self._blocks.newest()
        return 0.0 if at is None else max(0.0, (at - self._clock()) / SECOND)

    def acknowledge_damage(self, seen: Damage) -> None:
        """Delete the damaged blocks and report healthy again."""
        work = partial(maintenance.acknowledge_damage, seen, self._path)
        self._writer.submit(work, self._acknowledged).result()

    def _acknowledged(self, _: None) -> None:
        self._damaged = 0  # on the writer's thread, which also counts what is found later

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._blocks.close()
            self._writer.close()
            os.close(self._lock_descriptor)
