"""Which of the parts that the store has put aside as damaged are a loss.

A merge is not fsynced, so a loss of power may leave its result broken; for that case ClickHouse
keeps the parts that it was made of for some minutes, and they are in force again when it opens. An
insert is fsynced before its part gets its name: where that breaks, the disk is to blame.
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
    """What of a store that has its tables is missing."""
    broken = client.query(_BROKEN, {"database": database}).to_pylist()
    parts = client.query(_PARTS, {"database": database}).to_pylist() if broken else []
    covered = tuple(row["part"] for row in broken if _is_covered(row, parts))
    lost = tuple(row["part"] for row in broken if row["part"] not in covered)
    return Missing(everything=False, broken=lost, covered=covered)


def _is_covered(row: Row, parts: list[Row]) -> bool:
    """Whether parts from the first block (number of an insert) to the last are in force."""
    low, high = row["low"], row["high"]
    if low is None or high is None:  # of a part whose name tells nothing
        return False
    there = [
        (part["low"], part["high"])
        for part in parts
        if (part["table"], part["partition"]) == (row["table"], row["partition"])
        and part["low"] <= high
        and part["high"] >= low
    ]
    return bool(there) and min(there)[0] <= low and max(end for _, end in there) >= high
