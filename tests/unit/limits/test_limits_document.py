"""The document of limits: what it may say, and what is said of mistakes."""

from typing import Any

import pytest

from lakebed.vocabulary.errors import Invalid
from lakebed.vocabulary.limits import Limits, Over, Rate, merge, parse, to_document
from lakebed.vocabulary.times import HOUR, MINUTE, SECOND

WHOLE = {
    "messages": "600/1m, 30/1s",
    "bytes": "1MiB/1s",
    "stored": "10GiB",
    "units": 100,
    "policies": 1000,
    "topics": 10000,
    "over": "park",
    "cut_for": "1h",
}


def test_all_fields_are_read() -> None:
    assert merge(parse(WHOLE)) == Limits(
        messages=(Rate(30, SECOND), Rate(600, MINUTE)),
        bytes=(Rate(2**20, SECOND),),
        stored=10 * 2**30,
        units=100,
        policies=1000,
        topics=10000,
        over=Over.PARK,
        cut_for=HOUR,
    )


def test_what_is_shown_can_be_written_again() -> None:
    limits = merge(parse(WHOLE))
    assert merge(parse(to_document(limits))) == limits


def test_a_document_wins_over_the_defaults_field_by_field_and_null_takes_a_limit_away() -> None:
    defaults = parse({"messages": "10/1s", "bytes": "1KiB/1s", "over": "cut"})
    own = parse({"messages": "20/1s", "bytes": None, "over": None})
    assert merge(defaults, own) == Limits(messages=(Rate(20, SECOND),), over=Over.SLOW)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("messages", "30", "has no interval"),
        ("messages", 30, "write amounts and their intervals"),
        ("messages", "", "write amounts and their intervals"),
        ("messages", "0/1s", "at least 1"),
        ("messages", "-1/1s", "whole number"),
        ("messages", "1.5/1s", "whole number"),
        ("messages", "30/1", "duration"),
        ("messages", "30/0s", "at least 10ms"),
        ("messages", "30/2y", "duration"),
        ("messages", "30/40d", "at most 31d"),
        ("messages", "30/1s,40/1s", "names an interval twice"),
        ("messages", ",".join(f"9/{n}s" for n in range(1, 10)), "at most 8"),
        ("bytes", "1Mib/1s", "size"),
        ("stored", "much", "size"),
        ("units", "many", "whole number"),
        ("units", True, "whole number"),
        ("topics", -1, "whole number"),
        ("policies", 1e30, "whole number"),
        ("over", "explode", "slow, refuse, park, cut"),
        ("over", ["park"], "slow, refuse, park, cut"),
        ("cut_for", 5, "no unit"),
        ("cut_for", "0s", "longer than 0"),
        ("mesages", "30/1s", "there is no such limit"),
    ],
)
def test_a_mistake_is_named(field: str, value: Any, says: str) -> None:
    with pytest.raises(Invalid) as raised:
        parse({field: value}, "units[0].limits")
    (problem,) = raised.value.problems
    assert problem.where == f"units[0].limits.{field}"
    assert says in problem.what


def test_every_mistake_is_named() -> None:
    with pytest.raises(Invalid) as raised:
        parse({"messages": 1, "over": "x", "units": 3, "no": 0}, unit=True)
    assert {p.where.rpartition(".")[2] for p in raised.value.problems} == {
        "messages", "over", "units", "no",
    }  # fmt: skip


def test_something_else_than_an_object_is_refused() -> None:
    with pytest.raises(Invalid, match="write an object"):
        parse(["30/1s"])
