"""The document of a board.

{"name": "house", "title": "The house", "range": "24h", "share": "owner",
 "tiles": [{"kind": "plot", "topics": ["room/+/celsius"], "x": 0, "y": 0, "w": 6, "h": 4}]}

All problems are found at once.
"""

import json
from collections.abc import Mapping
from typing import Any

from lakebed.access.decision import Resource
from lakebed.accounts import fields
from lakebed.boards import tiles
from lakebed.documents.sections import DocumentSection, path_text
from lakebed.documents.source import Path
from lakebed.policies.fields import LONGEST, duration_within
from lakebed.ports.catalog.boards import Board
from lakebed.vocabulary.errors import Invalid, Problem, show
from lakebed.vocabulary.times import MINUTE

KEYS = ("name", "title", "range", "share", "tiles")
SHARES = ("private", "owner", "instance", "public")
RANGE = "6h"
LARGEST = 100_000  # characters of JSON
MOST_BOARDS = 200
"""Of an owner for whom no limit says another number: a list of all of them is one answer."""


def check(document: object) -> list[tuple[Path, str]]:
    """What is wrong with a document: paths within it, and what is allowed there."""
    if not isinstance(document, Mapping):
        return [((), "a board is a mapping with the keys name, title, range, share and tiles")]
    problems = [
        *fields.unknown_keys(document, KEYS),
        *fields.name(document, "board"),
        *_title(document),
        *_range(document),
        *_share(document),
        *_tiles(document),
    ]
    return problems or list(_size(document))


def parse(document: object, owner: str, maker: str = "") -> Board:
    """The board of a document.

    Args:
        maker: the label of who makes it.

    Raises:
        Invalid: names everything that is wrong.
    """
    if problems := check(document):
        raise Invalid(*(Problem(path_text(path), what) for path, what in problems))
    assert isinstance(document, Mapping)
    return board_of(document, owner, maker)


def board_of(document: Mapping[str, Any], owner: str, maker: str = "") -> Board:
    """The board of a document that was checked, defaults filled in."""
    name = document["name"]
    whole = {
        "name": name,
        "title": document.get("title") or name,
        "range": document.get("range") or RANGE,
        "share": document.get("share") or "owner",
        "tiles": tiles.placed(document.get("tiles") or []),
    }
    return Board(owner, name, whole, maker)


def topics(board: Board) -> tuple[str, ...]:
    """All topics that the tiles of a board are about; all of the owner's where it names none."""
    found = dict.fromkeys(
        topic for tile in board.document["tiles"] for topic in tile.get("topics", _all_of(tile))
    )
    return tuple(found) or ("#",)


def _all_of(tile: Mapping[str, Any]) -> tuple[str, ...]:
    return ("#",) if tile["kind"] in ("flow", "load", "errors") else ()


def resource(board: Board, public: bool) -> Resource:
    """What a board is to the decision.

    Args:
        public: whether the instance shows anything to those who have not signed in.
    """
    share = board.document["share"]
    shown_to = "instance" if share == "public" and not public else share
    return Resource(
        board.owner,
        topics(board),
        shown_to if shown_to in ("instance", "public") else "",
        only=board.maker if share == "private" else "",
    )


def section() -> DocumentSection:
    """Boards in a document: `boards:` with a list."""
    return DocumentSection("boards", "board", check)


def _title(document: Mapping[Any, Any]) -> fields.Problems:
    value = document.get("title")
    if value is None:
        return
    if (what := tiles.fault_of_text(value, tiles.LONGEST_TITLE)) is not None:
        yield ("title",), what


def _range(document: Mapping[Any, Any]) -> fields.Problems:
    try:
        duration_within(document.get("range") or RANGE, MINUTE, LONGEST)
    except ValueError as error:
        yield ("range",), str(error)


def _share(document: Mapping[Any, Any]) -> fields.Problems:
    value = document.get("share", "owner")
    if value is not None and value not in SHARES:
        yield ("share",), f"{show(value)} is nobody: write {', '.join(SHARES[:-1])} or {SHARES[-1]}"


def _tiles(document: Mapping[Any, Any]) -> fields.Problems:
    value = document.get("tiles")
    if value is None:
        return
    if not isinstance(value, list):
        yield ("tiles",), "write a list of tiles, each beginning with `-`"
        return
    if len(value) > tiles.MOST_TILES:
        yield ("tiles",), f"there are at most {tiles.MOST_TILES} tiles, not {len(value)}"
        return
    for index, tile in enumerate(value):
        for path, what in tiles.check(tile):
            yield ("tiles", index, *path), what
    for path, what in tiles.overlaps(value):
        yield ("tiles", *path), what


def _size(document: Mapping[Any, Any]) -> fields.Problems:
    length = len(json.dumps(document, ensure_ascii=False))
    if length > LARGEST:
        yield (), f"a board has at most {LARGEST} characters as JSON, not {length}"
