"""Copies the tables of one series to another, and compares them.

A snapshot of the source is read part by part, in chunks that fit in memory. Rows have keys made of
the data, so copying a table partition again is harmless.

Windows get the partition of their channel in the new journal: the keeper of that partition
continues the open ones, and its rows must replace the copied ones. Records keep their position,
because no row ever replaces them.
"""

from collections.abc import Callable
from itertools import groupby

import numpy as np
import pyarrow as pa

from lakebed.kinds import TABLES
from lakebed.ports.series import Contents, Part, Series, SeriesWriter
from lakebed.vocabulary.errors import Fatal
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.times import SECOND, Micros

_CHUNK = 32 * 2**20  # bytes in memory, about
_LEAST, _MOST = 1_000, 500_000  # rows of a chunk, whatever their size
MARGIN: Micros = 600 * SECOND
"""Rows that expire within it are not compared: one series may have dropped them already."""

PartitionOf = Callable[[Channel], int]


def copy(
    source: Series,
    target: SeriesWriter,
    partition_of: PartitionOf,
    done: set[str],
    finished: Callable[[str], None],
    step: Callable[[str, int, int], None],
) -> int:
    """Insert all rows of `source` into `target`; return how many, replaced ones included.

    Args:
        done: table partitions to skip, as "table/partition".
        finished: called with each table partition when it is copied.
        step: called now and then with table, bytes copied and bytes in all.
    """
    copied = size = 0
    snapshot = source.snapshot()
    try:
        parts = sorted(snapshot.parts(), key=lambda part: (_table_partition(part), part.name))
        total = sum(part.size for part in parts)
        for name, group in groupby(parts, _table_partition):
            for part in group:
                if name not in done:
                    for chunk in snapshot.read(part, _rows_of(part)):
                        target.write(part.table, _repartitioned(part.table, chunk, partition_of))
                        copied += len(chunk)
                        step(part.table, size, total)
                size += part.size
            if name not in done:
                finished(name)
            step(name.partition("/")[0], size, total)
    finally:
        snapshot.close()
    return copied


def _table_partition(part: Part) -> str:
    return f"{part.table}/{part.partition}"


def _rows_of(part: Part) -> int:
    return min(max(_CHUNK * part.rows // max(1, part.size), _LEAST), _MOST)


def _repartitioned(table: str, rows: pa.Table, partition_of: PartitionOf) -> pa.Table:
    if "fragment" not in TABLES[table].key:  # records
        return rows
    owners, topics = (
        rows[name].combine_chunks().dictionary_encode() for name in ("owner", "topic")
    )
    code = owners.indices.to_numpy().astype(np.int64) * len(topics.dictionary)
    code += topics.indices.to_numpy()
    distinct, row = np.unique(code, return_inverse=True)
    pairs = zip(*np.divmod(distinct, max(1, len(topics.dictionary))), strict=True)
    partitions = [
        partition_of(Channel(owners.dictionary[o].as_py(), topics.dictionary[t].as_py()))
        for o, t in pairs
    ]
    column = pa.array(np.array(partitions, np.uint32)[row], pa.uint32())
    return rows.set_column(rows.column_names.index("partition"), "partition", column)


def compare(before: Contents, after: Contents) -> None:
    """Raise `Fatal` with the first tables and policies that differ."""
    differ = [
        f"{table} of {owner}/{policy}"
        for table, owner, policy in sorted(before.keys() | after.keys())
        if before.get((table, owner, policy)) != after.get((table, owner, policy))
    ]
    if differ:
        raise Fatal(f"the target has not what the home has in {', '.join(differ[:5])}")
