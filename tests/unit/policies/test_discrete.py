"""Whole numbers and truth values: what is one, and that integers stay exact."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakebed.policies.discrete import integers, read_booleans, read_integers
from lakebed.policies.document import parse, to_document
from lakebed.policies.outcomes import Outcome as O  # noqa: N817  # the tables stay narrow
from lakebed.policies.picked import reader
from lakebed.vocabulary.errors import Invalid

INT64 = st.integers(-(2**63), 2**63 - 1)


@given(st.lists(INT64, min_size=1))
def test_integers_are_exact_however_they_come(values: list[int]) -> None:
    payloads = [str(value).encode() for value in values]
    assert read_integers(payloads).numbers.tolist() == values  # type: ignore[union-attr]
    assert read_integers([*payloads, b"x"]).numbers.tolist()[:-1] == values  # type: ignore[union-attr]
    assert integers(values).numbers.tolist() == values  # type: ignore[union-attr]


def policy(**document: Any) -> dict[str, Any]:
    return {"name": "it", "topics": ["#"], "type": "integer", "keep": "archive"} | document


def read(document: dict[str, Any], *payloads: bytes) -> list[Any]:
    """The value of each payload, or why there is none."""
    column = reader(parse(document, "o"))(payloads)
    assert column.numbers is not None
    pairs = zip(column.outcomes.tolist(), column.numbers.tolist(), strict=True)
    return [O(outcome) if outcome else value for outcome, value in pairs]


def test_words_blanks_and_binary_numbers_become_integers() -> None:
    mapped = policy(map={"ON": 1, "OFF": 0, "big": 2**63 - 1}, strip=True)
    assert read(mapped, b"ON\n", b"OFF", b"big", b"15\0") == [1, 0, 2**63 - 1, 15]
    binary = policy(encoding="u64be")
    assert read(binary, (2**63 - 1).to_bytes(8), (2**63).to_bytes(8), b"1") == [
        2**63 - 1, O.OUT_OF_RANGE, O.NOT_AN_INTEGER,
    ]  # fmt: skip


def test_words_become_truth_values_by_a_map_alone() -> None:
    assert read(policy(type="boolean"), b"ON", b"true") == [O.NOT_A_BOOLEAN, 1.0]
    document = policy(type="boolean", map={"ON": True, "OFF": False, "online": True})
    assert read(document, b"ON", b"OFF", b"online", b"0", b"on") == [1, 0, 1, 0, O.NOT_A_BOOLEAN]
    part = document | {"at": "/s"}
    assert read(part, b'{"s": "ON"}', b'{"s": false}', b"{}") == [1, 0, O.MISSING_PATH]
    parsed = parse(document, "o")
    assert to_document(parsed)["map"] == {"OFF": False, "ON": True, "online": True}
    assert parse(to_document(parsed), "o") == parsed


def test_one_bad_payload_among_many_does_not_slow_or_harm_the_others() -> None:
    column = read_booleans([b"1", b"yes", b"false"])
    assert column.outcomes.tolist() == [O.KEPT, O.NOT_A_BOOLEAN, O.KEPT]
    hostile = [b"1e999999999", b"9" * 5000, b"1" + b"0" * 18, json.dumps(1.5).encode()]
    assert read_integers(hostile).outcomes.tolist() == [
        O.OUT_OF_RANGE, O.NOT_AN_INTEGER, O.KEPT, O.NOT_AN_INTEGER,
    ]  # fmt: skip
    assert read_integers(hostile).numbers.dtype == np.int64  # type: ignore[union-attr]


REFUSED = [
    ({"map": {"ON": 1.5}}, "map", "not a whole number"),
    ({"map": {"ON": 2**63}}, "map", "not a whole number"),
    ({"filter": {"allow": ["1"]}}, "filter.allow[0]", "not a whole number"),
    ({"transform": {"scale": 2}}, "transform.scale", "belongs to type: number"),
    ({"encoding": "f32le"}, "encoding", "is no encoding of type integer"),
    ({"type": "boolean", "map": {"ON": 1}}, "map", "write true or false"),
    ({"type": "boolean", "filter": {"min": 0}}, "filter.min", "belongs to type"),
    ({"type": "boolean", "encoding": "u8"}, "encoding", "belongs to type"),
    (
        {"type": "boolean", "keep": "aggregate", "every": "1m", "functions": ["sum"]},
        "functions[0]",
        "is no function of type boolean",
    ),
]


@pytest.mark.parametrize(("more", "path", "what"), REFUSED)
def test_what_cannot_be_meant_is_refused(more: dict[str, Any], path: str, what: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse(policy(**more), "o")
    (problem,) = refused.value.problems
    assert (problem.where, what in problem.what) == (path, True), problem
