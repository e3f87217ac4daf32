"""A snapshot of the series store: tables are cloned by hard links, and read part by part.

`CREATE TABLE … CLONE AS` attaches the parts of one table to another without copying them. Merges of
the clone are stopped, so its parts stay as they are while the snapshot is read. A part never
changes, and ClickHouse has a hash of its files, so a backup need not write a part again.
"""

from collections.abc import Callable, Iterator

import pyarrow as pa

from lakebed.kinds import TABLES
from lakebed.ports.series import Part
from lakebed.stores.series.clickhouse.select import Select

DATABASE = "lakebed_snapshot"
_PARTS = f"""
SELECT table, partition_id AS partition, name, hash_of_all_files AS hash,
       toInt64(rows) AS rows, toInt64(data_uncompressed_bytes) AS size
FROM system.parts WHERE database = '{DATABASE}' AND active AND rows > 0 ORDER BY table, name
"""
DROP = f"DROP DATABASE IF EXISTS {DATABASE} SYNC"


def statements(source: str) -> list[str]:
    """Statements that clone all tables of the database `source`."""
    made = [DROP, f"CREATE DATABASE {DATABASE}"]
    for name in TABLES:
        made.append(f"CREATE TABLE {DATABASE}.{name} CLONE AS {source}.{name}")
        made.append(f"SYSTEM STOP MERGES {DATABASE}.{name}")
    return made


class ClonedTables:
    """Implements `ports.series.SeriesSnapshot`, over clones that exist.

    Args:
        drop: called once, to drop the clones.
    """

    def __init__(self, client: Select, drop: Callable[[], None]) -> None:
        self._client, self._drop = client, drop

    def parts(self) -> list[Part]:
        return [Part(**row) for row in self._client.query(_PARTS, {}).to_pylist()]

    def read(self, part: Part, rows: int) -> Iterator[pa.Table]:
        columns = ", ".join(f"`{name}`" for name in TABLES[part.table].columns)
        # read by row numbers, so that memory is bounded whatever the size of the part
        query = (
            f"SELECT {columns} FROM {DATABASE}.{part.table} WHERE _part = {{part:String}}"
            " AND _part_offset >= {first:UInt64} AND _part_offset < {last:UInt64}"
            " ORDER BY _part_offset"
        )
        for first in range(0, part.rows, rows):
            rows_of_part = {"part": part.name, "first": first, "last": first + rows}
            yield self._client.query(query, rows_of_part)

    def close(self) -> None:
        self._drop()
