"""Tables of the series store: one per kind, so that each is ordered for its own questions.

Rules of all tables:

* The sorting key begins with owner and policy and names a row by its data (topic, time, journal
  position, window), never by the moment of the write. The engine is ReplacingMergeTree, so a row
  written again replaces itself; readers ask with FINAL and do not depend on merges.
* Whatever replaces whatever lies in the same partition, because the partition is computed from
  the key: FINAL then works partition by partition.
* `size` is the size of the message's payload in bytes; for aggregates, of the stored state.
"""

from dataclasses import dataclass

TYPES = {"number": 1, "text": 2, "json": 3}
"""Values of the column `type`: which of `number` and `text` holds the value."""

_OWNER = {
    "owner": "LowCardinality(String)",
    "policy": "LowCardinality(String)",
    "topic": "LowCardinality(String)",
}
_RECORD = {
    **_OWNER,
    "time": "DateTime64(6, 'UTC') CODEC(GCD, Delta, ZSTD(1))",
    "partition": "UInt32 CODEC(ZSTD(1))",
    "offset": "Int64 CODEC(DoubleDelta, ZSTD(1))",
    "type": "UInt8 CODEC(ZSTD(1))",
    "number": "Float64 CODEC(ZSTD(1))",
    "text": "String CODEC(ZSTD(1))",
    "id": "String CODEC(ZSTD(1))",
    "size": "UInt32 CODEC(ZSTD(1))",
}
_WINDOW = {
    **_OWNER,
    "start": "DateTime('UTC') CODEC(Delta, ZSTD(1))",
    "end": "DateTime('UTC') CODEC(Delta, ZSTD(1))",
    "partition": "UInt32 CODEC(ZSTD(1))",
    "fragment": "Int64 CODEC(ZSTD(1))",
    "version": "Int64 CODEC(ZSTD(1))",
    "complete": "UInt8 CODEC(ZSTD(1))",
    "count": "UInt64 CODEC(ZSTD(1))",
    "first_time": "DateTime64(6, 'UTC') CODEC(ZSTD(1))",
    "first_offset": "Int64 CODEC(ZSTD(1))",
    "last_time": "DateTime64(6, 'UTC') CODEC(ZSTD(1))",
    "last_offset": "Int64 CODEC(ZSTD(1))",
    "size": "UInt32 CODEC(ZSTD(1))",
    "expires": "DateTime('UTC') CODEC(ZSTD(1))",
}
_WIDE = 256 * 2**20
_TOGETHER = 10
_FOREVER = "2106-02-07"  # DateTime's last day: rows without a retention


@dataclass(frozen=True, slots=True)
class Table:
    """One table: columns with their ClickHouse types and codecs, and how rows find their place.

    Attributes:
        key: the sorting key; rows equal in it replace each other.
        version: the column that decides which of them stays; None for the one written last.
        partition: partition expression, computed from the key.
        begin: the column of event time that the partition is computed from, if any: the least that
            it holds stands in the parts' indexes, and is told without reading a row.
        expires: whether rows leave by the time in their column `expires`.
    """

    name: str
    columns: dict[str, str]
    key: tuple[str, ...]
    partition: str
    version: str | None = None
    expires: bool = False
    begin: str | None = None


WINDOW = Table(
    "window",
    _RECORD | {"expires": "DateTime('UTC') CODEC(Delta, ZSTD(1))"},
    ("owner", "policy", "topic", "time", "partition", "offset"),
    # by expiry, so that whole parts leave; by time, so that a page looks into few parts
    partition="(toDate(expires), toDate(time))",
    begin="time",
    expires=True,
)

ARCHIVE = Table(
    "archive",
    _RECORD
    | {"expires": f"DateTime('UTC') DEFAULT toDateTime('{_FOREVER}', 'UTC') CODEC(Delta, ZSTD(1))"},
    ("owner", "policy", "topic", "time", "partition", "offset"),
    partition="toYYYYMM(time)",
    begin="time",
    expires=True,
)

LAST_N = Table(
    "last_n",
    _RECORD
    | {
        "received": "DateTime64(6, 'UTC') CODEC(ZSTD(1))",
        "ring": "Int64 CODEC(ZSTD(1))",
        "slot": "UInt32 CODEC(ZSTD(1))",
    },
    # `ring` is the offset of the message that opened it: a ring opened anew (a changed N, a
    # policy written again) never overwrites slots of another.
    ("owner", "policy", "topic", "partition", "ring", "slot"),
    partition="tuple()",
    version="offset",
)

AGGREGATE = Table(
    "aggregate",
    _WINDOW
    | {
        "sum": "Float64 CODEC(ZSTD(1))",
        "min": "Float64 CODEC(ZSTD(1))",
        "max": "Float64 CODEC(ZSTD(1))",
        "first": "Float64 CODEC(ZSTD(1))",
        "last": "Float64 CODEC(ZSTD(1))",
        "mean": "Float64 CODEC(ZSTD(1))",
        "m2": "Float64 CODEC(ZSTD(1))",
        "bins": "Array(Int32) CODEC(ZSTD(1))",
        "counts": "Array(UInt32) CODEC(ZSTD(1))",
    },
    # `fragment` is the offset of its first message. A window that late data opens again after the
    # keeper let go of it gets another fragment; readers merge the fragments.
    ("owner", "policy", "topic", "start", "end", "partition", "fragment"),
    partition="toYYYYMM(start)",
    version="version",
    expires=True,
)

AGGREGATE_TEXT = Table(
    "aggregate_text",
    _WINDOW
    | {
        "min": "String CODEC(ZSTD(1))",
        "max": "String CODEC(ZSTD(1))",
        "first": "String CODEC(ZSTD(1))",
        "last": "String CODEC(ZSTD(1))",
        "hashes": "Array(UInt64) CODEC(ZSTD(1))",
        "tops": "Array(String) CODEC(ZSTD(1))",
        "counts": "Array(UInt64) CODEC(ZSTD(1))",
    },
    ("owner", "policy", "topic", "start", "end", "partition", "fragment"),
    partition="toYYYYMM(start)",
    version="version",
    expires=True,
)

TABLES = {table.name: table for table in (WINDOW, ARCHIVE, LAST_N, AGGREGATE, AGGREGATE_TEXT)}


def create(table: Table, place: str, path: str | None = None) -> str:
    """The CREATE TABLE statement.

    Args:
        place: how it names the table: `database.name`, and what may follow that.
        path: in ClickHouse Keeper, of a table whose replicas follow each other.
    """
    columns = ",\n  ".join(f"`{name}` {kind}" for name, kind in table.columns.items())
    arguments = [f"'{path}'", "'{replica}'"] if path else []
    if table.version:
        arguments.append(table.version)
    engine = "ReplicatedReplacingMergeTree" if path else "ReplacingMergeTree"
    key = ", ".join(f"`{name}`" for name in table.key)
    lines = [
        f"CREATE TABLE IF NOT EXISTS {place} (\n  {columns}\n)",
        f"ENGINE = {engine}({', '.join(arguments)})",
        f"PARTITION BY {table.partition}",
        f"ORDER BY ({key})",
    ]
    if table.expires:
        lines.append("TTL expires")
    # An insert that returned is on disk: the journal lets go of what the series has. A merge need
    # not be, because its sources stay for 8 minutes (what it would cost: docs/why/durability.md).
    # A part below so many bytes is one file: reading a page from it costs half of what a file per
    # column does. Merges wait for more parts: each row is written anew half as often.
    lines.append(
        "SETTINGS fsync_after_insert = 1, fsync_part_directory = 1,"
        f" min_bytes_for_wide_part = {_WIDE}, merge_selector_base = {_TOGETHER}"
    )
    return "\n".join(lines)
