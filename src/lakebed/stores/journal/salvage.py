"""Opens a journal whose file may be damaged: intact batches are kept, the old file is renamed.

Damage of a block is detected when it is read (`blocks.Damaged`). This module is for damage of the
file around the blocks, which SQLite finds malformed: the file is renamed, every batch that can be
read is copied into a new one, and missing messages are counted. A start never fails because of
damage, and never hides it: `meta` has the loss until an operator acknowledges it.
"""

import os
import shutil
import sqlite3
from contextlib import closing, suppress
from dataclasses import astuple
from pathlib import Path

import structlog

from lakebed.stores.journal import database
from lakebed.stores.journal.pages import PageScan, page_size, scan, wal_commits
from lakebed.system.files import sync
from lakebed.vocabulary.errors import Fatal
from lakebed.vocabulary.times import Micros

log = structlog.get_logger()

_QUICK = 64 * 2**20  # bytes up to which every page is checked when opening
_SMALLEST = 512  # bytes of a page
_GAP = 2**40
"""Offsets skipped after a salvage: it is unknown how many messages were lost behind the last one
found, and consumers may have saved their offsets."""
_LAST = 2**62
_REFUSALS = {  # no damage: an operator must fix the cause
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_AUTH,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_NOMEM,
}
_COPIES = (
    ("consumers", "name, partition, offset"),
    ("meta", "key, value"),
    ("damaged", "offset, count, at, block"),
    ("ids", "key, at"),
)


def is_damage(error: sqlite3.Error) -> bool:
    """Whether an error means a damaged file, not a full disk or a locked file."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF not in _REFUSALS


def suspect(path: Path) -> None:
    """Mark the file as damaged: the next start salvages it."""
    with suppress(OSError):
        _mark(path).touch()


def open_or_salvage(path: Path, now: Micros) -> sqlite3.Connection:
    """Open the writing connection, to the file or to a new one with the intact batches.

    Raises:
        Fatal: the file cannot be opened for a reason other than damage.
    """
    try:
        if _salvaged(path).exists():
            _take_place(path, now)
        elif _mark(path).exists() and path.exists():
            _salvage(path, now)
        else:
            _mark(path).unlink(missing_ok=True)
            try:
                return _checked(path)
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
                log.error("the journal's file is damaged", path=str(path), error=str(error))
            _salvage(path, now)
        return database.open_writer(path)
    except sqlite3.Error as error:
        raise Fatal(f"the journal {path} cannot be opened: {error}") from None
    except OSError as error:
        raise Fatal(f"the journal {path} cannot be opened: {error.strerror}") from None


def _mark(path: Path) -> Path:
    return path.with_name(path.name + ".suspect")


def _checked(path: Path) -> sqlite3.Connection:
    if path.exists() and 0 < path.stat().st_size < _SMALLEST:
        raise sqlite3.DatabaseError("the file is cut short")  # SQLite would treat it as a new one
    commits = _copy_wal(path)
    connection = database.open_writer(path)
    try:
        with database.readable_errors():
            _check_wal(connection, commits)
            _check_tables(connection, path)
        _wal_copy(path).unlink(missing_ok=True)
    except BaseException as error:
        if isinstance(error, sqlite3.DatabaseError) and is_damage(error):
            suspect(
                path
            )  # closing deletes the WAL: from here on a killed process must find the copy
        connection.close()
        raise
    return connection


def _check_tables(connection: sqlite3.Connection, path: Path) -> None:
    if path.stat().st_size <= _QUICK:
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
    for table in ("batches", "damaged", "ids", "consumers", "meta"):
        connection.execute(f"SELECT * FROM {table} LIMIT 1").fetchall()
    connection.execute("SELECT * FROM batches ORDER BY offset DESC LIMIT 1").fetchall()


def _wal_copy(path: Path) -> Path:
    return path.with_name(path.name + "-wal.copy")


def _copy_wal(path: Path) -> list[int]:
    """Copy the WAL that a killed process left, because SQLite deletes it on closing the file.

    Returns its commit frames.
    """
    wal, copy = Path(f"{path}-wal"), _wal_copy(path)
    copy.unlink(missing_ok=True)
    if not wal.exists():
        return []
    shutil.copyfile(wal, copy)
    return wal_commits(copy, page_size(path))


def _check_wal(connection: sqlite3.Connection, commits: list[int]) -> None:
    """Refuse a WAL if SQLite ignored more than one unfinished transaction.

    Each transaction is fsynced before the next one begins. If two follow the last frame that
    SQLite accepts, the first of them was durable and is damaged. A single one may be the rest of a
    write that a loss of power interrupted.
    """
    taken = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1]
    behind = sum(frame > taken for frame in commits)
    if behind > 1:
        raise sqlite3.DatabaseError(f"{behind} transactions of the WAL are damaged")


def _salvage(path: Path, now: Micros) -> None:
    """Replace the damaged file by one with its intact batches.

    A failing disk or a kill may interrupt it anywhere; the next start continues or begins again:

        the damaged file is read, never written ──> PATH.salvage grows ──> PATH.salvaged complete
        ──> the damaged file is renamed ──> the mark is deleted ──> PATH.salvaged becomes PATH
    """
    with suppress(FileNotFoundError):
        os.replace(_wal_copy(path), f"{path}-wal")  # as it was found
    Path(f"{path}-shm").unlink(missing_ok=True)
    building = path.with_name(path.name + ".salvage")
    for suffix in ("", "-wal", "-shm", "-journal"):
        Path(f"{building}{suffix}").unlink(missing_ok=True)
    fresh = database.open_writer(building)
    try:
        fresh.execute("BEGIN IMMEDIATE")
        _copy_all(path, fresh)
        fresh.execute("COMMIT")
        if fresh.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            raise sqlite3.OperationalError("the salvaged journal is in use")
    finally:
        fresh.close()
    os.replace(building, _salvaged(path))
    sync(path.parent)
    _take_place(path, now)


def _take_place(path: Path, now: Micros) -> None:
    """Do the last steps, when the salvaged file is complete. Can be repeated from any of them."""
    renamed = path.with_name(f"{path.name}.damaged-{now}")
    for suffix in ("", "-wal"):
        with suppress(FileNotFoundError):
            os.replace(f"{path}{suffix}", f"{renamed}{suffix}")
    Path(f"{path}-shm").unlink(missing_ok=True)
    sync(path.parent)
    _mark(path).unlink(missing_ok=True)
    os.replace(_salvaged(path), path)
    sync(path.parent)
    log.error("the damaged journal was renamed", old_file=str(renamed))


def _salvaged(path: Path) -> Path:
    return path.with_name(path.name + ".salvaged")


def _copy_all(path: Path, fresh: sqlite3.Connection) -> None:
    with closing(scan(path)) as pages:
        kept, lost, end = _copy_batches(pages, fresh)
    with closing(database.open_reader(path)) as old:  # must leave the WAL as it is
        for table, columns in _COPIES:
            _copy(old, fresh, table, columns)
    _note(fresh, "lost", lost)
    _note(fresh, "salvaged", 1)
    _note(fresh, "end", max(end, _known_end(fresh)) + _GAP)
    log.error("salvaged the journal", kept=kept, lost_at_least=lost)


def _copy_batches(pages: PageScan, fresh: sqlite3.Connection) -> tuple[int, int, int]:
    """Copy intact batches; return messages kept, messages missing between them, and the end.

    Pages freed by trimming may still have their batches. These come back, which replay tolerates,
    and trimmed messages between them count as missing.
    """
    kept = lost = end = 0
    for position in pages.positions():
        row = pages.row(*position)
        if row.offset < end:  # a flipped bit has changed one of the two offsets
            lost += row.count
            continue
        fresh.execute("INSERT INTO batches VALUES (?, ?, ?, ?, ?)", astuple(row))
        lost += row.offset - end if kept else 0
        kept += row.count
        end = row.offset + row.count
    return kept, lost, end


def _copy(old: sqlite3.Connection, fresh: sqlite3.Connection, table: str, columns: str) -> None:
    """Copy the readable rows of a small table, from its start and, after damage, from its end."""
    marks = ", ".join("?" * (columns.count(",") + 1))
    insert = f"INSERT OR IGNORE INTO {table} ({columns}) VALUES ({marks})"
    first = columns.partition(",")[0]
    for order in ("ASC", "DESC"):
        try:
            with database.readable_errors():
                rows = old.execute(f"SELECT {columns} FROM {table} ORDER BY {first} {order}")
            for row in rows:
                with suppress(sqlite3.IntegrityError):
                    fresh.execute(insert, row)
        except sqlite3.DatabaseError as error:
            log.error("a table of the journal is damaged", table=table, error=str(error))
        else:
            return


def _note(connection: sqlite3.Connection, key: str, value: int) -> None:
    connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (key, value))


def _known_end(fresh: sqlite3.Connection) -> int:
    """The highest offset in the copied tables."""
    found = fresh.execute(
        "SELECT max(offset) FROM consumers UNION ALL SELECT value FROM meta WHERE key = 'end'"
        " UNION ALL SELECT max(offset + count) FROM damaged"
    ).fetchall()
    return max((value for (value,) in found if isinstance(value, int) and value < _LAST), default=0)
