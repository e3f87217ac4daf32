"""Boards: what somebody has composed to look at."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from lakebed.vocabulary.times import Micros


@dataclass(frozen=True, slots=True)
class Board:
    """Attributes:
    document: JSON values; its defaults are filled in.
    maker: the label of who made it; "" where nobody did.
    """

    owner: str
    name: str
    document: Mapping[str, Any]
    maker: str = ""
    created: Micros = 0
    updated: Micros = 0
    version: int = 0


BoardCheck = Callable[[Board], None]
"""Called with the board that is there; it may refuse the change by raising."""


def any_board(current: Board) -> None:
    """Allow every change."""


class BoardStore(Protocol):
    """Calls block, are thread-safe, and are one transaction each.

    Every method raises `StoreUnavailable` where the database does not answer.
    """

    def boards(self, owner: str) -> list[Board]:
        """By name."""
        ...

    def board(self, owner: str, name: str) -> Board | None: ...

    def put_boards(
        self, boards: Sequence[Board], *, create: bool = False, check: BoardCheck = any_board
    ) -> list[tuple[Board, bool]]:
        """Write all of them, or none; each with whether it was made.

        One that is there keeps its maker; an equal document changes nothing.

        Raises:
            Conflict: `create`, and the owner has a board of such a name.
        """
        ...

    def delete_board(self, owner: str, name: str, check: BoardCheck = any_board) -> None:
        """Raises:
        NotFound: the owner has none of this name.
        """
        ...
