"""`postgres: "secret:warehouse", table, key`: connections, transactions, and what errors mean."""

import os
import re
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg import Connection, sql
from psycopg.conninfo import conninfo_to_dict

from lakebed.documents.source import Path
from lakebed.ports.relays import Delivery, Refusal, Refused, TargetUnavailable
from lakebed.relays.targets import options as rules
from lakebed.relays.targets.postgres import table as tables
from lakebed.relays.targets.postgres.columns import MOST_COLUMNS, keyed
from lakebed.relays.targets.postgres.positions import Positions
from lakebed.relays.targets.target import Options, Surroundings, TargetKind, reached
from lakebed.vocabulary.errors import Superseded
from lakebed.vocabulary.times import SECOND

_PARAMETERS = frozenset(
    {"host", "port", "user", "password", "dbname", "sslmode", "sslrootcert", "sslnegotiation",
     "application_name", "options", "channel_binding", "require_auth", "target_session_attrs"}
)  # fmt: skip
"""Of the URL. Others name files of this machine, or other ways out."""

_OF_ROWS = frozenset({"21", "22", "23", "54", "P0"})
"""Classes of SQLSTATE that say something of the data, not of the server."""

_PART = re.compile(r"[^\x00-\x1f]{1,63}\Z")
_TYPE = re.compile(r"[a-z][a-z0-9_ ]{0,40}(\([0-9]{1,4}(, ?[0-9]{1,4})?\))?(\[\])?\Z")


class PostgresTarget:
    def __init__(self, options: Options, around: Surroundings) -> None:
        self._options, self._around = options, around
        *schema, name = str(options["table"]).split(".")
        self._table_name = sql.Identifier(*schema, name)
        self._key = rules.listed(options, "key", ["id"])
        lane = (around.relay, around.partition, around.lane)
        self._positions = Positions(schema[0] if schema else None, lane)
        self._connection: Connection[Any] | None = None
        self._table: tables.Table | None = None

    def position(self) -> int | None:
        with self._working() as connection:
            return self._positions.take(connection)

    def send(self, delivery: Delivery) -> Sequence[Refusal]:
        with self._working() as connection:
            if not self._positions.term:
                self._positions.take(connection)
            self._find_table(connection, delivery)
            with connection.transaction():
                connection.execute("set constraints all immediate")
                if self._positions.move(connection, delivery.position):
                    refusals = self._write(connection, delivery)
                    if refusals:
                        raise Refused(refusals)
        return ()

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error, OSError):
                connection.close()

    # --- rows -------------------------------------------------------------------------------------

    def _find_table(self, connection: Connection[Any], delivery: Delivery) -> None:
        table = self._table
        if table is None or not table.knows(delivery.records):
            chosen: Mapping[str, str] = self._options.get("columns", {})
            self._table = tables.found(
                connection, self._table_name, self._key, delivery.records, chosen
            )

    def _write(self, connection: Connection[Any], delivery: Delivery) -> list[Refusal]:
        assert self._table is not None
        rows: list[list[str | None]] = []
        indices: list[int] = []
        refusals: list[Refusal] = []
        for index, record in enumerate(delivery.records):
            try:
                rows.append(self._table.row(record))
                indices.append(index)
            except ValueError as error:
                refusals.append(Refusal(index, str(error)))
        refusals += self._insert(connection, rows, indices)
        return sorted(refusals, key=lambda refusal: refusal.index)

    def _insert(
        self, connection: Connection[Any], rows: Sequence[list[str | None]], indices: Sequence[int]
    ) -> list[Refusal]:
        """Insert rows; where the database refuses some, find them by halving."""
        if not rows:
            return []
        assert self._table is not None
        last = [rows[at] for at in keyed(rows, self._table.key)]
        try:
            with connection.transaction():
                connection.execute(
                    self._table.insert, [list(one) for one in zip(*last, strict=True)]
                )
        except psycopg.Error as error:
            if not _is_of_rows(error):
                raise
            if len(rows) == 1:
                return [Refusal(indices[0], _told(error))]
        else:
            return []
        half = len(rows) // 2
        return [
            *self._insert(connection, rows[:half], indices[:half]),
            *self._insert(connection, rows[half:], indices[half:]),
        ]

    # --- connections ------------------------------------------------------------------------------

    @contextmanager
    def _working(self) -> Iterator[Connection[Any]]:
        """A connection for one call; what breaks it, or lasts too long, closes it."""
        try:
            connection = self._connection or self._connect()
            self._connection = connection
            with _time_limit(connection, self._around.timeout / SECOND):
                yield connection
        except psycopg.Error as error:
            self._table = None  # it may have changed
            if self._connection is None or self._connection.broken or not _has_answered(error):
                self.close()
            raise TargetUnavailable(self._explained(error)) from None
        except Superseded:
            self.close()
            raise

    def _connect(self) -> Connection[Any]:
        given = _parameters(self._around.secret(str(self._options["postgres"])))
        timeout = self._around.timeout / SECOND
        host, port = str(given["host"]), int(str(given.get("port", 5432)))
        addresses = reached(lambda: self._around.egress.resolve(host, port))
        milliseconds = str(self._around.timeout // 1000)
        connection = psycopg.connect(
            **{
                "application_name": "lakebed relay", "sslmode": "prefer", **given,
                "hostaddr": ",".join(one.ip for one in addresses),
                "host": ",".join([host] * len(addresses)),
                "connect_timeout": str(max(2, int(timeout))), "tcp_user_timeout": milliseconds,
                "client_encoding": "utf8", "gssencmode": "disable", "passfile": "/dev/null/none",
                "sslcertmode": "disable",
            },
            autocommit=True,
        )  # fmt: skip
        connection.execute(
            "select set_config('statement_timeout', %s, false), set_config('lock_timeout', %s,"
            " false), set_config('idle_in_transaction_session_timeout', %s, false)",
            [milliseconds] * 3,
        )
        return connection

    def _explained(self, error: psycopg.Error) -> str:
        name = str(self._options["table"])
        match error.sqlstate:
            case "42P10":
                columns = ", ".join(self._key)
                return f"the table {name} has no unique index on ({columns}): make one"
            case "42501":
                return f"{_told(error)}: grant it to the user of the relay"
            case "42703" | "42P01" | "42804":
                return f"the table {name} was changed: {_told(error)}"
            case None:
                return f"PostgreSQL: {_told(error)}"
        return f"PostgreSQL: {_told(error)} (SQLSTATE {error.sqlstate})"


@contextmanager
def _time_limit(connection: Connection[Any], seconds: float) -> Iterator[None]:
    """Break the connection after a time, for a server that hangs ends no statement."""

    def end() -> None:
        with suppress(OSError):
            same.shutdown(socket.SHUT_RDWR)

    # a descriptor of its own: that of the connection may be another's when the time is up
    with socket.socket(fileno=os.dup(connection.fileno())) as same:
        timer = threading.Timer(seconds, end)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


def _has_answered(error: psycopg.Error) -> bool:
    return error.sqlstate is not None and not error.sqlstate.startswith(("08", "57"))


def _is_of_rows(error: psycopg.Error) -> bool:
    if error.sqlstate is None:  # psycopg itself, of text with a NUL
        return isinstance(error, psycopg.DataError)
    return error.sqlstate[:2] in _OF_ROWS


def _told(error: psycopg.Error) -> str:
    """The first line of what was said; the detail shows rows of others."""
    said = error.diag.message_primary or str(error).strip() or type(error).__name__
    return said.splitlines()[0][:300]


def _parameters(url: str) -> dict[str, Any]:
    """Parameters of libpq in a URL that a secret may hold.

    Raises:
        TargetUnavailable: it is no such URL, or has parameters that are not allowed.
    """
    try:
        rules.check_url(url, ("postgresql", "postgres"))
        found = conninfo_to_dict(url)
    except (ValueError, psycopg.Error):  # its text could hold a piece of a password
        raise TargetUnavailable(
            "the secret is no URL such as postgresql://USER:PASSWORD@HOST:5432/NAME"
        ) from None
    foreign = sorted(found.keys() - _PARAMETERS)
    host = str(found.get("host", ""))
    if found.get("sslrootcert", "system") != "system":
        foreign.append("sslrootcert other than system")
    if foreign:
        raise TargetUnavailable(f"the URL of a relay may not have {', '.join(foreign)}")
    if not host or host.startswith(("/", "@")) or "," in host:
        raise TargetUnavailable("the URL names one host")
    return found


def _check(options: Options) -> Sequence[tuple[Path, str]]:
    return rules.problems(
        options,
        {
            "postgres": rules.url(
                "postgresql", "postgres", example='"secret:NAME", or postgresql://USER@HOST/NAME'
            ),
            "table": _check_table,
            "key": rules.names(16, 63),
            "columns": _check_columns,
        },
        needed=("table",),
    )


def _check_table(value: object) -> object:
    parts = value.split(".") if isinstance(value, str) else []
    if not 1 <= len(parts) <= 2 or not all(_PART.match(part) for part in parts):
        raise ValueError("write TABLE or SCHEMA.TABLE")
    return value


def _check_columns(value: object) -> object:
    if not isinstance(value, Mapping) or not 1 <= len(value) <= MOST_COLUMNS:
        raise ValueError("a mapping of columns to types, such as {avg: double precision}")
    for name, type in value.items():
        if not isinstance(name, str) or not _PART.match(name):
            raise ValueError(f"{name!r} is no name of a column")
        if not isinstance(type, str) or not _TYPE.match(type):
            raise ValueError(f"{type!r} is no type: write one such as text or numeric(12, 3)")
    return value


KIND = TargetKind(
    name="postgres",
    keys={
        "table": "TABLE or SCHEMA.TABLE; it is made if there is none",
        "key": "columns that tell rows apart, which have a unique index; [id] if not given",
        "columns": "types of columns of a table that is made",
    },
    check=_check,
    open=PostgresTarget,
    batch=1000,
    exact="once",
)
