"""INSERT … ON CONFLICT, which SQLAlchemy spells once per dialect although both databases agree."""

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

Insert = postgresql.Insert | sqlite.Insert


def insert(connection: Connection, table: Table) -> Insert:
    """An INSERT that can say `on_conflict_do_update` and knows `excluded`."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)
