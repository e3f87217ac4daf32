"""Tables of one series, copied to another, and compared.

A snapshot of the source is read part by part, in pieces that fit in memory. Rows have keys made of
the data, so a stretch that was copied half is copied again without harm.

Windows get the partition that their topic's channel has from now on: the keeper there goes on with
those that are open, and what it writes must replace what was written before. Records keep the
position that they had; nothing ever replaces them.
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

_PIECE = 32 * 2**20  # bytes in memory, about
_LEAST, _MOST = 1_000, 500_000  # rows of a piece, whatever their size
MARGIN: Micros = 600 * SECOND
"""What expires so soon may be gone from one series and not yet from the other."""

Placed = Callable[[Channel], int]


def copy(
    source: Series,
    target: SeriesWriter,
    partition_of: Placed,
    done: set[str],
    finished: Callable[[str], None],
    step: Callable[[str, int, int], None],
) -> int:
    """Insert all rows of `source` into `target`; returns how many, replaced ones with them.

    Args:
        done: stretches that need not be copied again.
        finished: told each stretch once it is all there.
        step: told table, bytes copied and bytes in all, now and then.
    """
    copied = size = 0
    snapshot = source.snapshot()
    try:
        parts = sorted(snapshot.parts(), key=lambda part: (_stretch(part), part.name))
        total = sum(part.size for part in parts)
        for stretch, group in groupby(parts, _stretch):
            for part in group:
                if stretch not in done:
                    for piece in snapshot.read(part, _rows_of(part)):
                        target.write(part.table, _placed(part.table, piece, partition_of))
                        copied += len(piece)
                        step(part.table, size, total)
                size += part.size
            if stretch not in done:
                finished(stretch)
            step(stretch.partition("/")[0], size, total)
    finally:
        snapshot.close()
    return copied


def _stretch(part: Part) -> str:
    return f"{part.table}/{part.partition}"


def _rows_of(part: Part) -> int:
    return min(max(_PIECE * part.rows // max(1, part.size), _LEAST), _MOST)


def _placed(table: str, rows: pa.Table, partition_of: Placed) -> pa.Table:
    if "fragment" not in TABLES[table].key:  # single records
        return rows
    owners, topics = (
        rows[name].combine_chunks().dictionary_encode() for name in ("owner", "topic")
    )
    code = owners.indices.to_numpy().astype(np.int64) * len(topics.dictionary)
    code += topics.indices.to_numpy()
    distinct, row = np.unique(code, return_inverse=True)
    pairs = zip(*np.divmod(distinct, max(1, len(topics.dictionary))), strict=True)
    places = [
        partition_of(Channel(owners.dictionary[o].as_py(), topics.dictionary[t].as_py()))
        for o, t in pairs
    ]
    column = pa.array(np.array(places, np.uint32)[row], pa.uint32())
    return rows.set_column(rows.column_names.index("partition"), "partition", column)


def compare(before: Contents, after: Contents) -> None:
    """Raises `Fatal` with the first tables and policies that differ."""
    differ = [
        f"{table} of {owner}/{policy}"
        for table, owner, policy in sorted(before.keys() | after.keys())
        if before.get((table, owner, policy)) != after.get((table, owner, policy))
    ]
    if differ:
        raise Fatal(f"the target has not what the home has in {', '.join(differ[:5])}")
