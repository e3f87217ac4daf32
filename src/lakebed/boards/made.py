"""Boards that come with Lakebed."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from lakebed.boards.tiles import MOST_TOPICS
from lakebed.documents.source import read_source

NAMES = ("node", "load", "errors", "unit", "fleet")


def made(name: str, unit: str = "", topics: Sequence[str] = ()) -> dict[str, Any] | None:
    """The document of a made board, None where there is none.

    Args:
        unit: whose name stands in place of `{unit}`.
        topics: filters of that unit, in place of `{topics}`.
    """
    document = deepcopy(dict(_all().get(name, {})))
    if not document:
        return None
    document["title"] = document["title"].replace("{unit}", unit or "unit")
    for tile in document["tiles"]:
        if tile.get("unit") == "{unit}":
            tile["unit"] = unit or "unit"
        if tile.get("topics") == ["{topics}"]:
            tile["topics"] = list(topics[:MOST_TOPICS]) or ["#"]
    return document


@cache
def _all() -> Mapping[str, dict[str, Any]]:
    text = (Path(__file__).parent / "made.yaml").read_text()
    return {board["name"]: board for board in read_source(text).value["boards"]}
