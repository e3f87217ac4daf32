"""Changes of a board by buttons: a tile goes where it is told, and none lies on another."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakebed.boards import documents, tiles
from lakebed.web.arranging import MOVES, changed
from lakebed.web.page import Form

FOUR = [
    {"kind": "flow", "title": str(n), "x": 6 * (n % 2), "y": 3 * (n // 2), "w": 6, "h": 3}
    for n in range(4)
]


def after(*pressed: str, found: list[dict[str, Any]] = FOUR) -> list[tuple[int, int, int, int]]:
    document: dict[str, Any] = {"name": "house", "tiles": found}
    for do in pressed:
        document = changed(document, do, Form())
        assert not documents.check(document)
    return [(one["x"], one["y"], one["w"], one["h"]) for one in document["tiles"]]


@pytest.mark.parametrize(
    ("pressed", "index", "place"),
    [
        ("left:0", 0, (0, 0, 6, 3)),  # the edge
        ("right:1", 1, (6, 0, 6, 3)),
        ("down:0", 0, (0, 3, 6, 3)),  # over the one below, which takes its place
        ("down:0", 2, (0, 0, 6, 3)),
        ("up:2", 2, (0, 0, 6, 3)),
        ("up:2", 0, (0, 3, 6, 3)),
        ("up:0", 0, (0, 0, 6, 3)),
        ("down:2", 2, (0, 3, 6, 3)),  # there is nothing below
        ("narrower:0", 0, (0, 0, 5, 3)),
        ("wider:0", 0, (0, 0, 7, 3)),
        ("wider:0", 1, (6, 3, 6, 3)),  # pushed down
        ("wider:1", 1, (5, 0, 7, 3)),
        ("lower:0", 0, (0, 0, 6, 2)),
        ("lower:0", 2, (0, 2, 6, 3)),  # falls up
        ("higher:0", 2, (0, 4, 6, 3)),
    ],
)
def test_a_button_moves_a_tile(pressed: str, index: int, place: tuple[int, ...]) -> None:
    assert after(pressed)[index] == place


def test_down_and_up_again_changes_nothing() -> None:
    assert after("down:0", "up:0") == after()


def test_a_tile_is_removed_and_another_added() -> None:
    assert len(after("remove:1")) == 3
    form = Form({"kind": ["text"], "tile-text": ["hello"], "tile-title": [" "]})
    document = changed({"name": "house", "tiles": FOUR}, "add", form)
    assert document["tiles"][4] == {"kind": "text", "text": "hello"}
    assert documents.board_of(document, "ann").document["tiles"][4]["y"] == 6


@given(st.lists(st.tuples(st.sampled_from([*MOVES]), st.integers(0, 3)), max_size=12))
def test_no_buttons_put_a_tile_on_another_or_outside(pressed: list[tuple[str, int]]) -> None:
    for x, _, w, h in after(*(f"{what}:{index}" for what, index in pressed)):
        assert 0 <= x <= tiles.COLUMNS - w
        assert 1 <= h <= tiles.TALLEST
