"""What the document of a unit may say."""

from typing import Any

import pytest

from lakebed.accounts.units import all_topics, check, parse, to_document
from lakebed.ports.accounts.units import Visibility
from lakebed.vocabulary.errors import Invalid

WHOLE: dict[str, Any] = {
    "name": "greenhouse-1",
    "publish": ["greenhouse/{unit}/#"],
    "read": ["set/{name}"],
    "tags": ["north"],
    "visibility": "instance",
    "limits": {"messages": "30/1s"},
}


def test_a_document_becomes_a_unit_and_a_document_again() -> None:
    unit = parse(WHOLE, "ann", "u-1")
    assert (unit.owner, unit.uuid, unit.visibility) == ("ann", "u-1", Visibility.INSTANCE)
    assert all_topics(unit) == ("greenhouse/u-1/#", "set/greenhouse-1")
    assert to_document(unit) == WHOLE


def test_a_name_is_enough() -> None:
    unit = parse({"name": "lamp"}, "ann")
    assert (unit.publish, unit.read, unit.visibility) == ((), (), Visibility.PRIVATE)
    assert len(unit.uuid) == 36


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"name": "a/b"}, "name"),
        ({"name": "+"}, "name"),
        ({"name": None}, "name"),
        ({"name": 5}, "name"),
        ({"publish": "a/#"}, "publish"),
        ({"publish": ["a", 5]}, "publish[1]"),
        ({"publish": ["a/#/b"]}, "publish[0]"),
        ({"publish": ["a"] * 101}, "publish"),
        ({"read": ["$owner/eve/#"]}, "read[0]"),  # reaches outside its owner
        ({"read": ["$SYS/#"]}, "read[0]"),
        ({"read": ["a/{unti}"]}, "read[0]"),
        ({"tags": [""]}, "tags[0]"),
        ({"tags": ["x" * 65]}, "tags[0]"),
        ({"visibility": "all"}, "visibility"),
        ({"visibility": ["public"]}, "visibility"),
        ({"limits": 5}, "limits"),
        ({"limits": {"messages": "30 apples"}}, "limits.messages"),
        ({"limits": {"units": 5}}, "limits.units"),  # of owners alone
        ({"limits": {"messages": "30"}}, "limits.messages"),
        ({"limits": {"units": 3}}, "limits.units"),
        ({"publsh": []}, "publsh"),
        ({"uuid": "x"}, "uuid"),  # it is given, never chosen
        ({"blocked": True}, "blocked"),
    ],
)
def test_a_mistake_is_named(change: dict[str, Any], where: str) -> None:
    with pytest.raises(Invalid) as error:
        parse(WHOLE | change, "ann")
    assert [problem.where for problem in error.value.problems] == [where]


def test_all_mistakes_are_named_at_once() -> None:
    wrong = {"name": "", "publish": ["#/a", "$x"], "tags": 5, "colour": "red"}
    assert len(check(wrong)) == 5
    assert check([])
    assert check(None)
