"""Filters against filters: what one covers, and what two have in common (MQTT 5.0 section 4.7)."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakebed.vocabulary.topics import covers, matches, overlaps


@pytest.mark.parametrize(
    ("outer", "inner", "answer"),
    [
        ("#", "a/b", True),
        ("#", "#", True),
        ("#", "+/#", True),
        ("+/#", "#", True),  # every topic has a first level
        ("#", "/", True),
        ("#", "$SYS/a", False),  # 4.7.2
        ("+/a", "$SYS/a", False),
        ("$SYS/#", "$SYS/+", True),
        ("a/#", "a", True),  # the parent level
        ("a/#", "a/#", True),
        ("a/+", "a/#", False),
        ("a/+/#", "a/#", False),  # not `a`
        ("/+/#", "/#", True),  # here the parent would be the empty topic, which is none
        ("a/+", "a/+", True),
        ("a/+", "a/", True),  # an empty level is a level
        ("a/+", "a", False),
        ("a/+", "a/b/c", False),
        ("+/b", "a/+", False),
        ("a/b", "a/b/#", False),
        ("+/+", "#", False),
    ],
)
def test_one_filter_covers_another(outer: str, inner: str, answer: bool) -> None:
    assert covers([outer], inner) is answer


@pytest.mark.parametrize(
    ("outer", "inner", "answer"),
    [
        ([], "a", False),
        (["a", "b"], "b", True),
        (["a", "a/+", "a/+/+/#"], "a/#", True),  # each length by another one
        (["a", "a/+/+/#"], "a/#", False),
        (["+", "+/+/#"], "#", True),
        (["a/+", "b/+"], "+/x", False),  # there are other names
        (["#", "$SYS/#"], "$SYS/load", True),
    ],
)
def test_filters_cover_together_what_none_covers_alone(
    outer: list[str], inner: str, answer: bool
) -> None:
    assert covers(outer, inner) is answer


@pytest.mark.parametrize(
    ("one", "other", "answer"),
    [
        ("a/b", "a/b", True),
        ("a/b", "a/c", False),
        ("a/+", "+/b", True),
        ("a/#", "a", True),
        ("a/#", "+", True),
        ("#", "$SYS/load", False),
        ("+/load", "$SYS/load", False),
        ("$SYS/#", "$SYS/load", True),
        ("a/+", "a/+/c", False),
        ("/#", "+", False),  # only the empty topic
        ("/#", "+/#", True),
    ],
)
def test_two_filters_have_topics_in_common(one: str, other: str, answer: bool) -> None:
    assert overlaps(one, other) is answer
    assert overlaps(other, one) is answer


def test_very_deep_filters_take_no_time() -> None:
    deep = "a" + "/a" * 30_000
    assert covers([deep + "/#", "#"], "a/#")
    assert not covers([deep], deep + "/#")
    assert overlaps(deep, "+/#")


NAMES = ["a", "b", "", "$x"]
TOPICS = [
    topic
    for depth in range(1, 6)
    # "z" stands for all names that no filter below mentions
    for levels in itertools.product([*NAMES, "z"], repeat=depth)
    if (topic := "/".join(levels))
]


@st.composite
def filters(draw: st.DrawFn) -> str:
    levels = draw(st.lists(st.sampled_from([*NAMES, "+"]), min_size=1, max_size=3))
    if draw(st.booleans()):
        levels[-1] = "#"
    return "/".join(levels) or "a"


@given(st.lists(filters(), max_size=4), filters())
def test_covering_is_what_matching_says_topic_by_topic(outer: list[str], inner: str) -> None:
    asked = [topic for topic in TOPICS if matches(inner, topic)]
    assert covers(outer, inner) == all(any(matches(one, topic) for one in outer) for topic in asked)


@given(filters(), filters())
def test_having_topics_in_common_is_what_matching_says(one: str, other: str) -> None:
    assert overlaps(one, other) == any(matches(one, t) and matches(other, t) for t in TOPICS)
