"""Several values of one message: how `fields` and `split` take it apart."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakebed.policies.document import parse, to_document
from lakebed.policies.outcomes import Outcome as O  # noqa: N817  # the tables stay narrow
from lakebed.policies.pipeline import Pipeline, Result
from lakebed.policies.several import MOST_ELEMENTS
from lakebed.vocabulary.errors import Invalid
from lakebed.vocabulary.times import DAY

NOW = 1_790_000_000_000_000
CLIMATE = {"celsius": "/t", "humidity": "/h"}


def policy(**document: Any) -> dict[str, Any]:
    base = {"name": "it", "topics": ["#"], "type": "number", "keep": "archive"}
    return {key: value for key, value in (base | document).items() if value is not None}


def run(document: dict[str, Any], *payloads: Any) -> Result:
    made = [p if isinstance(p, bytes) else json.dumps(p).encode() for p in payloads]
    n = len(made)
    times = np.full(n, NOW, np.int64)
    return Pipeline(parse(document, "o"), DAY).run(np.zeros(n, np.int32), made, times, times)


def values(result: Result) -> list[tuple[int, int, int, Any]]:
    """Message, element, field and value of all that is kept."""
    assert result.origin is not None
    found = result.numbers.tolist() if result.numbers is not None else result.texts or []
    places = (result.origin.message, result.origin.element, result.origin.field)
    return list(zip(*(column.tolist() for column in places), found, strict=True))


def test_each_field_is_a_value_and_a_missing_one_is_left_out() -> None:
    result = run(policy(fields=CLIMATE), {"t": 1, "h": 2}, {"h": 3}, {"x": 0}, b"{", {"t": None})
    assert values(result) == [(0, 0, 0, 1.0), (0, 0, 1, 2.0), (1, 0, 1, 3.0)]
    assert result.outcomes.tolist() == [
        O.KEPT, O.KEPT, O.MISSING_PATH, O.NOT_JSON, O.NOT_A_NUMBER,
    ]  # fmt: skip
    assert result.by_field is not None
    assert result.by_field.tolist() == [
        [O.KEPT, O.KEPT],
        [O.MISSING_PATH, O.KEPT],
        [O.MISSING_PATH, O.MISSING_PATH],
        [O.NOT_JSON, O.NOT_JSON],
        [O.NOT_A_NUMBER, O.MISSING_PATH],
    ]


def test_filters_and_their_memory_look_at_each_field_alone() -> None:
    document = policy(fields=CLIMATE, filter={"max": 50, "unique": True}, transform={"scale": 2})
    result = run(document, {"t": 1, "h": 99}, {"t": 1, "h": 2}, {"t": 3, "h": 2})
    assert values(result) == [(0, 0, 0, 2.0), (1, 0, 1, 4.0), (2, 0, 0, 6.0)]


def test_words_are_mapped_in_every_field() -> None:
    document = policy(fields={"one": "/a", "two": "/b/c"}, map={"ON": 1, "OFF": 0})
    assert values(run(document, {"a": "ON", "b": {"c": "OFF"}})) == [(0, 0, 0, 1), (0, 0, 1, 0)]


def test_text_and_json_are_as_the_payload_writes_them() -> None:
    payload = b'{"a": 1.10, "b": {"c" : [1.0]}}'
    text = policy(type="text", fields={"a": "/a", "b": "/b"})
    assert values(run(text, payload)) == [(0, 0, 0, "1.10")]
    whole = policy(type="json", fields={"b": "/b", "a": "/a"})
    assert values(run(whole, payload)) == [(0, 0, 0, '{"c":[1.0]}'), (0, 0, 1, "1.10")]
    parts = policy(type="json", split="/b/c")
    assert values(run(parts, payload)) == [(0, 0, 0, "1.0")]


def test_elements_have_values_fields_and_times_of_their_own() -> None:
    document = policy(split="/r", fields=CLIMATE, time_at="/at", time_else="received")
    result = run(document, {"r": [{"t": 1, "at": 1_700_000_000}, {"h": 2}, 5, {"t": "x"}]})
    assert values(result) == [(0, 0, 0, 1.0), (0, 1, 1, 2.0)]
    assert result.times.tolist() == [1_700_000_000_000_000, NOW]
    assert result.outcomes.tolist() == [O.KEPT]


ARRAYS = [
    ([], O.MISSING_PATH),
    ({"0": 1}, O.MISSING_PATH),
    ("text", O.MISSING_PATH),
    ([None], O.NOT_A_NUMBER),
    (json.loads("[" * 600 + "]" * 600), O.TOO_DEEP),
    ([1] * MOST_ELEMENTS, O.KEPT),
    ([1] * (MOST_ELEMENTS + 1), O.TOO_MANY),
]


@pytest.mark.parametrize(("array", "outcome"), ARRAYS)
def test_what_is_no_array_or_too_long_a_one_is_dropped_whole(array: Any, outcome: O) -> None:
    result = run(policy(split=""), array, [7])
    assert result.outcomes.tolist() == [outcome, O.KEPT]


def test_a_payload_that_is_too_large_is_not_taken_apart() -> None:
    document = policy(split="", fields=CLIMATE, filter={"max_size": 20})
    result = run(document, [{"t": 1}], [{"t": 1}] * 9, [{"h": 3}])
    assert values(result) == [(0, 0, 0, 1.0), (2, 0, 1, 3.0)]
    assert result.outcomes.tolist() == [O.KEPT, O.MAX_SIZE, O.KEPT]


VALUES = st.one_of(st.none(), st.integers(-9, 9), st.just("x"), st.just("7"))
ELEMENTS = st.one_of(st.dictionaries(st.sampled_from("thx"), VALUES), VALUES)
MESSAGES = st.lists(st.one_of(st.lists(ELEMENTS, max_size=4), ELEMENTS), max_size=6)


@settings(max_examples=60, deadline=None)
@given(MESSAGES)
def test_a_message_never_depends_on_its_neighbours(messages: list[Any]) -> None:
    document = policy(split="", fields=CLIMATE)
    together = run(document, *messages)
    alone = [run(document, message) for message in messages]
    assert together.outcomes.tolist() == [int(one.outcomes[0]) for one in alone]
    assert values(together) == [
        (place, *rest) for place, one in enumerate(alone) for _, *rest in values(one)
    ]


REFUSED = [
    ({"fields": CLIMATE, "at": "/t"}, "fields", "leave out one of the two"),
    ({"fields": {}}, "fields", "1 to 64 fields"),
    ({"fields": ["/t"]}, "fields", "names with JSON pointers"),
    ({"fields": {"": "/t"}}, "fields", "no name of a field"),
    ({"fields": {"a b": "/t"}}, "fields", "no name of a field"),
    ({"fields": {"a": "t"}}, "fields", "it begins with a slash"),
    ({"fields": {str(n): "/t" for n in range(65)}}, "fields", "not of 65"),
    ({"split": "readings"}, "split", "it begins with a slash"),
    ({"split": "", "encoding": "f32le"}, "encoding", "JSON is always utf-8"),
]


@pytest.mark.parametrize(("more", "path", "what"), REFUSED)
def test_what_cannot_be_meant_is_refused(more: dict[str, Any], path: str, what: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse(policy(**more), "o")
    (problem,) = refused.value.problems
    assert (problem.where, what in problem.what) == (path, True), problem


def test_a_document_is_written_as_it_was_read() -> None:
    read = parse(policy(split="/r", fields={"b": "/b", "a": "/a"}, time_at="/at"), "o")
    assert read.field_names == ("b", "a")
    assert parse(to_document(read), "o") == read
