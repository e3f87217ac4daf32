"""Dead letters: messages that broke a policy's code, kept aside whole."""

from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import select

from lakebed.catalog import tables
from lakebed.catalog.database import Database
from lakebed.catalog.upsert import insert
from lakebed.ports import DeadLetter

_TABLE = tables.dead_letters
_COLUMNS = tuple(_TABLE.c[name] for name in DeadLetter.__slots__)


class SqlDeadLetters(Database):
    """Fulfils `ports.DeadLetterStore`."""

    def add_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        if not letters:
            return
        with self._call() as connection:
            connection.execute(
                insert(connection, _TABLE).on_conflict_do_nothing(),
                [asdict(letter) for letter in letters],
            )

    def dead_letters(self, owner: str, limit: int = 100) -> list[DeadLetter]:
        """The newest `limit` of them, newest first."""
        query = (
            select(*_COLUMNS)
            .where(_TABLE.c.owner == owner)
            .order_by(_TABLE.c.received.desc(), _TABLE.c.partition, _TABLE.c.offset.desc())
            .limit(limit)
        )
        with self._call() as connection:
            return [DeadLetter(*row) for row in connection.execute(query)]
