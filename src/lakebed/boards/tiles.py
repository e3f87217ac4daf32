"""Rules of the tiles of a board: their kinds, keys, sizes and places.

A board is a grid of `COLUMNS` columns and as many rows as its tiles need. Each function yields what
is wrong, with the path of the value in its document.
"""

import math
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lakebed.accounts import fields
from lakebed.boards import conditions
from lakebed.documents.source import Path
from lakebed.kinds import KINDS as POLICIES
from lakebed.policies.fields import duration_within, field_name, listed, suggest
from lakebed.policies.fields import name as policy_name
from lakebed.vocabulary.errors import show
from lakebed.vocabulary.times import DAY, SECOND
from lakebed.vocabulary.topics import is_wildcard

COLUMNS = 12
MOST_TILES = 50
MOST_TOPICS = 20  # filters of one tile
MOST_FUNCTIONS = 8
MOST_ROWS = 100  # of a table
LONGEST_TITLE = 100  # characters
LONGEST_TEXT = 4000
LONGEST_TOPIC = 512
LONGEST_EQUAL = 200
LOWEST = 1000  # rows of the grid
TALLEST = 24  # rows of one tile

FUNCTIONS: tuple[str, ...] = tuple(
    dict.fromkeys(
        name for kind in POLICIES.values() for names in kind.functions.values() for name in names
    )
)
"""What windows of some policy can answer with."""

_EVERYWHERE = ("kind", "title", "x", "y", "w", "h")


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of tile.

    Attributes:
        needs: keys that it must have.
        may: keys that it may have.
        one: whether it is about one topic, without wildcards.
        w, h: its size where the document names none.
    """

    needs: tuple[str, ...] = ()
    may: tuple[str, ...] = ()
    one: bool = False
    w: int = 4
    h: int = 3

    @property
    def keys(self) -> tuple[str, ...]:
        return (*_EVERYWHERE, *self.needs, *self.may)


KINDS: dict[str, Kind] = {
    "plot": Kind(("topics",), ("policy", "field", "functions"), w=6, h=4),
    "number": Kind(("topics",), ("policy", "field", "functions", "suffix"), one=True, w=3, h=2),
    "table": Kind(("topics",), ("policy", "field", "functions", "rows"), w=6, h=4),
    "last": Kind(("topics",), ("policy", "field"), w=4, h=4),
    "text": Kind(("text",), w=4, h=2),
    "image": Kind(("topics",), ("policy",), one=True, w=4, h=4),
    "alert": Kind(("topics",), ("policy", "field", *conditions.KEYS), w=3, h=2),
    "flow": Kind((), ("topics",), w=4, h=3),
    "load": Kind((), ("rows",), w=6, h=4),
    "errors": Kind((), ("topics", "rows"), w=6, h=4),
    "units": Kind((), ("unit", "tag", "rows"), w=6, h=4),
}


def check(tile: object) -> fields.Problems:
    """What is wrong with one tile, wherever it stands."""
    if not isinstance(tile, Mapping):
        yield (), "a tile is a mapping with the keys kind, topics and others"
        return
    name = tile.get("kind")
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        what = f"a tile needs a kind: {listed(KINDS)}"
        if name is not None:
            what = f"{show(name)} is no kind of tile: {suggest(str(name)[:80], KINDS)}"
        yield ("kind",), what
        kind = Kind((), tuple({key for one in KINDS.values() for key in one.keys}))
    yield from fields.unknown_keys(tile, kind.keys)
    for key in kind.needs:
        if tile.get(key) in (None, [], ""):
            yield (key,), f"a tile of kind {name} needs `{key}`"
    for key, of in _CHECKS.items():
        if key in kind.keys and tile.get(key) is not None:
            yield from of(tile, key)
    if kind.one:
        yield from _one_topic(tile, str(name))
    if name == "alert" and all(tile.get(key) is None for key in conditions.KEYS):
        yield ("kind",), f"an alert needs a condition: {listed(conditions.KEYS)}"
    yield from _place(tile, kind)


def filled(tile: Mapping[str, Any]) -> dict[str, Any]:
    """A tile that was checked, its size filled in; its keys in one order, without null."""
    kind = KINDS[tile["kind"]]
    whole = {"w": kind.w, "h": kind.h} | {k: v for k, v in tile.items() if v is not None}
    return {key: whole[key] for key in kind.keys if key in whole}


# --- values ---------------------------------------------------------------------------------------


def fault_of_text(value: object, longest: int, lines: bool = False) -> str | None:
    """What is wrong with a text that is shown to people, or None."""
    if not isinstance(value, str):
        return f"it is text, not {show(value)}"
    if len(value) > longest:
        return f"it is at most {longest} characters long, not {len(value)}"
    for one in value:
        if unicodedata.category(one) in ("Cc", "Cs") and not (lines and one in "\n\t"):
            return f"it has the character U+{ord(one):04X}, which cannot be shown"
    return None


def _text(longest: int, lines: bool = False) -> Callable[[Mapping[Any, Any], str], fields.Problems]:
    def check(tile: Mapping[Any, Any], key: str) -> fields.Problems:
        if (what := fault_of_text(tile[key], longest, lines)) is not None:
            yield (key,), what

    return check


def _read(read: Callable[[object], object]) -> Callable[[Mapping[Any, Any], str], fields.Problems]:
    """A check by a function that raises ValueError."""

    def check(tile: Mapping[Any, Any], key: str) -> fields.Problems:
        try:
            read(tile[key])
        except ValueError as error:
            yield (key,), str(error)

    return check


def _topics(tile: Mapping[Any, Any], key: str) -> fields.Problems:
    found, wrong = fields.texts(tile, key, "topic filters", MOST_TOPICS)
    yield from wrong
    for place, filter in found:
        if len(filter) > LONGEST_TOPIC:
            yield (key, place), f"it is at most {LONGEST_TOPIC} characters long"
        elif (what := fields.fault_of_filter(filter)) is not None:
            yield (key, place), what


def _one_topic(tile: Mapping[Any, Any], name: str) -> fields.Problems:
    topics = tile.get("topics")
    if not isinstance(topics, list):
        return
    if len(topics) > 1:
        yield ("topics",), f"a tile of kind {name} is about one topic, not {len(topics)}"
    elif topics and isinstance(topics[0], str) and is_wildcard(topics[0]):
        yield ("topics", 0), f"a tile of kind {name} is about one topic, without + and #"


def _functions(tile: Mapping[Any, Any], key: str) -> fields.Problems:
    found, wrong = fields.texts(tile, key, "functions", MOST_FUNCTIONS)
    yield from wrong
    for place, one in found:
        if one not in FUNCTIONS:
            yield (key, place), f"{show(one)} is no function: {suggest(one[:80], FUNCTIONS)}"


def _bound(tile: Mapping[Any, Any], key: str) -> fields.Problems:
    if not _is_bound(tile[key]):
        yield (key,), f"{show(tile[key])} is no finite number"


def _outside(tile: Mapping[Any, Any], key: str) -> fields.Problems:
    value = tile[key]
    if not isinstance(value, list) or len(value) != 2 or not all(map(_is_bound, value)):
        yield (key,), f"{show(value)} is no list of two finite numbers, such as [10, 30]"
    elif value[0] > value[1]:
        yield (key,), "the first number is not greater than the second"


def _equals(tile: Mapping[Any, Any], key: str) -> fields.Problems:
    value = tile[key]
    if isinstance(value, str):
        yield from _text(LONGEST_EQUAL)(tile, key)
    elif not _is_bound(value):
        yield (key,), f"{show(value)} is neither a finite number nor text: put texts in quotes"


def _is_bound(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and _finite(value)


def _finite(value: float) -> bool:
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


_CHECKS: dict[str, Callable[[Mapping[Any, Any], str], fields.Problems]] = {
    "title": _text(LONGEST_TITLE),
    "topics": _topics,
    "policy": _read(policy_name),
    "field": _read(field_name),
    "functions": _functions,
    "suffix": _text(16),
    "rows": lambda tile, key: _whole(tile, key, 1, MOST_ROWS),
    "text": _text(LONGEST_TEXT, lines=True),
    "unit": lambda tile, key: fields.name(tile, "unit", key),
    "tag": _text(64),
    "above": _bound,
    "below": _bound,
    "outside": _outside,
    "equals": _equals,
    "silent": _read(lambda value: duration_within(value, SECOND, 366 * DAY)),
}


# --- places ---------------------------------------------------------------------------------------


def _place(tile: Mapping[Any, Any], kind: Kind) -> fields.Problems:
    yield from _whole(tile, "x", 0, COLUMNS - 1)
    yield from _whole(tile, "y", 0, LOWEST - 1)
    yield from _whole(tile, "w", 1, COLUMNS)
    yield from _whole(tile, "h", 1, TALLEST)
    if (tile.get("x") is None) is not (tile.get("y") is None):
        missing = "x" if tile.get("x") is None else "y"
        yield (missing,), "write `x` and `y`, or neither: then a free place is found"
    x, w = tile.get("x"), tile.get("w", kind.w)
    if not (isinstance(x, int) and isinstance(w, int)):
        return
    if 0 <= x < COLUMNS and 1 <= w <= COLUMNS < x + w:
        yield ("w",), f"x + w is at most {COLUMNS}, the columns of a board, not {x + w}"


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _whole(tile: Mapping[Any, Any], key: str, least: int, most: int) -> fields.Problems:
    value = tile.get(key)
    if value is not None and not (_is_whole(value) and least <= value <= most):
        yield (key,), f"{show(value)} is not a whole number from {least} to {most}"


def overlaps(tiles: Sequence[object]) -> Iterator[tuple[Path, str]]:
    """Tiles that lie on one that stands before them; those whose place is wrong are left out."""
    taken: dict[tuple[int, int], int] = {}
    for index, tile in enumerate(tiles):
        cells = _cells(tile)
        over = next((taken[cell] for cell in cells if cell in taken), None)
        if over is not None:
            yield (index,), f"it lies on tiles[{over}]: change `x`, `y`, `w` or `h` of one of them"
        taken.update(dict.fromkeys(cells, index))


def _cells(tile: object) -> list[tuple[int, int]]:
    """The cells that a tile with a place of its own takes."""
    if not isinstance(tile, Mapping) or not isinstance(tile.get("kind"), str):
        return []
    kind = KINDS.get(tile["kind"])
    if kind is None or any(_place(tile, kind)) or tile.get("x") is None:
        return []
    w, h = tile.get("w") or kind.w, tile.get("h") or kind.h
    return [(tile["x"] + dx, tile["y"] + dy) for dy in range(h) for dx in range(w)]


def placed(tiles: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Tiles that were checked, each with a place: those without one come where there is room."""
    taken = {cell for tile in tiles for cell in _cells(tile)}
    found = []
    for tile in tiles:
        whole = filled(tile)
        if "x" not in whole:
            whole |= _free(whole, taken)
            taken.update(_cells(whole))
        found.append(filled(whole))
    return found


def _free(tile: Mapping[str, Any], taken: set[tuple[int, int]]) -> dict[str, int]:
    """The first place from the top left where a tile fits."""
    y = 0
    while True:
        for x in range(COLUMNS - tile["w"] + 1):
            if taken.isdisjoint(_cells({**tile, "x": x, "y": y})):
                return {"x": x, "y": y}
        y += 1
