"""Translates the kinds' tables into ClickHouse's SQL.

The engine is ReplacingMergeTree, so a row written again replaces itself. Readers use FINAL, and do
not depend on merges. FINAL works within a partition.
"""

from collections.abc import Sequence

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
EMBEDDED = (
    # chDB removes the parts that a merge replaced within a minute, at no certain time, unless it is
    # told for how long to keep them. Merges are fsynced before they replace anything.
    "min_rows_to_fsync_after_merge = 1",
    "old_parts_lifetime = 15",  # seconds; three checks of merged parts
    "cleanup_delay_period = 5",
    "cleanup_delay_period_random_add = 0",
    "max_cleanup_delay_period = 5",
    # one file less in each part: marks within a column, which no query needs
    "write_marks_for_substreams_in_compact_parts = 0",
)
"""Settings that tables of chDB have besides, as ClickHouse shows them."""
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


def extend(table: Table, name: str, columns: Sequence[str], keyed: bool = True) -> str:
    """The ALTER TABLE statement that adds columns, which an earlier version did not have.

    A column of the sorting key can be added to its end, together with the key: the rows that exist
    have its default, and keep their order.

    Args:
        name: `database.name`, and an ON CLUSTER clause if needed.
        keyed: whether the table has a sorting key.
    """
    added = [f"ADD COLUMN IF NOT EXISTS `{c}` {_column(table.columns[c])}" for c in columns]
    if keyed and set(columns) & set(table.key):
        added.append(f"MODIFY ORDER BY ({_listed(table.key)})")
    return f"ALTER TABLE {name} {', '.join(added)}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def create(table: Table, name: str, path: str | None = None, more: Sequence[str] = ()) -> str:
    """The CREATE TABLE statement.

    Args:
        name: `database.name`, and an ON CLUSTER clause if needed.
        path: path of a replicated table in ClickHouse Keeper; None for one without replicas.
        more: settings besides those that all tables have.
    """
    columns = ",\n  ".join(f"`{column}` {_column(kind)}" for column, kind in table.columns.items())
    arguments = [f"'{path}'", "'{replica}'"] if path else []
    if table.version:
        arguments.append(table.version)
    engine = "ReplicatedReplacingMergeTree" if path else "ReplacingMergeTree"
    lines = [
        f"CREATE TABLE IF NOT EXISTS {name} (\n  {columns}\n)",
        f"ENGINE = {engine}({', '.join(arguments)})",
        f"PARTITION BY {_partition(table)}",
        f"ORDER BY ({_listed(table.key)})",
    ]
    if table.expires:
        lines.append("TTL expires")
    # Inserts are fsynced, because the journal trims their messages afterwards. A server does not
    # fsync merges, because it keeps their sources for 8 minutes; for chDB see `EMBEDDED`.
    # Parts below `_WIDE` bytes are one file: a page costs half as much as with a file per column.
    # Merges wait until `_TOGETHER` parts can be merged, so each row is rewritten half as often.
    settings = (
        "fsync_after_insert = 1",
        "fsync_part_directory = 1",
        f"min_bytes_for_wide_part = {_WIDE}",
        f"merge_selector_base = {_TOGETHER}",
        *((f"index_granularity = {table.granule}",) if table.granule else ()),
        *more,
    )
    lines.append(f"SETTINGS {', '.join(settings)}")
    return "\n".join(lines)
