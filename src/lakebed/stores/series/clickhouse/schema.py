"""Translates the kinds' tables into ClickHouse's SQL.

The engine is ReplacingMergeTree, so a row written again replaces itself. Readers use FINAL, and do
not depend on merges. FINAL works within a partition.
"""

from lakebed.kinds.tables import Column, Table

DATABASE = "lakebed"

_TYPES = {
    "name": "LowCardinality(String)",
    "text": "String",
    "time": "DateTime64(6, 'UTC')",
    "second": "DateTime('UTC')",
    "uint8": "UInt8",
    "uint32": "UInt32",
    "uint64": "UInt64",
    "int32": "Int32",
    "int64": "Int64",
    "float64": "Float64",
}
_CODECS = {
    ("time", "close"): "GCD, Delta, ZSTD(1)",
    ("second", "close"): "Delta, ZSTD(1)",
    ("int64", "even"): "DoubleDelta, ZSTD(1)",
}
_PERIODS = {"day": "toDate", "month": "toYYYYMM"}
_WIDE = 256 * 2**20
_TOGETHER = 10
_FOREVER = "2106-02-07"  # DateTime's last day: rows without a retention


def _column(column: Column) -> str:
    """Type, default and codec."""
    kind = _TYPES[column.type]
    if column.type == "name":
        return kind
    kind = f"Array({kind})" if column.many else kind
    default = f" DEFAULT toDateTime('{_FOREVER}', 'UTC')" if column.endless else ""
    return f"{kind}{default} CODEC({_CODECS.get((column.type, column.follows), 'ZSTD(1)')})"


def _partition(table: Table) -> str:
    parts = [f"{_PERIODS[period]}({name})" for period, name in table.partition]
    return parts[0] if len(parts) == 1 else f"({', '.join(parts)})" if parts else "tuple()"


def create(table: Table, name: str, path: str | None = None) -> str:
    """The CREATE TABLE statement.

    Args:
        name: `database.name`, and an ON CLUSTER clause if needed.
        path: path of a replicated table in ClickHouse Keeper; None for one without replicas.
    """
    columns = ",\n  ".join(f"`{column}` {_column(kind)}" for column, kind in table.columns.items())
    arguments = [f"'{path}'", "'{replica}'"] if path else []
    if table.version:
        arguments.append(table.version)
    engine = "ReplicatedReplacingMergeTree" if path else "ReplacingMergeTree"
    key = ", ".join(f"`{column}`" for column in table.key)
    lines = [
        f"CREATE TABLE IF NOT EXISTS {name} (\n  {columns}\n)",
        f"ENGINE = {engine}({', '.join(arguments)})",
        f"PARTITION BY {_partition(table)}",
        f"ORDER BY ({key})",
    ]
    if table.expires:
        lines.append("TTL expires")
    # Inserts are fsynced, because the journal trims their messages afterwards. Merges are not,
    # because their sources are kept for 8 minutes (docs/why/durability.md tells the cost).
    # Parts below `_WIDE` bytes are one file: a page costs half as much as with a file per column.
    # Merges wait until `_TOGETHER` parts can be merged, so each row is rewritten half as often.
    lines.append(
        "SETTINGS fsync_after_insert = 1, fsync_part_directory = 1,"
        f" min_bytes_for_wide_part = {_WIDE}, merge_selector_base = {_TOGETHER}"
    )
    return "\n".join(lines)
