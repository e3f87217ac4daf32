"""Patterns of topics that name a unit."""

import pytest

from lakebed.vocabulary.unit_topics import parse_unit_pattern


@pytest.mark.parametrize(
    ("pattern", "topic", "unit"),
    [
        ("example.com/{unit}/pepeunit", "example.com/u1/pepeunit", "u1"),
        ("example.com/{unit}/pepeunit", "example.com/u1", None),
        ("example.com/{unit}/pepeunit", "example.com/u1/pepeunit/more", None),
        ("example.com/{unit}/pepeunit", "example.org/u1/pepeunit", None),
        ("example.com/+/{unit}/+/pepeunit", "example.com/out/u1/state/pepeunit", "u1"),
        ("{unit}/#", "u1", "u1"),
        ("{unit}/#", "u1/a/b", "u1"),
        ("{unit}/#", "$SYS/broker", None),
        ("a/{unit}", "a/", None),  # an empty level names nobody
    ],
)
def test_a_pattern_finds_the_level_that_names_the_unit(pattern, topic, unit):
    assert parse_unit_pattern(pattern).find(topic) == unit


def test_a_pattern_filled_with_a_unit_is_the_filter_of_its_topics():
    assert parse_unit_pattern("example.com/+/{unit}/#").filled("u1") == "example.com/+/u1/#"


@pytest.mark.parametrize(
    ("pattern", "because"),
    [
        ("example.com/+/pepeunit", "once"),
        ("{unit}/{unit}", "once"),
        ("example.com/dev-{unit}", "whole level"),
        ("{owner}/{unit}", "braces"),
        ("{unit}/#/a", "last level"),
        ("$share/g/{unit}", "begin with"),
        ("", "once"),
    ],
)
def test_a_pattern_that_says_nothing_is_refused(pattern, because):
    with pytest.raises(ValueError, match=because):
        parse_unit_pattern(pattern)
