"""Templates: every one of them gives a result for each record, or is refused when it is parsed."""

from dataclasses import replace

import pytest

from lakebed.ports.relays import Record
from lakebed.relays.templates import FUNCTIONS, Template, TooLarge

RECORD = Record(
    "0:1",
    "plant/Ä 1/celsius",
    1_700_000_000_123_456,
    1_700_000_001_000_000,
    values={"value": 2.26, "start": 1_000_000, "bad": float("inf")},
    payload=b'{"t": {"c": 2.5}, "list": [1, "x"]}',
    attributes={"content_type": "application/json"},
)


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("", ""),
        ("plain", "plain"),
        ("{topic}", "plant/Ä 1/celsius"),
        ("{topic.0}-{topic.-1}-{topic.9}", "plant-celsius-"),
        ("{topic|url}", "plant%2F%C3%84%201%2Fcelsius"),
        ("{value}", 2.26),  # alone it stays a number
        ("v={value|round:1}", "v=2.3"),
        ("{bad}", None),  # JSON has no infinity
        ("{nothing}", None),
        ("a{nothing}b", "ab"),
        ("{nothing|default:none}", "none"),
        ("{payload/t/c}", 2.5),
        ("{payload/list}", [1, "x"]),
        ("{payload/list/9}", None),
        ("{attributes.content_type|upper}", "APPLICATION/JSON"),
        ("{time}", "2023-11-14T22:13:20.123456Z"),
        ("{time|ms} {time|ns}", "1700000000123 1700000000123456000"),
        ("{start|s}", 1),
        ("{{literal}}", "{literal}"),
        ({"d": "{topic.0}", "v": ["{value}", 1, None]}, {"d": "plant", "v": [2.26, 1, None]}),
    ],
)  # fmt: skip
def test_a_template_makes_a_value_of_a_record(template: object, value: object) -> None:
    assert Template.parse(template).value(RECORD) == value


@pytest.mark.parametrize(
    ("template", "what"),
    [
        ("{", "lone `{`"),
        ("a } b", "lone `}`"),
        ("{topic|exec}", "no function `exec`"),
        ("{__class__.__mro__ x}", "no field"),
        ("{topic.x}", "a level is a number"),
        ("{value|round}", "takes 1 values"),
        ("{value|round:99}", "0 to 15 digits"),
        ("{topic|replace::a}", "a text to look for"),
        ("x" * 20_000, "at most 10000 characters"),
        ({"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": {"i": 1}}}}}}}}}, "levels deep"),
    ],
)
def test_a_mistake_is_named_when_it_is_parsed(template: object, what: str) -> None:
    with pytest.raises(ValueError, match=r".*") as caught:
        Template.parse(template)
    assert what in str(caught.value)


def test_each_function_gives_a_result_for_any_value() -> None:
    arguments = {"round": ":2", "default": ":x", "replace": ":a:b", "slice": ":0:2"}
    strange = ("payload", "value", "bad", "nothing", "time", "values", "payload/list")
    for name in FUNCTIONS:
        for field in strange:
            written = f"{{{field}|{name}{arguments.get(name, '')}}}"
            Template.parse(written).payload(RECORD)
    empty = Record("", "", 0, 0, payload=b"\xff\xfe")
    assert Template.parse("{payload}{payload/a}").render(empty) == "//4="


def test_a_record_has_no_attributes_of_python() -> None:
    assert Template.parse("{__class__}").value(RECORD) is None


@pytest.mark.parametrize(
    "template",
    [
        "{payload" + "|hex" * 8 + "}",  # each makes it twice as long
        "{payload" + "|json" * 8 + "}",
        "{payload|replace:a:" + "b" * 100 + "}",
        "{payload}" * 20,
        ["{payload}"] * 20,
    ],
)
def test_what_is_too_large_is_refused_before_it_fills_memory(template: object) -> None:
    large = replace(RECORD, payload=b'a"' * 50_000)
    with pytest.raises(TooLarge, match="makes more than 1048576 characters"):
        Template.parse(template).payload(large)
