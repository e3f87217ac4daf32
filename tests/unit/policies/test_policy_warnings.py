"""What is allowed in a policy and hardly meant."""

from typing import Any

import pytest

from lakebed.documents.sections import find_warnings, path_text, read_entries
from lakebed.policies.document import Surroundings, collecting, parse, to_document, warnings_of
from lakebed.policies.warnings import Repeated

BASE: dict[str, Any] = {"name": "a", "topics": ["t"], "type": "number", "keep": "archive"}


def told(around: Surroundings = Surroundings(), **rest: Any) -> list[tuple[str, str]]:  # noqa: B008
    found = warnings_of(parse(BASE | rest, "ann"), around)
    return [(path_text(path), text) for path, text in found]


@pytest.mark.parametrize(
    ("filter", "says"),
    [
        ("$share/g/plant/#", "write 'plant/#'"),
        ("$share/g", "write 'FILTER'"),
        ("$owner/bob/plant/#", "of 'bob'"),
        ("$owner/", "its own owner"),
        ("plant/\n/#", "U+000A"),
        ("plant/+/\x7f", "U+007F"),
        ("\uffff", "U+FFFF"),
        ("x" * 1025, "1024 bytes"),
        ("+/" * 1024 + "x", "1024 bytes"),  # the shortest topic that it matches is longer
        ("é" * 513 + "/#", "1024 bytes"),
    ],
)
def test_filters_that_no_topic_can_match_are_told(filter: str, says: str) -> None:
    ((where, text),) = told(topics=[filter])
    assert where == "topics[0]"
    assert text.startswith("matches nothing: ")
    assert says in text


@pytest.mark.parametrize(
    "filter",
    ["#", "+/#", "/#", "/", "+", "a b", "$SYS/#", "$share", "é" * 512, "+/" * 1023 + "x", "a//b"],
)
def test_filters_that_a_topic_may_match_are_not(filter: str) -> None:
    assert told(topics=[filter]) == []


@pytest.mark.parametrize(
    ("topics", "where"),
    [
        (["plant/#", "plant/1"], ["topics[1]"]),
        (["plant/1", "plant/#"], ["topics[0]"]),
        (["a/+/b", "a/x/b", "#"], ["topics[1]", "topics[0]"]),
        (["a/+", "+/a"], []),
        (["#", "$SYS/a"], []),
    ],
)
def test_filters_that_add_nothing_are_told(topics: list[str], where: list[str]) -> None:
    assert [one for one, _ in told(topics=topics)] == where


def test_that_a_wildcard_leaves_out_system_topics_is_told_where_they_come() -> None:
    around = Surroundings(systems=["$SYS/broker/#"])
    ((_, text),) = told(around, topics=["#"])
    assert "'$SYS/broker/#' needs a filter of its own" in text
    assert told(around, topics=["#", "$SYS/#"]) == []
    assert told(around, topics=["plant/#"]) == []


@pytest.mark.parametrize(
    ("rest", "where"),
    [
        ({"filter": {"allow": [1, 2], "deny": [1, 2, 3]}}, ["filter.allow"]),
        ({"filter": {"allow": [1, 2], "min": 3}}, ["filter.allow"]),
        ({"filter": {"allow": [1, 2], "max": 0}}, ["filter.allow"]),
        ({"filter": {"allow": [1, 5], "min": 3}}, []),
        ({"filter": {"allow": [1, 2], "deny": [1]}}, []),
        ({"type": "text", "filter": {"allow": ["on"], "deny": ["on"]}}, ["filter.allow"]),
        ({"active": {"until": "2020-01-01T00:00:00Z"}}, ["active.until"]),
        ({"active": {"until": "2099-01-01T00:00:00Z"}}, []),
    ],
)
def test_policies_that_keep_nothing_are_told(rest: dict[str, Any], where: list[str]) -> None:
    assert [one for one, _ in told(**rest)] == where


@pytest.mark.parametrize(
    ("mine", "other", "same"),
    [
        ({"topics": ["plant/1"]}, {"topics": ["plant/#"]}, True),
        ({"topics": ["plant/#"]}, {"topics": ["plant/1"]}, False),
        ({}, {"keep": "window", "for": "1d"}, False),
        ({"filter": {"min": 1}}, {}, False),
        ({"filter": {"min": 1}}, {"filter": {"min": 1.0}}, True),
    ],
)
def test_a_policy_that_keeps_what_another_keeps_is_told(
    mine: dict[str, Any], other: dict[str, Any], same: bool
) -> None:
    documents = [
        to_document(parse(BASE | rest, "ann")) for rest in (mine, {"name": "other"} | other)
    ]
    assert bool(Repeated(documents[1:]).warnings(documents[0])) == same
    assert Repeated(documents[:1]).warnings(documents[0]) == []  # itself, as it is in force


def test_warnings_of_a_file_have_their_lines() -> None:
    text = """\
policies:
  - {name: a, type: number, keep: archive, topics: [plant/#]}
  - name: b
    type: number
    keep: archive
    topics:
      - plant/1
      - $share/g/x
"""
    sections = [collecting([], "ann", "UTC")]
    read_entries(text, sections)
    found = find_warnings(text, sections)
    assert [(one.where, one.line) for one in found] == [("policies[1].topics[1]", 8)]
    text = text.replace("      - $share/g/x\n", "")
    sections = [collecting([], "ann", "UTC")]
    read_entries(text, sections)
    assert [(one.where, one.line) for one in find_warnings(text, sections)] == [
        ("policies[1].topics", 6)
    ]
