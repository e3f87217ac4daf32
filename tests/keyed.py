"""A series store in memory that replaces rows by their keys, as ClickHouse's tables do.

It takes keys and versions from the tables' declarations, so it keeps what the real store would
show to readers who ask with FINAL; TTLs and questions are left to the real one.
"""

from typing import Any

import pyarrow as pa

from lakebed.kinds import TABLES
from lakebed.ports.health import Health


class KeyedSeries:
    """Attributes:
    inserts: how many there were.
    """

    def __init__(self) -> None:
        self._rows: dict[tuple[Any, ...], dict[str, Any]] = {}
        self.inserts = 0

    def write(self, table: str, rows: pa.Table) -> None:
        kind = TABLES[table]
        unknown = set(rows.column_names) - kind.columns.keys()
        assert not unknown, f"{table} has no columns {unknown}"
        self.inserts += 1
        for row in rows.to_pylist():
            key = (table, *(row.get(name) for name in kind.key))
            held = self._rows.get(key)
            if held is None or kind.version is None or row[kind.version] >= held[kind.version]:
                self._rows[key] = row

    def rows(self, leave_out: tuple[str, ...] = ("version",)) -> list[tuple[str, dict[str, Any]]]:
        """(table, row) in the order of the keys, without columns that tell of the writing."""
        return [
            (key[0], {name: value for name, value in row.items() if name not in leave_out})
            for key, row in sorted(self._rows.items(), key=lambda item: repr(item[0]))
        ]

    def health(self) -> Health:
        return Health(True)

    def close(self) -> None:
        pass
