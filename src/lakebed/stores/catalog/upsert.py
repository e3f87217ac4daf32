"""INSERT … ON CONFLICT for both databases: SQLAlchemy has one class per dialect for it."""

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite

Insert = postgresql.Insert | sqlite.Insert


def insert(dialect: str, table: Table) -> Insert:
    """Make an INSERT that has `on_conflict_do_update` and `excluded`."""
    if dialect == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)
