"""Brings the schema of a catalog up to date when it is opened."""

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from lakebed.stores.catalog.engine import wait_for_ever
from lakebed.vocabulary.errors import Problem, SettingsError

HEAD = "0030"
"""The newest step in `migrations/versions`. With it, a catalog that is up to date opens without
importing Alembic."""

_LOCK = 0x6C616B65_62656400  # "lakebed": a number that no other program uses


def migrate(engine: Engine) -> None:
    """Run the missing steps in one transaction.

    Processes that start together on PostgreSQL take turns; a SQLite file has only one process.

    Raises:
        SettingsError: the catalog was written by a newer Lakebed, or cannot hold all text.
    """
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            _check_encoding(connection)
            wait_for_ever(connection)
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        current = _current(connection)
        if current is not None and current > HEAD:
            place = engine.url.render_as_string(hide_password=True)
            raise SettingsError(
                Problem(
                    "catalog.url",
                    f"{place} was written by a newer Lakebed (schema {current}; this one knows "
                    f"up to {HEAD}): install that version or use another catalog",
                )
            )
        if current != HEAD:
            _upgrade(connection)


def _current(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _check_encoding(connection: Connection) -> None:
    encoding = connection.execute(text("SHOW server_encoding")).scalar_one()
    if encoding != "UTF8":
        raise SettingsError(
            Problem("catalog.url", f"the database's encoding is {encoding}; it must be UTF8")
        )


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, HEAD)
