"""Notes: short documents, by name."""

from sqlalchemy import delete, select

from lakebed.stores.catalog import tables
from lakebed.stores.catalog.database import Database
from lakebed.stores.catalog.upsert import insert

_TABLE = tables.notes


class SqlNotes(Database):
    """Implements `ports.catalog.notes`."""

    def note(self, name: str) -> str | None:
        with self._read() as connection:
            found = connection.execute(select(_TABLE.c.text).where(_TABLE.c.name == name))
            return found.scalar_one_or_none()

    def write_note(self, name: str, text: str | None) -> None:
        with self._call() as connection:
            if text is None:
                connection.execute(delete(_TABLE).where(_TABLE.c.name == name))
                return
            connection.execute(
                insert(connection.dialect.name, _TABLE)
                .values(name=name, text=text)
                .on_conflict_do_update(index_elements=["name"], set_={"text": text})
            )
