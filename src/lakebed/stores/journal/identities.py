"""The table of message keys, in the journal's own transactions: each key is stored once."""

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import islice

from lakebed.vocabulary.times import Micros

_SIZES = (512, 32, 1)  # keys of one query: few different statements, each prepared once
_CHUNK = 50_000


def unknown(connection: sqlite3.Connection, keys: Sequence[bytes], oldest: Micros) -> list[int]:
    """Return the indices of messages that have no key (b"") or are the first with a new key.

    Args:
        oldest: keys stored before this time are expired.
    """
    known = _known(connection, list(dict.fromkeys(filter(None, keys))), oldest)
    fresh: list[int] = []
    for i, key in enumerate(keys):
        if key:
            if key in known:
                continue
            known.add(key)
        fresh.append(i)
    return fresh


def _known(connection: sqlite3.Connection, keys: list[bytes], oldest: Micros) -> set[bytes]:
    found: set[bytes] = set()
    rest = iter(keys)
    left = len(keys)
    for size in _SIZES:
        marks = ",".join("?" * size)
        sql = f"SELECT key FROM ids WHERE key IN ({marks}) AND at >= ?"
        while left >= size:
            left -= size
            found.update(key for (key,) in connection.execute(sql, (*islice(rest, size), oldest)))
    return found


def remember(connection: sqlite3.Connection, keys: Sequence[bytes], at: Micros) -> None:
    connection.executemany(
        "INSERT OR REPLACE INTO ids (key, at) VALUES (?, ?)", [(key, at) for key in keys if key]
    )


def release(connection: sqlite3.Connection, keys: Sequence[bytes]) -> None:
    connection.executemany("DELETE FROM ids WHERE key = ?", [(key,) for key in keys])


def expire(connection: sqlite3.Connection, oldest: Micros, limit: int) -> int:
    """Delete at most `limit` keys stored before `oldest`; return how many."""
    return connection.execute(
        "DELETE FROM ids WHERE key IN (SELECT key FROM ids WHERE at < ? ORDER BY at LIMIT ?)",
        (oldest, limit),
    ).rowcount


def beginning(connection: sqlite3.Connection, prefix: bytes, oldest: Micros) -> list[bytes]:
    """Return the keys with this prefix that were stored at `oldest` or later, in order."""
    above = _above(prefix)
    bound = "" if above is None else " AND key < ?"
    parameters = (prefix, oldest) if above is None else (prefix, oldest, above)
    rows = connection.execute(
        f"SELECT key FROM ids WHERE key >= ? AND at >= ?{bound} ORDER BY key", parameters
    )
    return [key for (key,) in rows]


def noted(connection: sqlite3.Connection, oldest: Micros) -> Iterator[list[tuple[bytes, Micros]]]:
    """Read all keys stored at `oldest` or later with their times, in chunks."""
    rows = connection.execute("SELECT key, at FROM ids WHERE at >= ?", (oldest,))
    while found := rows.fetchmany(_CHUNK):
        yield found


def _above(prefix: bytes) -> bytes | None:
    """Return the smallest key above all keys with this prefix, or None."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else None
