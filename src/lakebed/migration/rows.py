"""Tables of one series, copied to another, and compared.

A snapshot of the source is read part by part, in pieces that fit in memory. Rows have keys made of
the data, so a stretch that was copied half is copied again without harm.

Windows get the partition that their topic's channel has from now on: the keeper there goes on with
those that are open, and what it writes must replace what was written before. Records keep the
position that they had; nothing ever replaces them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import pyarrow as pa

from lakebed.ports import Part, Series
from lakebed.stores.series.reading.conditions import source
from lakebed.stores.series.schema import TABLES
from lakebed.vocabulary.errors import Fatal
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.times import SECOND, Micros

_PIECE = 32 * 2**20  # bytes in memory, about
_LEAST, _MOST = 1_000, 500_000  # rows of a piece, whatever their size
_WINDOWS = {"aggregate", "aggregate_text"}
_MARGIN = 600  # seconds; what leaves so soon may be gone from one series and not yet the other

Placed = Callable[[Channel], int]


@dataclass(frozen=True, slots=True)
class Kept:
    """What a policy has in a table: its rows as readers see them, and a sum over their hashes."""

    rows: int
    sum: int


Contents = dict[tuple[str, str, str], Kept]
"""By table, owner and policy."""


def copy(
    source: Series,
    target: Series,
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
                        target.insert(part.table, _placed(part.table, piece, partition_of))
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
    if table not in _WINDOWS:
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


def clear(series: Series) -> None:
    """Remove all rows, of a migration that was begun."""
    for table in TABLES:
        series.delete(table, "1", {})


def counts(series: Series) -> dict[str, int]:
    """Rows of each table, replaced ones with them."""
    return {
        name: int(
            series.query(f"SELECT count() AS n FROM {source(name, False)}", {})["n"][0].as_py()
        )
        for name in TABLES
    }


# --- comparing ------------------------------------------------------------------------------------


def contents(series: Series, now: Micros) -> Contents:
    """What readers see of each table, but for what expires about `now`."""
    return {key: kept for name in TABLES for key, kept in _contents(series, name, now)}


def _contents(
    series: Series, name: str, now: Micros
) -> Iterator[tuple[tuple[str, str, str], Kept]]:
    table = TABLES[name]
    columns = ", ".join(
        f"`{c}`" for c in table.columns if not (c == "partition" and name in _WINDOWS)
    )
    alive = "expires > toDateTime({moment:UInt32}, 'UTC')" if table.expires else "1"
    found = series.query(
        f"SELECT owner, policy, count() AS n, sum(cityHash64({columns})) AS s"
        f" FROM {source(name)} WHERE {alive} GROUP BY owner, policy ORDER BY owner, policy",
        {"moment": now // SECOND + _MARGIN},
    )
    for row in found.to_pylist():
        yield (name, row["owner"], row["policy"]), Kept(row["n"], row["s"])


def compare(before: Contents, after: Contents) -> None:
    """Raises `Fatal` with the first tables and policies that differ."""
    differ = [
        f"{table} of {owner}/{policy}"
        for table, owner, policy in sorted(before.keys() | after.keys())
        if before.get((table, owner, policy)) != after.get((table, owner, policy))
    ]
    if differ:
        raise Fatal(f"the target has not what the home has in {', '.join(differ[:5])}")
