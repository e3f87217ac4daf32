"""Messages that say by which function they want to be aggregated."""

import json
from typing import Any

import numpy as np
import pytest

from lakebed.policies.by_function import ByFunctionReader, why_not
from lakebed.policies.document import parse, to_document
from lakebed.policies.outcomes import Outcome
from lakebed.policies.picked import Reading
from lakebed.vocabulary.errors import Invalid
from lakebed.vocabulary.policy import Policy

DOCUMENT: dict[str, Any] = {
    "name": "minutes",
    "topics": ["bus/#"],
    "type": "number",
    "at": "/value",
    "keep": "aggregate",
    "every": "1m",
    "functions": ["sum", "max"],
    "function_at": "/agg_func",
}


def policy(**keys: Any) -> Policy:
    return parse({**DOCUMENT, **keys}, "ann")


def outcomes(payload: object, **keys: Any) -> tuple[list[int], list[str]]:
    """Outcomes of messages without a value, and of values with their functions."""
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    chosen = policy(**keys)
    column = ByFunctionReader(Reading.of(chosen)).read([raw])
    assert column.origin is not None
    names = [chosen.field_names[number] for number in column.origin.field.tolist()]
    return column.origin.barren.tolist(), names


def test_each_function_that_messages_may_choose_is_a_series() -> None:
    chosen = policy()
    assert chosen.field_names == ("sum", "max")
    assert chosen.functions == ("value",)


def test_the_document_is_written_as_it_was_read() -> None:
    for keys in ({}, {"function_else": "max"}):
        chosen = policy(**keys)
        document = to_document(chosen)
        assert document["functions"] == ["sum", "max"]
        assert "fields" not in document
        assert parse(document, "ann") == chosen


def test_functions_are_those_of_every_aggregate_where_none_are_named() -> None:
    assert policy(functions=None).field_names == ("min", "max", "sum", "avg")


@pytest.mark.parametrize(
    ("keys", "path", "says"),
    [
        ({"at": None}, "function_at", "pick that with `at`"),
        ({"at": None, "fields": {"a": "/a"}}, "function_at", "pick that with `at`"),
        ({"split": "/list"}, "function_at", "pick that with `at`"),
        ({"functions": ["p95"]}, "functions[0]", "messages can choose sum, avg"),
        ({"function_else": "min"}, "function_else", "one of functions: sum or max"),
        ({"function_at": None, "function_else": "sum"}, "function_else", "give function_at too"),
        ({"function_at": "agg_func"}, "function_at", "begins with a slash"),
        ({"type": "text", "functions": ["count"]}, "function_at", "belongs to type: number"),
        (
            {"keep": "window", "for": "1h", "every": None, "functions": None},
            "function_at",
            "keep: aggregate",
        ),
    ],
)
def test_what_cannot_be_is_refused_at_its_key(keys: Any, path: str, says: str) -> None:
    with pytest.raises(Invalid) as error:
        policy(**keys)
    told = {problem.where: problem.what for problem in error.value.problems}
    assert says in told[path]


KEPT, ASIDE = int(Outcome.KEPT), int(Outcome.DEAD_LETTER)


@pytest.mark.parametrize(
    ("payload", "keys", "barren", "names"),
    [
        ({"value": 1, "agg_func": "max"}, {}, KEPT, ["max"]),
        ({"value": 1, "agg_func": " MAX "}, {}, KEPT, ["max"]),
        ({"value": 1, "agg_func": "avg"}, {}, ASIDE, []),
        ({"value": 1, "agg_func": 5}, {"function_else": "sum"}, ASIDE, []),
        ({"value": 1}, {}, ASIDE, []),
        ({"value": 1, "agg_func": None}, {}, ASIDE, []),
        ({"value": 1}, {"function_else": "sum"}, KEPT, ["sum"]),
        (b"{", {}, int(Outcome.NOT_JSON), []),
        (b"[" * 600 + b"]" * 600, {}, int(Outcome.TOO_DEEP), []),
    ],
)
def test_a_message_counts_under_its_function_or_is_put_aside(
    payload: object, keys: Any, barren: int, names: list[str]
) -> None:
    assert outcomes(payload, **keys) == ([barren], names)


def test_messages_of_a_batch_keep_their_places() -> None:
    chosen = policy(time_at="/t")
    payloads = [
        b'{"value": 1, "agg_func": "max", "t": 1.5}',
        b'{"value": 2, "agg_func": "median", "t": 2}',
        b'{"value": "x", "agg_func": "sum", "t": 3}',
        b'{"value": 4, "agg_func": "sum", "t": "?"}',
        b'{"value": 5, "agg_func": "sum", "t": 5}',
    ]
    column = ByFunctionReader(Reading.of(chosen)).read(payloads)
    assert column.origin is not None
    assert column.numbers is not None
    assert column.times is not None
    assert column.origin.message.tolist() == [0, 2, 3, 4]
    assert column.origin.field.tolist() == [1, 0, 0, 0]
    kept = np.flatnonzero(column.outcomes == Outcome.KEPT)
    assert column.numbers[kept].tolist() == [1, 5]
    assert column.times[kept].tolist() == [1_500_000, 5_000_000]
    assert column.outcomes[1:3].tolist() == [Outcome.NOT_A_NUMBER, Outcome.BAD_TIME]


def test_the_reason_names_the_function_and_those_there_are() -> None:
    assert why_not(policy(), b'{"agg_func": "median"}') == (
        "its function 'median' is none of sum or max"
    )
    assert why_not(policy(), b"{}") == (
        "it names no function at /agg_func, and there is no function_else"
    )
