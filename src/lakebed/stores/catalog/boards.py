"""Boards of owners, each as its document."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, select

from lakebed.ports.catalog.boards import Board, BoardCheck, any_board
from lakebed.stores.catalog.account_tables import boards
from lakebed.stores.catalog.database import Database
from lakebed.stores.catalog.named import Named


class SqlBoards(Database):
    """Implements `ports.catalog.boards.BoardStore`."""

    def boards(self, owner: str) -> list[Board]:
        with self._read() as connection:
            query = select(boards).where(boards.c.owner == owner).order_by(boards.c.name)
            return [_board(row) for row in connection.execute(query)]

    def board(self, owner: str, name: str) -> Board | None:
        with self._read() as connection:
            return _NAMED.find(connection, owner, name)

    def put_boards(
        self, boards_: Sequence[Board], *, create: bool = False, check: BoardCheck = any_board
    ) -> list[tuple[Board, bool]]:
        with self._call() as connection:
            return _NAMED.put(connection, boards_, create, check)

    def delete_board(self, owner: str, name: str, check: BoardCheck = any_board) -> None:
        with self._call() as connection:
            _NAMED.delete(connection, owner, name, check)


def _board(row: Row[Any]) -> Board:
    values = row._asdict()
    return Board(**(values | {"document": json.loads(values["document"])}))


_NAMED = Named(
    boards,
    "board",
    _board,
    written=lambda board: {"document": json.dumps(board.document)},
    same=lambda before, wanted: before.document == wanted.document,
    fixed=lambda board: {"maker": board.maker},
)
