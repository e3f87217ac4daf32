"""How far each lane has come, in the database that it writes to.

A holder of a lane takes it over by a higher term. What moves the position names its term and locks
the row, so the transactions of an earlier holder find nothing to move, and write nothing.
"""

from typing import Any

from psycopg import Connection, sql

from lakebed.ports.relays import Position
from lakebed.vocabulary.errors import Superseded

_CREATE = """
    create table if not exists {} (
        relay text not null, partition integer not null, lane integer not null,
        position bigint not null, term bigint not null,
        moved timestamptz not null default now(),
        primary key (relay, partition, lane))
"""
_TAKE = """
    insert into {} as p (relay, partition, lane, position, term) values (%s, %s, %s, -1, 1)
    on conflict (relay, partition, lane) do update set term = p.term + 1
    returning position, term
"""
_MOVE = """
    update {} set position = %s, moved = now()
    where relay = %s and partition = %s and lane = %s and term = %s and position < %s
"""
_LOOK = "select term from {} where relay = %s and partition = %s and lane = %s"
_LOCK = "select pg_advisory_xact_lock(7450431187236105063)"


class Positions:
    """Args:
    schema: of the table; None for the first of the search path.
    """

    def __init__(self, schema: str | None, lane: tuple[str, int, int]) -> None:
        named = (
            ("lakebed_relay_positions",) if schema is None else (schema, "lakebed_relay_positions")
        )
        self._name = sql.Identifier(*named)
        self._lane = lane
        self.term = 0

    def take(self, connection: Connection[Any]) -> int | None:
        """Take the lane over; its position, if it has one."""
        name = self._name.as_string(connection)
        if connection.execute("select to_regclass(%s)", [name]).fetchone() == (None,):
            with connection.transaction():
                connection.execute(_LOCK)
                connection.execute(sql.SQL(_CREATE).format(self._name))
        row = connection.execute(sql.SQL(_TAKE).format(self._name), self._lane).fetchone()
        assert row is not None
        self.term = row[1]
        return None if row[0] < 0 else int(row[0])

    def move(self, connection: Connection[Any], position: Position) -> bool:
        """Lock the lane and move it; False where it is there already.

        Raises:
            Superseded: another holder has taken over.
        """
        values = (position.offset, *self._lane, self.term, position.offset)
        if connection.execute(sql.SQL(_MOVE).format(self._name), values).rowcount:
            return True
        row = connection.execute(sql.SQL(_LOOK).format(self._name), self._lane).fetchone()
        if row is None or row[0] != self.term:
            raise Superseded(f"another process has taken over lane {self._lane}")
        return False
