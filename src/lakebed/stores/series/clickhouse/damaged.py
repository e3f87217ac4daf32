"""Decides which of the parts that the store has detached as damaged mean a loss of rows.

A merge is not fsynced, so a power loss may leave its result broken. ClickHouse therefore keeps the
source parts for some minutes, and uses them again when it opens. An insert is fsynced before its
part gets its name, so a broken one means a failing disk.
"""

from typing import Any

from lakebed.ports.series import Missing
from lakebed.stores.series.clickhouse.select import Select

_BROKEN = """
SELECT concat(table, '/', name) AS part, table, partition_id AS partition,
       min_block_number AS low, max_block_number AS high
FROM system.detached_parts
WHERE database = {database:String} AND startsWith(reason, 'broken') ORDER BY part
"""
_PARTS = """
SELECT table, partition_id AS partition, min_block_number AS low, max_block_number AS high
FROM system.parts WHERE database = {database:String} AND active
"""

Row = dict[str, Any]


def look(client: Select, database: str) -> Missing:
    """Find the damaged parts of a store whose tables exist."""
    broken = client.query(_BROKEN, {"database": database}).to_pylist()
    parts = client.query(_PARTS, {"database": database}).to_pylist() if broken else []
    covered = tuple(row["part"] for row in broken if _is_covered(row, parts))
    lost = tuple(row["part"] for row in broken if row["part"] not in covered)
    return Missing(everything=False, broken=lost, covered=covered)


def _is_covered(row: Row, parts: list[Row]) -> bool:
    """Whether active parts cover the blocks (numbers of inserts) of the damaged part."""
    low, high = row["low"], row["high"]
    if low is None or high is None:  # the part's name does not say them
        return False
    there = [
        (part["low"], part["high"])
        for part in parts
        if (part["table"], part["partition"]) == (row["table"], row["partition"])
        and part["low"] <= high
        and part["high"] >= low
    ]
    return bool(there) and min(there)[0] <= low and max(end for _, end in there) >= high
