"""The journal's SQLite file: its tables, how it is opened, and its extent.

WAL with `synchronous=FULL`: a commit has returned only when the frames and their commit mark were
fsynced. SQLite 3.7.0 … 3.51.2 can damage a file when two connections write or checkpoint at the
same time ("WAL-reset bug", https://sqlite.org/wal.html#walresetbug). So one connection writes and
checkpoints, a lock file keeps other processes out, and readers open the file read-only.

Checkpoints are asked for by the writer, never automatic: SQLite ignores an error of an automatic
one, and an fsync that failed must not be tried again as if nothing had happened.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lakebed.system import files
from lakebed.vocabulary.errors import Fatal
from lakebed.vocabulary.times import Micros

APPLICATION = 0x4C616B65  # "Lake"
VERSION = 1
_SCHEMA = """
CREATE TABLE batches (
    offset INTEGER PRIMARY KEY,  -- of the first message
    count INTEGER NOT NULL,
    at INTEGER NOT NULL,         -- when it was written, microseconds
    size INTEGER NOT NULL,       -- bytes of all payloads
    block BLOB NOT NULL);
CREATE TABLE damaged (
    offset INTEGER PRIMARY KEY, count INTEGER NOT NULL, at INTEGER NOT NULL, block BLOB NOT NULL);
CREATE TABLE ids (key BLOB PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX ids_at ON ids (at);
CREATE TABLE consumers (
    name TEXT, partition INTEGER, offset INTEGER NOT NULL, PRIMARY KEY (name, partition)
) WITHOUT ROWID;
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""
PAGE = 512
"""Bytes of a page of a new file: see docs/decisions/010-small-pages.md."""
PAGES = (PAGE, 4096)
"""Sizes that files have: those made by the first versions keep theirs."""
_PRAGMAS: dict[str, Any] = {
    "journal_mode": "wal",
    "synchronous": 2,  # FULL
    "wal_autocheckpoint": 0,
    "secure_delete": 0,  # no need to overwrite what trimming deletes
    "cache_size": -16384,  # KiB
    "journal_size_limit": 64 * 2**20,
    "busy_timeout": 2000,  # ms; only an operator's sqlite3 shell can make us wait
}


@contextmanager
def readable_errors() -> Iterator[None]:
    """SQLite quotes the damaged schema in its message, and the driver fails to read that as text.

    Raises:
        sqlite3.DatabaseError: so it did.
    """
    try:
        yield
    except UnicodeDecodeError as error:
        raise sqlite3.DatabaseError("the schema is damaged") from error


def lock(path: Path) -> int:
    """Lock the journal against other processes; return the lock's descriptor.

    Raises:
        Fatal: another process has it, or the folder cannot be written to.
    """
    try:
        descriptor = files.lock(path.with_name(path.name + ".lock"))
    except OSError as error:
        raise Fatal(f"the journal {path} cannot be opened: {error.strerror}") from None
    if descriptor is None:
        raise Fatal(f"another process has opened the journal {path}")
    return descriptor


def open_writer(path: Path) -> sqlite3.Connection:
    """Open or create the file, with the only connection that writes.

    Raises:
        sqlite3.DatabaseError: it is damaged.
        OSError: its name cannot be made durable.
        Fatal: it is another program's, or of a newer version.
    """
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        with readable_errors():
            _check_kind(connection, path)
        connection.execute(f"PRAGMA page_size={PAGE}")  # counts when the file is made
        for name, value in _PRAGMAS.items():
            connection.execute(f"PRAGMA {name}={value}")
            found = connection.execute(f"PRAGMA {name}").fetchone()[0]
            if found != value:
                raise Fatal(f"SQLite does not accept {name}={value} for {path} (it is {found})")
        if not connection.execute("PRAGMA user_version").fetchone()[0]:
            connection.executescript(
                f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA application_id={APPLICATION};"
                f" PRAGMA user_version={VERSION}; COMMIT"
            )
        # At every start, because an earlier one may have failed here. SQLite syncs the folder
        # too, for its WAL, but ignores errors.
        files.sync(path.parent)
        files.sync(path.parent.parent)
    except BaseException:
        connection.close()
        raise
    return connection


def fsync_mode(connection: sqlite3.Connection) -> str:
    """SQLite's `synchronous` mode, by its documented name."""
    (mode,) = connection.execute("PRAGMA synchronous").fetchone()
    return ("OFF", "NORMAL", "FULL", "EXTRA")[mode]


def _check_kind(connection: sqlite3.Connection, path: Path) -> None:
    kind = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if tables and "batches" not in tables and kind != APPLICATION:
        raise Fatal(f"{path} is not a journal but some other SQLite database")
    if version > VERSION:
        raise Fatal(f"{path} was written by a newer version of Lakebed (format {version})")


def open_reader(path: Path) -> sqlite3.Connection:
    """Open a connection that can neither write nor checkpoint."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.execute("PRAGMA query_only=1")
    connection.execute("PRAGMA wal_autocheckpoint=0")
    connection.execute("PRAGMA busy_timeout=10000")
    if connection.execute("PRAGMA query_only").fetchone()[0] != 1:
        raise Fatal("SQLite does not accept query_only=1")
    return connection


# --- what the tables say --------------------------------------------------------------------------


def positions(connection: sqlite3.Connection) -> dict[str, int]:
    rows = connection.execute("SELECT name, offset FROM consumers WHERE partition = 0")
    return dict(rows.fetchall())


def newest(connection: sqlite3.Connection) -> Micros | None:
    """When the newest batch or key was written; None where there is neither."""
    (batch,) = connection.execute(
        "SELECT max(at) FROM (SELECT at FROM batches ORDER BY offset DESC LIMIT 1)"
    ).fetchone()
    (key,) = connection.execute("SELECT max(at) FROM ids").fetchone()
    return max((at for at in (batch, key) if at is not None), default=None)


def extent(connection: sqlite3.Connection) -> tuple[int, int]:
    """The first offset and the end. No offset is used twice, even after trimming."""
    (first,) = connection.execute("SELECT min(offset) FROM batches").fetchone()
    ends = connection.execute(
        """
        SELECT max(offset + count) FROM (SELECT * FROM batches ORDER BY offset DESC LIMIT 1)
        UNION ALL SELECT max(offset + count) FROM damaged
        UNION ALL SELECT max(offset) FROM consumers
        UNION ALL SELECT max(value) FROM meta WHERE key = 'end'
        """
    ).fetchall()
    end = max(value or 0 for (value,) in ends)
    return end if first is None else first, end


def page_size(connection: sqlite3.Connection) -> int:
    size: int = connection.execute("PRAGMA page_size").fetchone()[0]
    return size


def room_for(size: int) -> int:
    """Bytes of pages that a row of this size takes at most, and what its insertion changes."""
    return size + size // 128 + PAGES[-1]


def used(connection: sqlite3.Connection) -> int:
    """Bytes of the pages in use; free pages are reused before the file grows."""
    pages: int = connection.execute("PRAGMA page_count").fetchone()[0]
    free: int = connection.execute("PRAGMA freelist_count").fetchone()[0]
    return (pages - free) * page_size(connection)


def file_size(path: Path) -> int:
    return sum(
        file.stat().st_size for file in (path, path.with_name(path.name + "-wal")) if file.exists()
    )
