"""Documents of boards: every mistake is named, at its place, at once."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakebed.boards import documents, tiles
from lakebed.boards.made import NAMES, made
from lakebed.documents.sections import read_entries
from lakebed.vocabulary.errors import Invalid

PLOT = {"kind": "plot", "topics": ["room/+/celsius"]}
ALERT = {"kind": "alert", "topics": ["a"], "above": 5}


def board(*found: Any, **more: Any) -> dict[str, Any]:
    return {"name": "house", "tiles": list(found), **more}


def wrong(document: object) -> dict[str, str]:
    return {".".join(map(str, path)): what for path, what in documents.check(document)}


def test_a_board_has_its_defaults_filled_in_and_stays_the_same_when_it_is_read_again() -> None:
    found = documents.parse(board(PLOT, {"kind": "text", "text": "hello"}), "ann", "user:ann")
    assert found.document == {
        "name": "house",
        "title": "house",
        "range": "6h",
        "share": "owner",
        "tiles": [
            {"kind": "plot", "x": 0, "y": 0, "w": 6, "h": 4, "topics": ["room/+/celsius"]},
            {"kind": "text", "x": 6, "y": 0, "w": 4, "h": 2, "text": "hello"},
        ],
    }
    assert documents.parse(found.document, "ann", "user:ann") == found


@pytest.mark.parametrize(
    ("document", "where"),
    [
        ([], ""),
        ({"tiles": []}, "name"),
        (board(name="a/b"), "name"),
        (board(tilse=[]), "tilse"),
        (board(title=5), "title"),
        (board(title="a\x00"), "title"),
        (board(title="a\ud800"), "title"),
        (board(title="x" * 101), "title"),
        (board(range="1s"), "range"),
        (board(range="soon"), "range"),
        (board(share="eve"), "share"),
        (board(share=["owner"]), "share"),
        ({"name": "a", "tiles": {}}, "tiles"),
        (board(*[{"kind": "flow"}] * 51), "tiles"),
        (board(5), "tiles.0"),
        (board({"topics": ["a"]}), "tiles.0.kind"),
        (board({"kind": "clock"}), "tiles.0.kind"),
        (board({"kind": ["plot"]}), "tiles.0.kind"),
        (board({"kind": "plot"}), "tiles.0.topics"),
        (board({"kind": "plot", "topics": []}), "tiles.0.topics"),
        (board({"kind": "text", "text": ""}), "tiles.0.text"),
        (board({"kind": "text", "text": "x" * 4001}), "tiles.0.text"),
        (board({"kind": "text", "text": "a\x1b[31m"}), "tiles.0.text"),
        (board({"kind": "text", "text": "a", "topics": ["a"]}), "tiles.0.topics"),
        (board(PLOT | {"topics": ["a/#/b"]}), "tiles.0.topics.0"),
        (board(PLOT | {"topics": ["$owner/eve/a"]}), "tiles.0.topics.0"),
        (board(PLOT | {"topics": ["a" * 513]}), "tiles.0.topics.0"),
        (board(PLOT | {"topics": ["a"] * 21}), "tiles.0.topics"),
        (board(PLOT | {"topics": "a"}), "tiles.0.topics"),
        (board(PLOT | {"policy": "a b"}), "tiles.0.policy"),
        (board(PLOT | {"functions": ["mean"]}), "tiles.0.functions.0"),
        (board(PLOT | {"functions": ["avg"] * 9}), "tiles.0.functions"),
        (board({"kind": "number", "topics": ["a", "b"]}), "tiles.0.topics"),
        (board({"kind": "number", "topics": ["a/+"]}), "tiles.0.topics.0"),
        (board({"kind": "number", "topics": ["a"], "suffix": "x" * 17}), "tiles.0.suffix"),
        (board({"kind": "table", "topics": ["a"], "rows": 101}), "tiles.0.rows"),
        (board({"kind": "table", "topics": ["a"], "rows": True}), "tiles.0.rows"),
        (board({"kind": "alert", "topics": ["a"]}), "tiles.0.kind"),
        (board(ALERT | {"above": "5"}), "tiles.0.above"),
        (board(ALERT | {"below": float("nan")}), "tiles.0.below"),
        (board(ALERT | {"above": 10**400}), "tiles.0.above"),
        (board(ALERT | {"outside": 5}), "tiles.0.outside"),
        (board(ALERT | {"outside": [1, "2"]}), "tiles.0.outside"),
        (board(ALERT | {"outside": [2, 1]}), "tiles.0.outside"),
        (board(ALERT | {"equals": True}), "tiles.0.equals"),
        (board(ALERT | {"equals": "x" * 201}), "tiles.0.equals"),
        (board(ALERT | {"silent": "0s"}), "tiles.0.silent"),
        (board({"kind": "units", "unit": "a/b"}), "tiles.0.unit"),
        (board({"kind": "units", "tag": 5}), "tiles.0.tag"),
        (board(PLOT | {"x": 0}), "tiles.0.y"),
        (board(PLOT | {"x": 12, "y": 0}), "tiles.0.x"),
        (board(PLOT | {"x": 8, "y": 0}), "tiles.0.w"),
        (board(PLOT | {"h": 25}), "tiles.0.h"),
        (board(PLOT | {"w": 0}), "tiles.0.w"),
        (board(PLOT | {"x": 0, "y": 1000}), "tiles.0.y"),
        (board(PLOT | {"x": 0, "y": 0}, PLOT | {"x": 5, "y": 3}), "tiles.1"),
    ],
)
def test_a_mistake_is_named_at_its_place(document: Any, where: str) -> None:
    assert list(wrong(document)) == [where]
    with pytest.raises(Invalid):
        documents.parse(document, "ann")


def test_all_mistakes_are_named_at_once() -> None:
    document = board(
        {"kind": "number", "topics": ["a/+"], "sufix": "°C"}, {"kind": "plto"}, range="x", share="y"
    )
    found = wrong(document)
    assert list(found) == [
        "range", "share", "tiles.0.sufix", "tiles.0.topics.0", "tiles.1.kind",
    ]  # fmt: skip
    assert "did you mean suffix?" in found["tiles.0.sufix"]
    assert "did you mean plot?" in found["tiles.1.kind"]


def test_a_board_is_bounded_as_a_whole() -> None:
    text = {"kind": "text", "text": "x" * 4000, "w": 1, "h": 1}
    assert "100000" in wrong(board(*[text] * 30))[""]
    assert not wrong(board(*[text] * 24))


def test_a_board_in_a_file_is_told_with_its_lines() -> None:
    text = "boards:\n  - name: house\n    tiles:\n      - kind: plot\n        topics: [a/#/b]\n"
    with pytest.raises(Invalid) as refused:
        read_entries(text, [documents.section()])
    (problem,) = refused.value.problems
    assert (problem.where, problem.line) == ("boards[0].tiles[0].topics[0]", 5)


def test_the_topics_of_a_board_are_those_of_its_tiles() -> None:
    def topics(*found: Any) -> tuple[str, ...]:
        return documents.topics(documents.parse(board(*found), "ann"))

    assert topics(PLOT, ALERT, PLOT) == ("room/+/celsius", "a")
    assert topics({"kind": "flow"}, ALERT) == ("#", "a")
    assert topics({"kind": "flow", "topics": ["b"]}) == ("b",)
    assert topics({"kind": "text", "text": "x"}) == ("#",)


PLACES = st.fixed_dictionaries(
    {"kind": st.sampled_from(["flow", "plot"]), "topics": st.just(["a"])},
    optional={
        "x": st.integers(-1, 13),
        "y": st.integers(-1, 30),
        "w": st.integers(0, 13),
        "h": st.integers(0, 25),
    },
)


@given(st.lists(PLACES, max_size=6))
def test_no_tile_lies_on_another_and_none_outside(found: list[dict[str, Any]]) -> None:
    document = board(*found)
    if documents.check(document):
        return
    taken = set()
    for tile in documents.board_of(document, "ann").document["tiles"]:
        for dx in range(tile["w"]):
            for dy in range(tile["h"]):
                cell = tile["x"] + dx, tile["y"] + dy
                assert cell not in taken
                assert cell[0] < tiles.COLUMNS
                taken.add(cell)


KEYS = ["name", "tiles", "kind", "topics", "x", "w", "outside", "share", "range", "text"]
VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text()


@given(
    st.recursive(
        VALUES, lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(KEYS), inner)
    )
)
def test_no_document_breaks_the_checks(document: Any) -> None:
    for path, what in documents.check(document):
        json.dumps([path, what])


@pytest.mark.parametrize("name", NAMES)
def test_a_made_board_is_a_right_one(name: str) -> None:
    document = made(name, "lamp", ("room/#",))
    assert document is not None
    assert not wrong(document)
    assert "{" not in json.dumps(documents.board_of(document, "ann").document).replace('{"', "")


def test_a_made_board_of_a_unit_is_about_its_topics() -> None:
    document = made("unit", "lamp", [f"t/{n}" for n in range(30)])
    assert document is not None
    assert document["title"] == "lamp"
    assert document["tiles"][1]["topics"] == [f"t/{n}" for n in range(20)]
    assert made("unit") != document
    assert made("nothing") is None
