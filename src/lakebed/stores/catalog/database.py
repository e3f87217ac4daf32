"""Transactions and errors of the catalog, shared by all its stores.

The catalog is synchronous on purpose. Its busiest user, the keeper, is a plain thread, and the API
calls it from handlers that run in a thread pool. An async engine would only add a second way of
calling: SQLite's async driver itself uses a thread.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import (
    DatabaseError,
    DataError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    InternalError,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout

from lakebed.stores.catalog.engine import readers_for
from lakebed.vocabulary.errors import BadRequest, Conflict, Fatal, StoreUnavailable


@contextmanager
def translated() -> Iterator[None]:
    """Turn the exceptions of SQLAlchemy and its drivers into ours.

    SQLite raises a plain `DatabaseError` for a file that is damaged or no database at all.
    `InternalError` comes from a PostgreSQL that became read-only (a failover). A write or fsync
    that failed in SQLite may be retried: it writes those WAL frames again. `DataError` is a value
    that PostgreSQL cannot hold, such as a text with U+0000.
    """
    try:
        yield
    except IntegrityError as error:
        raise Conflict(f"the catalog refuses it: {_line(error)}") from error
    except DataError as error:
        raise BadRequest("", f"the catalog cannot hold it: {_line(error)}") from error
    except (OperationalError, InterfaceError, InternalError) as error:
        raise StoreUnavailable(f"catalog: {_line(error)}") from error
    except PoolTimeout as error:
        raise StoreUnavailable("catalog: no connection became free in time") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise StoreUnavailable(f"catalog: {_line(error)}") from error
        if type(error) is DatabaseError:
            raise Fatal(f"catalog: {_line(error)}") from error
        raise
    except OSError as error:
        raise StoreUnavailable(f"catalog: {error}") from error


def _line(error: DBAPIError) -> str:
    return str(error.orig).strip().split("\n", 1)[0]


class Database:
    """Runs each call in a transaction: a new one, or the one that its thread has open.

    Args:
        held: descriptor of the lock that keeps other processes out; `close` closes it.
    """

    def __init__(self, engine: Engine, held: int | None = None) -> None:
        self._engine = engine
        self._readers = readers_for(engine)
        self._held = held
        self._local = threading.local()
        self._closed = False

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all calls of this thread inside it together, or none.

        A call that raises is rolled back alone, and the caller may catch the error and go on.
        Inner transactions join the outer one. Keep it short: on SQLite all other writers wait.
        """
        if self._joined() is not None:
            yield
            return
        with self._call() as connection:
            self._local.connection = connection
            try:
                yield
            finally:
                self._local.connection = None

    @contextmanager
    def _call(self) -> Iterator[Connection]:
        """Open a connection for one call of the port."""
        if self._closed:
            raise StoreUnavailable("catalog: it is closed")
        with translated():
            joined = self._joined()
            # Inside a transaction a savepoint, else PostgreSQL would turn the commit after a
            # caught error into a silent rollback.
            with self._engine.begin() if joined is None else joined.begin_nested() as scope:
                yield scope if isinstance(scope, Connection) else scope.connection

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        """Open a connection for one statement that reads, without waiting for writers."""
        if self._joined() is not None or self._readers is self._engine:
            with self._call() as connection:
                yield connection
            return
        if self._closed:
            raise StoreUnavailable("catalog: it is closed")
        with translated(), self._readers.connect() as connection:
            yield connection

    def _joined(self) -> Connection | None:
        return getattr(self._local, "connection", None)

    def close(self) -> None:
        self._closed = True
        self._readers.dispose()
        self._engine.dispose()
        if self._held is not None:
            os.close(self._held)
            self._held = None
