"""Topic rules, each against the section of MQTT 5.0 that states it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakebed.vocabulary.topics import FilterTree, check_filter, check_topic, matches

CASES = [
    # (filter, topic, covered, the rule)
    ("a/b", "a/b", True, "equal"),
    ("a/b", "a/B", False, "4.7.3: case counts"),
    ("a/b", "a/b/", False, "4.7.3: a trailing slash makes another topic"),
    ("/a", "a", False, "4.7.3: so does a leading one"),
    ("a/+", "a/b", True, "4.7.1.3: one level"),
    ("a/+", "a", False, "4.7.1.3: not none"),
    ("a/+", "a/", True, "4.7.1.3: an empty level is a level"),
    ("a/+", "a/b/c", False, "4.7.1.3: not two"),
    ("+/+", "/finance", True, "4.7.1.3, its own example"),
    ("/+", "/finance", True, "4.7.1.3, its own example"),
    ("+", "/finance", False, "4.7.1.3, its own example"),
    ("a/+/c", "a/b/c", True, "in the middle"),
    ("+/tennis/#", "sport/tennis/player1", True, "both"),
    ("sport/tennis/player1/#", "sport/tennis/player1", True, "4.7.1.2: the parent too"),
    ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", True, "4.7.1.2"),
    ("sport/tennis/player1/#", "sport/tennis/player10", False, "levels, not prefixes"),
    ("#", "a", True, "all"),
    ("#", "/", True, "all"),
    ("#", "$SYS/load", False, "4.7.2: not topics with $"),
    ("+/load", "$SYS/load", False, "4.7.2"),
    ("$SYS/#", "$SYS/load", True, "4.7.2: when asked by name"),
    ("$SYS/+", "$SYS/load", True, "4.7.2"),
    ("a/#", "a/$b", True, "4.7.2 is about the first level only"),
    ("a/+", "a/$b", True, "4.7.2 is about the first level only"),
]


@pytest.mark.parametrize(("filter", "topic", "covered", "rule"), CASES)
def test_a_filter_covers_what_the_specification_says(
    filter: str, topic: str, covered: bool, rule: str
) -> None:
    tree: FilterTree[str] = FilterTree()
    tree.add("it", filter)
    assert matches(filter, topic) is covered, rule
    assert tree.match(topic) == (["it"] if covered else []), rule


@pytest.mark.parametrize(
    ("topic", "reason"),
    [
        ("", "empty"),
        ("a\0b", "U+0000"),
        ("a/+", "wildcards"),
        ("a#", "wildcards"),
        ("\ud800", "UTF-8"),
        ("ä" * 32768, "65535 bytes"),
    ],
)
def test_a_topic_that_cannot_be_published_to_is_refused(topic: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason.replace("+", r"\+")):
        check_topic(topic)


@pytest.mark.parametrize(
    ("filter", "reason"),
    [
        ("", "empty"),
        ("a/\0", "U\\+0000"),
        ("a/#/b", "last level"),
        ("a#", "stand alone"),
        ("a/b+", "stand alone"),
        ("a/+b/c", "stand alone"),
        ("##", "stand alone"),
        ("a" * 65536, "65535 bytes"),
    ],
)
def test_a_filter_that_cannot_be_asked_for_is_refused(filter: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        check_filter(filter)


@pytest.mark.parametrize(
    "filter", ["#", "+", "/", "a/+/b/#", "$SYS/#", "a" * 65535, "температура/+"]
)
def test_what_is_allowed_passes(filter: str) -> None:
    check_filter(filter)
    if not set("+#") & set(filter):
        check_topic(filter)


LEVEL = st.sampled_from(["a", "b", "", "$s", "+"])
FILTER = st.builds(
    lambda levels, rest: "/".join([*levels, *rest]),
    st.lists(LEVEL, min_size=1, max_size=4),
    st.sampled_from([(), ("#",)]),
).filter(bool)
TOPIC = st.lists(st.sampled_from(["a", "b", "", "$s"]), min_size=1, max_size=5).map("/".join)


@given(st.lists(st.lists(FILTER, min_size=1, max_size=3), max_size=12), TOPIC.filter(bool))
def test_the_tree_finds_what_one_comparison_after_the_other_finds(
    owned: list[list[str]], topic: str
) -> None:
    tree: FilterTree[int] = FilterTree()
    for value, filters in enumerate(owned):
        tree.add(value, *filters)
    assert tree.match(topic) == [
        value for value, filters in enumerate(owned) if any(matches(f, topic) for f in filters)
    ]


def test_very_deep_topics_do_not_exhaust_the_stack() -> None:
    deep = "/" * 65535
    tree: FilterTree[int] = FilterTree()
    tree.add(1, deep)
    tree.add(2, "+" + "/+" * 30000 + "/#")
    assert tree.match(deep) == [1, 2]
