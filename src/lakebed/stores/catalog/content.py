"""Reads and replaces the whole content of a catalog, table by table."""

from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import delete, func, insert, select

from lakebed.stores.catalog.account_tables import metadata
from lakebed.stores.catalog.database import Database
from lakebed.stores.catalog.engine import wait_for_ever

_ROWS = 1000  # at a time
_FOUND = ("policy_versions", "tokens", "checkpoints", "last_values", "dead_letters")


class SqlContent(Database):
    """Rows are dicts by column, in types that both databases accept."""

    def content(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        with self._call() as connection:
            wait_for_ever(connection)  # where the rows go may be slow
            for table in metadata.sorted_tables:
                found = connection.execute(select(table)).mappings()
                for rows in found.partitions(_ROWS):
                    yield table.name, [dict(row) for row in rows]

    def replace(self, content: Iterable[tuple[str, list[dict[str, Any]]]]) -> None:
        with self._call() as connection:
            wait_for_ever(connection)
            for table in reversed(metadata.sorted_tables):
                connection.execute(delete(table))
            for name, rows in content:
                if rows:
                    connection.execute(insert(metadata.tables[name]), rows)

    def counts(self) -> dict[str, int]:
        with self._call() as connection:
            return {
                name: connection.execute(
                    select(func.count()).select_from(metadata.tables[name])
                ).scalar_one()
                for name in _FOUND
            }
