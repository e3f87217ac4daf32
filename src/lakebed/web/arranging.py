"""Changes of a board while it is edited: each is a button of its form, and works without script.

form ──document_in──> document ──changed──> document ──> the form again, until it is saved
"""

import json
import math
from collections.abc import Mapping
from functools import cache
from typing import Any

from lakebed.boards import tiles
from lakebed.boards.documents import KEYS, SHARES, section
from lakebed.documents.sections import path_text, read_entries
from lakebed.policies.fields import listed
from lakebed.vocabulary.errors import BadRequest, Invalid, Problem
from lakebed.web.page import Form
from lakebed.web.rendering import as_yaml
from lakebed.web.words import mark as _

MOVES = {
    "left": (_("Move left"), -1, 0, 0, 0),
    "right": (_("Move right"), 1, 0, 0, 0),
    "up": (_("Move up"), 0, -1, 0, 0),
    "down": (_("Move down"), 0, 1, 0, 0),
    "narrower": (_("Narrower"), 0, 0, -1, 0),
    "wider": (_("Wider"), 0, 0, 1, 0),
    "lower": (_("Less high"), 0, 0, 0, -1),
    "higher": (_("Higher"), 0, 0, 0, 1),
}
"""What a button of a tile says, and by how much it changes x, y, w and h."""

_LISTS = ("topics", "functions", "outside")
_NUMBERS = ("above", "below", "equals", "outside")
_WHOLE = ("rows",)


def read(text: str) -> dict[str, Any]:
    """The one board in a text.

    Raises:
        Invalid: it is none, or there are several, with everything that is wrong.
    """
    entries = read_entries(text, [section()])["boards"]
    if len(entries) != 1:
        raise Invalid(Problem("boards", f"one board is edited here, not {len(entries)}"))
    document: dict[str, Any] = entries[0].value
    return document


def document_in(form: Form) -> dict[str, Any]:
    """The document of a form that was sent, its tiles where they were dragged to.

    Raises:
        Invalid: names everything that is wrong.
    """
    document = read(form.raw("yaml"))
    if (places := _places(form.text("places"))) is not None:
        found = document.get("tiles") or []
        if len(places) != len(found):
            raise BadRequest("places", "there are other tiles by now: arrange them again")
        document["tiles"] = [tile | place for tile, place in zip(found, places, strict=True)]
    return document


def _places(text: str) -> list[dict[str, int]] | None:
    """The places of all tiles as a script has noted them: a list of [x, y, w, h]."""
    if not text:
        return None
    try:
        return [dict(zip("xywh", map(int, place), strict=True)) for place in json.loads(text)]
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise BadRequest("places", "they are lists of four numbers") from None


def changed(document: Mapping[str, Any], do: str, form: Form) -> dict[str, Any]:
    """A board that was checked, after one button was pressed.

    Raises:
        Invalid: the tile to be added has mistakes.
        BadRequest: there is no such button.
    """
    found = tiles.placed(document.get("tiles") or [])
    what, _, number = do.partition(":")
    if what == "add":
        return {**document, "tiles": [*found, _added(form)]}
    index = int(number) if number.isdecimal() and len(number) < 4 else -1
    if not 0 <= index < len(found) or what not in ("remove", *MOVES):
        raise BadRequest("do", f"it is {listed([*MOVES, 'remove'])} with the number of a tile")
    if what == "remove":
        return {**document, "tiles": [*found[:index], *found[index + 1 :]]}
    return {**document, "tiles": _moved(found, index, MOVES[what][1:])}


def _moved(
    found: list[dict[str, Any]], index: int, by: tuple[int, int, int, int]
) -> list[dict[str, Any]]:
    """The tiles with one of them moved, and those that were in its way below it."""
    tile = dict(found[index])
    dx, dy, dw, dh = by
    tile["w"] = min(max(tile["w"] + dw, 1), tiles.COLUMNS)
    tile["h"] = min(max(tile["h"] + dh, 1), tiles.TALLEST)
    tile["x"] = min(max(tile["x"] + dx, 0), tiles.COLUMNS - tile["w"])
    y = max(tile["y"] + dy, 0)
    if dy < 0:  # over the whole of what stands above: one row alone would push it down again
        above = [one for one in found if _beside(one, tile) and one["y"] + one["h"] <= tile["y"]]
        y = max((one["y"] for one in above), default=y)
    elif dy > 0:
        below = [one for one in found if _beside(one, tile) and one["y"] >= tile["y"] + tile["h"]]
        nearest = min(below, key=lambda one: one["y"], default=None)
        y = tile["y"] if nearest is None else nearest["y"] + nearest["h"] - tile["h"]
        y = max(y, tile["y"])
        if nearest is not None:  # it takes the place of the one that it moves over
            found = [one | {"y": tile["y"]} if one is nearest else one for one in found]
            y = tile["y"] + nearest["h"]
    tile["y"] = y
    return settled([tile if place == index else one for place, one in enumerate(found)], index)


def _beside(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two tiles have a column in common."""
    return one is not other and one["x"] < other["x"] + other["w"] and (
        other["x"] < one["x"] + one["w"]
    )  # fmt: skip


def settled(found: list[dict[str, Any]], first: int) -> list[dict[str, Any]]:
    """Tiles without overlaps and without empty rows: one stays, the others make room below it."""
    order = sorted(
        range(len(found)), key=lambda place: (found[place]["y"], place != first, found[place]["x"])
    )
    heights = [0] * tiles.COLUMNS
    result = list(found)
    for place in order:
        tile = found[place]
        columns = range(tile["x"], tile["x"] + tile["w"])
        y = max(heights[column] for column in columns)
        result[place] = tile | {"y": y}
        for column in columns:
            heights[column] = y + tile["h"]
    return result


def _added(form: Form) -> dict[str, Any]:
    """The tile that the fields of the form describe.

    Raises:
        Invalid: names everything that is wrong.
    """
    kind = form.text("kind")
    keys = tiles.KINDS[kind].keys if kind in tiles.KINDS else ("kind",)
    tile: dict[str, Any] = {"kind": kind}
    for key in keys:
        text = form.raw(f"tile-{key}").strip()
        if key == "kind" or not text:
            continue
        if key in _LISTS:
            found = [one.strip() for one in text.replace(",", "\n").splitlines() if one.strip()]
            tile[key] = [_number(one) for one in found] if key in _NUMBERS else found
        elif key in _NUMBERS:
            tile[key] = _number(text)
        else:
            tile[key] = int(text) if key in _WHOLE and text.isdecimal() and len(text) < 5 else text
    if problems := list(tiles.check(tile)):
        raise Invalid(*(Problem(path_text(path), what) for path, what in problems))
    return tile


def _number(text: str) -> float | str:
    """A finite number as YAML writes it, else the text as it is."""
    try:
        number = float(text)
    except ValueError:
        return text
    return text if not math.isfinite(number) else int(number) if text.isdecimal() else number


@cache
def completions() -> dict[str, Any]:
    """What an editor of the YAML offers: see `drafts.completions`."""
    keys = dict.fromkeys(key for kind in tiles.KINDS.values() for key in kind.keys)
    return {
        "keys": {"": dict.fromkeys(KEYS, ""), "tiles": {key: _users(key) for key in keys}},
        "values": {
            "share": list(SHARES),
            "kind": list(tiles.KINDS),
            "functions": list(tiles.FUNCTIONS),
        },
        "kinds": {},
    }


def _users(key: str) -> str:
    """The kinds of tiles that have a key; empty where all have it."""
    users = [name for name, kind in tiles.KINDS.items() if key in kind.keys]
    return "" if len(users) == len(tiles.KINDS) else listed(users)


def written(document: Mapping[str, Any]) -> str:
    """The text of a board, with one tile to a line where that is short."""
    return as_yaml(dict(document))
