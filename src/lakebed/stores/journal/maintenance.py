"""Operations on the journal's file besides appending: trimming, damage, dropping consumers."""

import sqlite3
from pathlib import Path

from lakebed.ports.journal.operating import Damage, DamagedBlock
from lakebed.stores.journal import database
from lakebed.vocabulary.errors import Conflict
from lakebed.vocabulary.times import Micros

_TRIM_ROWS = 256  # batches deleted in one transaction,
_TRIM_BYTES = 16 * 2**20  # or as many as hold this much: appends wait no longer than that


def trim(
    connection: sqlite3.Connection, floor: int, youngest: Micros, first: int, end: int
) -> tuple[int, int, int]:
    """Delete batches that lie below the offset `floor` and were appended before `youngest`.

    Args:
        first, end: the first offset of the log, and the one behind the last.

    Returns:
        the number of messages deleted, the number of batches read, and the first offset left.
    """
    batches = connection.execute(
        "SELECT offset, count, at, length(block) FROM batches ORDER BY offset LIMIT ?",
        (_TRIM_ROWS,),
    ).fetchall()
    messages = size = 0
    for offset, count, at, length in batches:
        if offset + count > floor or at >= youngest or size > _TRIM_BYTES:
            break
        messages, size, first = messages + count, size + length, offset + count
    if messages:
        connection.execute("DELETE FROM batches WHERE offset < ?", (first,))
        connection.execute("INSERT OR REPLACE INTO meta VALUES ('end', ?)", (end,))
    return messages, len(batches), first


def damage(connection: sqlite3.Connection, path: Path) -> Damage:
    """The damage recorded since the last acknowledgement (see `salvage`)."""
    rows = connection.execute("SELECT offset, count, at FROM damaged ORDER BY offset").fetchall()
    blocks = tuple(DamagedBlock(0, *row) for row in rows)
    notes = dict(connection.execute("SELECT key, value FROM meta").fetchall())
    missing = int(notes.get("lost", 0))
    return Damage(
        messages=sum(block.count for block in blocks) + missing,
        missing=missing,
        salvaged=bool(notes.get("salvaged")),
        blocks=blocks,
        files=tuple(sorted(map(str, path.parent.glob(f"{path.name}.damaged-*")))),
    )


def damaged(connection: sqlite3.Connection) -> int:
    """Messages known to be damaged or missing since the last acknowledgement."""
    (quarantined,) = connection.execute("SELECT coalesce(sum(count), 0) FROM damaged").fetchone()
    notes = dict(connection.execute("SELECT key, value FROM meta"))
    return int(quarantined) + int(notes.get("lost", 0) + notes.get("salvaged", 0))


def quarantine(offset: int, connection: sqlite3.Connection) -> int:
    """Move a damaged block to the table `damaged`; return how many messages it had."""
    moved = connection.execute(
        "INSERT OR IGNORE INTO damaged SELECT offset, count, at, block FROM batches"
        " WHERE offset = ? RETURNING count",
        (offset,),
    ).fetchall()
    connection.execute("DELETE FROM batches WHERE offset = ?", (offset,))
    return sum(count for (count,) in moved)


def acknowledge_damage(seen: Damage, path: Path, connection: sqlite3.Connection) -> None:
    """Delete the recorded damage; raise `Conflict` if another number of messages is damaged."""
    found = damage(connection, path).messages
    if found != seen.messages:
        raise Conflict(f"{found} messages are lost, not {seen.messages}: look again")
    end = database.extent(connection)[1]
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('end', ?)", (end,))
    connection.execute("DELETE FROM damaged")
    connection.execute("DELETE FROM meta WHERE key IN ('lost', 'salvaged')")


def drop(name: str, connection: sqlite3.Connection) -> int:
    """Delete a consumer's positions; return how many there were."""
    return connection.execute("DELETE FROM consumers WHERE name = ?", (name,)).rowcount
