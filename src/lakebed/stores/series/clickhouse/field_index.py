"""Columns for fields of JSON records, which make conditions on them fast.

    text  {"user_id": 42, …} ──JSONExtract──> index_9c1f…         Nullable(String), bloom filter
                                         └──> index_9c1f…_number  Nullable(Float64), min and max

Each column has the expression by which a reader without it would find the value, so an answer is
the same whether a column is there or not. In a part that was written before the column, the engine
computes it when it is read; a mutation in the background writes it.

The names are hashes of the steps, and the steps are in the statements as hexadecimal digits: no
text of a user becomes a part of a statement.
"""

from collections.abc import Collection, Iterable
from hashlib import blake2b

from lakebed.kinds.archive import ARCHIVE
from lakebed.kinds.tables import TYPES

TABLE = ARCHIVE.name
MOST_INDEXED = 64
"""Fields that one store indexes, of all policies together."""

Steps = tuple[str, ...]

PREFIX = "index_"
_NUMBER = "_number"
_HASH = 16  # hexadecimal digits


def column(steps: Steps) -> str:
    """The column with a field as text: strings as they are, other values as their JSON."""
    digest = blake2b("\0".join(steps).encode(), digest_size=_HASH // 2).hexdigest()
    return f"{PREFIX}{digest}"


def number_column(steps: Steps) -> str:
    """The column with a field as number; null where it is none."""
    return column(steps) + _NUMBER


def is_text_column(name: str) -> bool:
    return name.startswith(PREFIX) and len(name) == len(PREFIX) + _HASH


def extracted(keys: Iterable[str]) -> str:
    """The SQL expression that finds a field in the text; `keys` are expressions themselves."""
    return f"JSONExtract(text, {', '.join(keys)}, 'Nullable(String)')"


def additions(table: str, steps: Steps) -> str:
    """The statement that adds the columns and skipping indexes of a field.

    Args:
        table: with its database, and an ON CLUSTER clause if needed.
    """
    text, number = column(steps), number_column(steps)
    return (
        f"ALTER TABLE {table} {', '.join(_columns(steps))},"
        f" ADD INDEX IF NOT EXISTS `{text}` `{text}` TYPE bloom_filter(0.01) GRANULARITY 1,"
        f" ADD INDEX IF NOT EXISTS `{number}` `{number}` TYPE minmax GRANULARITY 1"
    )


def plain_additions(table: str, steps: Steps) -> str:
    """The same for a table that holds no rows itself, and so has no indexes."""
    return f"ALTER TABLE {table} {', '.join(_columns(steps))}"


def _columns(steps: Steps) -> list[str]:
    text, number = column(steps), number_column(steps)
    found = extracted(f"unhex('{step.encode().hex()}')" for step in steps)
    of_json = f"if(type = {TYPES['json']}, {found}, NULL)"
    return [
        f"ADD COLUMN IF NOT EXISTS `{text}` Nullable(String) DEFAULT {of_json} CODEC(ZSTD(1))",
        f"ADD COLUMN IF NOT EXISTS `{number}` Nullable(Float64)"
        f" DEFAULT toFloat64OrNull(`{text}`) CODEC(ZSTD(1))",
    ]


def materialization(table: str, steps: Steps) -> str:
    """The statement that writes the columns and indexes of rows that are there; in background."""
    parts = [
        f"MATERIALIZE {what} `{name}`"
        for what in ("COLUMN", "INDEX")
        for name in (column(steps), number_column(steps))
    ]
    return f"ALTER TABLE {table} {', '.join(parts)}"


def removals(table: str, text: str, indexed: bool = True) -> str:
    """The statement that drops the columns of a field.

    Args:
        text: the name of its text column.
        indexed: whether the table has skipping indexes.
    """
    names = (text + _NUMBER, text)
    dropped = [f"DROP INDEX IF EXISTS `{name}`" for name in names] if indexed else []
    dropped += [f"DROP COLUMN IF EXISTS `{name}`" for name in names]
    return f"ALTER TABLE {table} {', '.join(dropped)}"


def wanted_columns(fields: Collection[Steps]) -> dict[str, Steps]:
    """The fields to index, by their text columns: as many as are allowed, in order of names."""
    chosen = sorted(set(fields))[:MOST_INDEXED]
    return {column(steps): steps for steps in chosen}
