"""Makes SQLAlchemy engines of catalog URLs, with the settings of each database."""

import os
import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, QueuePool, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

from lakebed.system import files
from lakebed.system.extras import needed
from lakebed.vocabulary.errors import Problem, SettingsError, StoreUnavailable

WAIT = 30.0
"""Seconds a call waits for a connection that others hold."""

_BUSY = 5000
"""Milliseconds to wait for a file that another process has locked: one before us may be closing."""

_WRITE = Problem("catalog.url", "write sqlite:PATH or postgresql://USER:PASSWORD@HOST:PORT/NAME")

_POSTGRES = {
    "client_encoding": "utf8",
    # Detect a lost server or network within seconds, not hours (names are libpq's).
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",
    "application_name": "lakebed",
}
POSTGRES_WAITS = {
    # A process that is suspended within a transaction keeps its locks: the server ends it.
    "idle_in_transaction_session_timeout": "10s",
    "lock_timeout": "15s",  # longer, so that who waits for those locks gets them
}
"""Settings of each connection to PostgreSQL: how long others may have to wait."""


def engine_for(url: str, home: Path) -> Engine:
    """The engine of `sqlite:PATH` (relative to `home`) or `postgresql://…`; nothing connects yet.

    Raises:
        SettingsError: the URL is neither, or the driver is not installed.
    """
    scheme, _, rest = url.partition(":")
    if scheme == "sqlite" and rest:
        return _sqlite(home / rest)
    if scheme == "postgresql":
        return _postgres(url)
    raise SettingsError(_WRITE)


def _sqlite(path: Path) -> Engine:
    """Make an engine with one connection for the whole process, in WAL mode.

    SQLite 3.7.0 … 3.51.2 can lose a commit when two connections write or checkpoint one WAL. So
    the pool has a single connection, and a lock file keeps other processes out (`hold`). Calls of
    several threads take turns by waiting for that connection; reads do not (`readers_for`). WAL
    costs one fsync a commit, a rollback journal two or three.
    """
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=0,
        pool_timeout=WAIT,
        connect_args={"check_same_thread": False, "timeout": _BUSY / 1000},
    )

    @event.listens_for(engine, "do_connect")
    def _private(*_: Any) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _: Any) -> None:
        # The driver must not open transactions of its own; `begin` below does.
        connection.isolation_level = None
        for pragma, value in (
            ("busy_timeout", _BUSY),
            ("journal_mode", "wal"),
            ("synchronous", 2),  # FULL: fsync of the WAL before a commit returns
            ("foreign_keys", 1),
        ):
            connection.execute(f"PRAGMA {pragma}={value}")
            (set_to,) = connection.execute(f"PRAGMA {pragma}").fetchone()
            if set_to != value:
                raise sqlite3.OperationalError(f"{path}: {pragma} is {set_to}, must be {value}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


def readers_for(engine: Engine) -> Engine:
    """Make an engine for reads. On SQLite its connections are read-only and wait for no writer.

    Each statement sees the commits before its start.
    """
    if engine.dialect.name != "sqlite":
        return engine
    file = f"file:{quote(str(engine.url.database))}?mode=ro"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(
            file, uri=True, check_same_thread=False, timeout=_BUSY / 1000, isolation_level=None
        )

    return create_engine(
        "sqlite://", creator=connect, poolclass=QueuePool, pool_size=4, max_overflow=60
    )


def hold(engine: Engine) -> int | None:
    """Lock the file of a SQLite catalog against other processes; return the lock's descriptor.

    Raises:
        StoreUnavailable: another process has it, or the folder cannot be written to.
    """
    if engine.dialect.name != "sqlite":
        return None
    path = Path(f"{engine.url.database}.lock")
    try:
        descriptor = files.lock(path, timeout=_BUSY / 1000)
    except OSError as error:
        raise StoreUnavailable(f"catalog: {error}") from None
    if descriptor is None:
        raise StoreUnavailable(f"catalog: {engine.url.database} is locked by another process")
    return descriptor


def _postgres(url: str) -> Engine:
    try:
        parsed = make_url(url)
        given = {**_POSTGRES, **parsed.query}
        engine = create_engine(
            parsed.set(drivername="postgresql+psycopg", query=given),
            pool_size=5,
            max_overflow=10,
            pool_timeout=WAIT,
            pool_pre_ping=True,
        )
    except (ArgumentError, ValueError):  # its text could hold a piece of a password
        raise SettingsError(_WRITE) from None
    except ModuleNotFoundError as error:
        raise needed(error, "catalog.url", "postgresql://") from error

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _: Any) -> None:
        with connection.cursor() as cursor:
            for name, value in POSTGRES_WAITS.items():
                cursor.execute("SELECT set_config(%s, %s, false)", (name, value))
        connection.commit()

    return engine


def wait_for_ever(connection: Connection) -> None:
    """Lift `POSTGRES_WAITS` for one transaction."""
    if connection.dialect.name == "postgresql":
        for name in POSTGRES_WAITS:
            connection.exec_driver_sql(f"SET LOCAL {name} = 0")
