"""The thread that alone writes to the journal's file, one transaction for each job.

append  ──┐                    BEGIN, work, positions of consumers, COMMIT (fsync)
trim    ──┼──> queue ──> thread ──> after the commit: publish, resolve the future
damage  ──┘                    now and then: checkpoint
"""

import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from lakebed.ports.metrics import HistogramMetric
from lakebed.stores.journal.database import page_size
from lakebed.system.threads import name_this_thread
from lakebed.vocabulary.errors import JournalFailed, JournalFull

FSYNC = HistogramMetric(
    "lakebed_journal_fsync_seconds",
    "How long commits to the journal's file took, fsync included.",
)

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

_LAZY = 1.0  # seconds after which positions of consumers are written without an append
_CHECKPOINT = 4 * 2**20  # bytes of the WAL
_OVERGROWN = 64 * 2**20  # bytes of the WAL at which a checkpoint waits for readers
_POSITION = "INSERT OR REPLACE INTO consumers (name, partition, offset) VALUES (?, 0, ?)"
_DISK = {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}
_DISK_ADVICE = (
    "; the disk of its home fails or has become read-only: see the kernel's log (dmesg), then start"
    " again, which goes on from all that was acknowledged"
)
_ROOM = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def translate(error: sqlite3.Error) -> JournalFull | JournalFailed:
    """Translate the error of a write transaction that was rolled back.

    An error that is not known to be temporary is fatal. SQLITE_IOERR is among these, because a
    failed fsync raises it.
    """
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    name = getattr(error, "sqlite_errorname", "SQLITE_ERROR")
    if code & 0xFF in _ROOM:
        return JournalFull(f"the journal cannot be written to now: {error} ({name})")
    advice = _DISK_ADVICE if code & 0xFF in _DISK else ""
    return JournalFailed(f"writing to the journal failed: {error} ({name}){advice}")


def is_malformed(error: sqlite3.Error) -> bool:
    """Whether SQLite reports that the file is damaged."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


@dataclass(frozen=True, slots=True)
class _Job:
    work: Work[Any]
    after: Callable[[Any], None] | None
    future: "Future[Any]"


def _nothing(_: sqlite3.Connection) -> None:
    """A transaction for the positions alone."""


class Writer:
    """Runs work in transactions, one after the other, in the order of `submit`.

    Args:
        connection: opened by `database.open_writer`; used by this writer only.
        on_damage: called when SQLite finds its file malformed.

    Attributes:
        fsyncs: how long commits took.
    """

    def __init__(self, connection: sqlite3.Connection, on_damage: Callable[[], None]) -> None:
        self._connection = connection
        self._on_damage = on_damage
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._positions: dict[str, int] = {}
        self._lock = threading.Lock()
        self._closing = False
        self._page = page_size(connection)
        self.fsyncs = FSYNC.distribution()
        self._pages = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1]
        self.failure: JournalFailed | None = None
        self._thread = threading.Thread(target=self._run, name="journal-writer", daemon=True)
        self._thread.start()

    def submit(self, work: Work[T], after: Callable[[T], None] | None = None) -> "Future[T]":
        """Queue a transaction; `after` runs on the thread once it is durable, before the future."""
        future: Future[T] = Future()
        with self._lock:
            if self._closing:
                future.set_exception(JournalFailed("the journal is closed"))
            else:
                self._jobs.put(_Job(work, after, future))
        return future

    def position(self, name: str, offset: int) -> None:
        """Set a consumer's position; the next transaction writes it, or one soon after."""
        with self._lock:
            idle = not self._positions
            self._positions[name] = offset
        if idle:
            self._jobs.put(None)

    def drop_consumer(self, name: str) -> None:
        """Stop writing this consumer's position; the caller deletes its row."""
        with self._lock:
            self._positions.pop(name, None)

    def wrote(self, size: int) -> None:
        """Add written bytes, which decide when to checkpoint. Called by jobs that write much."""
        self._pages += size // self._page + 4

    def close(self) -> None:
        """Finish the queued jobs, checkpoint and close the connection. Any thread, idempotent."""
        with self._lock:
            self._closing = True
        self._jobs.put(None)
        self._thread.join()

    # --- on the thread ----------------------------------------------------------------------------

    def _run(self) -> None:
        name_this_thread("journal-writer")
        while not (self._closing and self._jobs.empty()):
            try:
                lazy = self._positions and self.failure is None
                job = self._jobs.get(timeout=_LAZY if lazy else None)
            except queue.Empty:
                self._perform(_Job(_nothing, None, Future()))
                continue
            if job is not None and job.future.set_running_or_notify_cancel():
                self._perform(job)
                self._checkpoint_if_due()
        if self.failure is None:
            if self._positions:
                self._perform(_Job(_nothing, None, Future()))
            self._checkpoint("TRUNCATE")
        self._connection.close()

    def _perform(self, job: _Job) -> None:
        try:
            if self.failure is not None:
                raise JournalFailed(str(self.failure))
            result = self._transact(job.work)
            if job.after is not None:
                job.after(result)
        except BaseException as error:
            job.future.set_exception(error)
        else:
            job.future.set_result(result)

    def _transact(self, work: Work[T]) -> T:
        with self._lock:
            positions, self._positions = self._positions, {}
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            result = work(connection)
            if positions:
                connection.executemany(_POSITION, positions.items())
            started = time.monotonic()
            connection.execute("COMMIT")
            self.fsyncs.observe(time.monotonic() - started)
        except BaseException as error:
            self._roll_back(positions)
            if isinstance(error, sqlite3.Error):
                raise self._noted(translate(error), error) from error
            raise
        return result

    def _roll_back(self, positions: dict[str, int]) -> None:
        with self._lock:
            self._positions = {**positions, **self._positions}
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            self._noted(JournalFailed(f"a rollback in the journal failed: {error}"), error)

    def _noted(
        self, meaning: JournalFull | JournalFailed, error: sqlite3.Error
    ) -> JournalFull | JournalFailed:
        if isinstance(meaning, JournalFailed) and self.failure is None:
            self.failure = meaning
            if is_malformed(error):
                self._on_damage()
        return meaning

    def _checkpoint_if_due(self) -> None:
        size = self._pages * self._page
        if size >= _CHECKPOINT and self.failure is None:
            self._checkpoint("RESTART" if size >= _OVERGROWN else "PASSIVE")

    def _checkpoint(self, mode: str) -> None:
        """Checkpoint: move committed pages from the WAL to the file, and reset the WAL.

        A reader of the WAL prevents the reset. Then it is tried again later, and if the WAL has
        grown much, the checkpoint waits for readers (up to `busy_timeout`).
        """
        try:
            _, pages, moved = self._connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
        except sqlite3.Error as error:
            self._noted(translate(error), error)
            self._pages = 0
        else:
            self._pages = pages - moved
