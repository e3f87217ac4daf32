"""What an operator asks of the journal's file: what was damaged, and who holds it."""

import sqlite3
from pathlib import Path

from lakebed.ports import Damage, DamagedBlock


def damage(connection: sqlite3.Connection, path: Path) -> Damage:
    """What stands in the notes since the last acknowledgement (see `salvage`)."""
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


def drop(name: str, connection: sqlite3.Connection) -> int:
    """Remove a consumer's places; returns how many there were."""
    return connection.execute("DELETE FROM consumers WHERE name = ?", (name,)).rowcount
