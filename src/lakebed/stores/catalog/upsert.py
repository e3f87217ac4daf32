"""INSERT … ON CONFLICT, which SQLAlchemy spells once per dialect although both databases agree."""

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite

Insert = postgresql.Insert | sqlite.Insert


def insert(dialect: str, table: Table) -> Insert:
    """An INSERT that can say `on_conflict_do_update` and knows `excluded`."""
    if dialect == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)
