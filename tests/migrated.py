"""New catalogs in a fifth of the time: what the steps of the migration have executed is replayed.

    the first empty catalog of a process ── Alembic runs each step ──> its statements are noted
    those that follow                    <── the same statements, without Alembic

`test_catalog_database.py` sees that both have the tables of the code. `each_step` is for tests of
the steps themselves; a catalog that is not empty always takes them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, create_engine, event

from lakebed.stores.catalog import migrate

_READS = ("SELECT", "PRAGMA")
_upgrade = migrate._upgrade
_executed: dict[tuple[str, str], list[tuple[str, Any]]] = {}
"""Statements and their parameters, by database and newest step."""


def install() -> None:
    """For all catalogs that this process, and those that it forks, will open."""
    migrate._upgrade = _replayed


def preload() -> None:
    """Note the statements for SQLite before a fork."""
    install()
    migrate.migrate(create_engine("sqlite://"))


@contextmanager
def each_step() -> Iterator[None]:
    """Inside, Alembic runs."""
    replaying, migrate._upgrade = migrate._upgrade, _upgrade
    try:
        yield
    finally:
        migrate._upgrade = replaying


def _replayed(connection: Connection) -> None:
    key = connection.dialect.name, migrate.HEAD
    if migrate._current(connection) is not None:
        _upgrade(connection)
    elif key in _executed:
        for statement, parameters in _executed[key]:
            connection.exec_driver_sql(statement, parameters)
    else:
        _executed[key] = _noted(connection)


def _noted(connection: Connection) -> list[tuple[str, Any]]:
    executed: list[tuple[str, Any]] = []

    def note(_c: Any, _k: Any, statement: str, parameters: Any, _x: Any, _many: bool) -> None:
        if not statement.lstrip().startswith(_READS):
            executed.append((statement, parameters))

    event.listen(connection, "before_cursor_execute", note)
    try:
        _upgrade(connection)
    finally:
        event.remove(connection, "before_cursor_execute", note)
    return executed
