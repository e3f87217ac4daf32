"""What surrounds a message, as a policy keeps it."""

from typing import Any

import numpy as np
import pytest

from lakebed.policies.around import Chosen
from lakebed.policies.document import parse, to_document
from lakebed.vocabulary.attributes import NO_ATTRIBUTES, Attributes, Coded
from lakebed.vocabulary.errors import Invalid

BASE: dict[str, Any] = {"name": "a", "topics": ["t"], "type": "number", "keep": "archive"}
FOUND = Attributes(
    "text/plain",
    "token:shed",
    (("qos", "1"), ("retain", "0"), ("client", 'c"1')),
    (("site", "north"), ("site", "south"), ("unit", "K")),
)


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["client"], r'{"client":"c\"1"}'),
        (["qos", "retain"], '{"qos":1,"retain":false}'),
        (["content_type", "principal"], '{"content_type":"text/plain","principal":"token:shed"}'),
        (["properties.unit"], '{"properties.unit":"K"}'),
        (["properties.site"], '{"properties.site":["north","south"]}'),
        (["response_topic", "properties.none"], ""),
    ],
)
def test_what_is_there_is_kept_and_nothing_else(names: list[str], text: str) -> None:
    assert Chosen(names).text(FOUND) == text
    assert Chosen(names).text(NO_ATTRIBUTES) == ""


def test_messages_have_their_own() -> None:
    column = Coded(np.array([1, 0, 1], np.int32), (FOUND, NO_ATTRIBUTES))
    assert Chosen(["qos"]).texts(column, [0, 1, 2]) == ["", '{"qos":1}', ""]


def test_a_document_comes_back_as_it_was() -> None:
    names = ["client", "properties.a/b c"]
    policy = parse(BASE | {"with": names}, "ann")
    assert policy.around == tuple(names)
    assert to_document(policy)["with"] == names
    assert "with" not in to_document(parse(BASE, "ann"))


@pytest.mark.parametrize(
    ("rest", "says"),
    [
        ({"with": ["colour"]}, "is none of client"),
        ({"with": ["properties."]}, "is none of"),
        ({"with": ["properties." + "x" * 257]}, "is none of"),
        ({"with": [1]}, "is none of"),
        ({"with": "client"}, "list"),
        ({"with": []}, "1 to 16"),
        ({"with": [f"properties.{n}" for n in range(17)]}, "1 to 16"),
        ({"with": ["qos", "qos"]}, "twice"),
        ({"with": ["qos"], "keep": "aggregate", "every": "15m"}, "single messages"),
    ],
)
def test_mistakes_are_named_at_their_key(rest: dict[str, Any], says: str) -> None:
    with pytest.raises(Invalid) as found:
        parse(BASE | rest, "ann")
    (problem,) = found.value.problems
    assert problem.where.startswith("with")
    assert says in problem.what
