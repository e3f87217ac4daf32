"""Boards of owners, each as its document."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, delete, select

from lakebed.ports.catalog.boards import Board, BoardCheck, any_board
from lakebed.stores.catalog.account_tables import boards
from lakebed.stores.catalog.database import Database
from lakebed.stores.catalog.owners import ensure
from lakebed.stores.catalog.upsert import insert
from lakebed.vocabulary.errors import Conflict, NotFound
from lakebed.vocabulary.times import now

_BOARD = select(*(boards.c[name] for name in Board.__slots__))
_WRITTEN = ("document", "updated", "version")


class SqlBoards(Database):
    """Implements `ports.catalog.boards.BoardStore`."""

    def boards(self, owner: str) -> list[Board]:
        with self._read() as connection:
            query = _BOARD.where(boards.c.owner == owner).order_by(boards.c.name)
            return [_board(row) for row in connection.execute(query)]

    def board(self, owner: str, name: str) -> Board | None:
        with self._read() as connection:
            query = _BOARD.where(boards.c.owner == owner, boards.c.name == name)
            row = connection.execute(query).one_or_none()
            return None if row is None else _board(row)

    def put_boards(
        self, boards_: Sequence[Board], *, create: bool = False, check: BoardCheck = any_board
    ) -> list[tuple[Board, bool]]:
        with self._call() as connection:
            written: list[tuple[Board, bool]] = []
            for board in boards_:
                ensure(connection, board.owner)
                one = _BOARD.where(boards.c.owner == board.owner, boards.c.name == board.name)
                row = connection.execute(one).one_or_none()
                before = None if row is None else _board(row)
                if before is not None and create:
                    raise Conflict(f"a board named {board.name!r} exists already")
                if before is not None:
                    check(before)
                if before is not None and before.document == board.document:
                    written.append((before, False))
                    continue
                moment = now()
                values = {
                    "owner": board.owner, "name": board.name,
                    "document": json.dumps(board.document), "maker": board.maker,
                    "created": moment, "updated": moment,
                    "version": 1 if before is None else before.version + 1,
                }  # fmt: skip
                upsert = insert(connection.dialect.name, boards)
                connection.execute(
                    upsert.on_conflict_do_update(
                        index_elements=["owner", "name"],
                        set_={name: upsert.excluded[name] for name in _WRITTEN},
                    ),
                    values,
                )
                written.append((_board(connection.execute(one).one()), before is None))
        return written

    def delete_board(self, owner: str, name: str, check: BoardCheck = any_board) -> None:
        with self._call() as connection:
            one = (boards.c.owner == owner) & (boards.c.name == name)
            row = connection.execute(_BOARD.where(one)).one_or_none()
            if row is None:
                raise NotFound(f"there is no board {name!r}")
            check(_board(row))
            connection.execute(delete(boards).where(one))


def _board(row: Row[Any]) -> Board:
    values = row._asdict()
    return Board(**(values | {"document": json.loads(values["document"])}))
