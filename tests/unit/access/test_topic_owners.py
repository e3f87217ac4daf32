"""Whose the topics of a broker are."""

import asyncio

import pytest
from tests.units import Units

from lakebed.access.principals import Kind, Principal
from lakebed.access.topic_owners import BrokerTopics, TopicOwners, intersection
from lakebed.access.unit_directory import UnitDirectory
from lakebed.vocabulary.topics import matches
from lakebed.vocabulary.unit_topics import parse_unit_pattern

LAMP = Principal(Kind.UNIT, "ann", "lamp", unit="uuid-lamp")
PUMP = Principal(Kind.UNIT, "bob", "pump", unit="uuid-pump")
APP = Principal(Kind.TOKEN, "ann", "app")


def owners(*sources: BrokerTopics) -> TopicOwners:
    units = Units()
    units.put("lamp")
    units.put("pump", owner="bob")
    directory = UnitDirectory(units)
    asyncio.run(directory.refresh())
    return TopicOwners(sources, directory)


SITE = BrokerTopics(
    "ann",
    ("example.com/#",),
    (parse_unit_pattern("example.com/{unit}/pepeunit"), parse_unit_pattern("example.com/{unit}/#")),
)
PLANT = BrokerTopics("ann", ("plant/#", "hall/+"))


@pytest.mark.parametrize(
    ("topic", "owner"),
    [
        ("example.com/uuid-lamp/pepeunit", "ann"),
        ("example.com/lamp/a/b", "ann"),  # by its name in the source's owner
        ("example.com/uuid-pump/#", "bob"),
        ("example.com/pump/pepeunit", None),  # bob's names count for bob alone
        ("example.com/+/pepeunit", None),  # of many owners
        ("example.com/#", None),
        ("#", None),
        ("plant/1", "ann"),
        ("plant/#", "ann"),
        ("hall/#", None),  # more than the source brings
        ("$SYS/broker", None),
    ],
)
def test_the_owner_of_a_topic_is_that_of_its_unit_or_of_its_source(topic, owner):
    assert owners(SITE, PLANT).owner(topic, LAMP) == owner


def test_without_sources_topics_are_those_of_whoever_uses_them():
    assert owners().owner("any/thing", LAMP) == "ann"
    assert owners().own(LAMP) == ["#"]


def test_own_are_the_topics_of_the_unit_and_those_of_sources_of_the_owner():
    both = owners(SITE, PLANT)
    assert both.own(LAMP) == [
        "example.com/uuid-lamp/pepeunit", "example.com/lamp/pepeunit",
        "example.com/uuid-lamp/#", "example.com/lamp/#", "plant/#", "hall/+",
    ]  # fmt: skip
    assert both.own(PUMP) == ["example.com/uuid-pump/pepeunit", "example.com/uuid-pump/#"]
    assert both.own(APP) == ["plant/#", "hall/+"]


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ("#", "a/b", "a/b"),
        ("a/#", "+/b/#", "a/b/#"),
        ("a/+/c", "+/b/+", "a/b/c"),
        ("a/#", "a", "a"),
        ("a", "a/#", "a"),
        ("a/b/#", "a/#", "a/b/#"),
        ("a/+", "a/#", "a/+"),
        ("a/b", "a/c", None),
        ("a/b", "a", None),
        ("a/+", "a", None),
        ("#", "$SYS/a", None),
        ("#", "#", "#"),
    ],
)
def test_an_intersection_matches_what_both_match(one, other, both):
    assert intersection(one, other) == intersection(other, one) == both
    levels = ("a", "b", "c", "a/b", "a/c", "a/b/c", "b", "a/b/c/d", "$SYS/a")
    if both is not None:
        for topic in levels:
            assert matches(both, topic) == (matches(one, topic) and matches(other, topic)), topic
