import random
from dataclasses import replace

import pytest

from lakebed.ports.catalog.last_values import LastValue
from lakebed.stores.catalog.sql import SqlCatalog

VALUE = LastValue("ann", "now", "plant/1", "number", 1_000, 21.5, 4, 0, 7, "m-1")


def test_a_value_comes_back_as_it_was_written(catalog: SqlCatalog) -> None:
    text = replace(VALUE, topic="plant/2", type="text", value="zero \0, \ud800, Привет", id="\0")
    json = replace(VALUE, topic="plant/3", type="json", value='{"a": [1, null]}', time=-5)
    catalog.upsert_last([VALUE, text, json])
    assert catalog.last_values("ann") == [VALUE, text, json]


@pytest.mark.parametrize("number", [0.0, 1e308, -5e-324, 0.1, 2.0**53 + 2])
def test_numbers_keep_every_bit(catalog: SqlCatalog, number: float) -> None:
    catalog.upsert_last([replace(VALUE, value=number)])
    [found] = catalog.last_values("ann")
    assert isinstance(found.value, float)
    assert found.value == number


@pytest.mark.parametrize(
    ("change", "wins"),
    [
        ({"time": 1_001}, True),
        ({"time": 999, "partition": 5, "offset": 99}, False),  # time counts first
        ({"partition": 1, "offset": 0}, True),  # then the partition
        ({"offset": 8}, True),  # then the offset
        ({"offset": 6}, False),
        ({}, False),  # the same message again
    ],
)
def test_only_a_later_message_replaces_a_value(
    catalog: SqlCatalog, change: dict[str, int], wins: bool
) -> None:
    other = replace(
        VALUE, value=3.0, id="other", **{k: v for k, v in change.items() if k != "value"}
    )
    catalog.upsert_last([VALUE])
    catalog.upsert_last([other])
    assert catalog.last_values("ann") == [other if wins else VALUE]


def test_within_one_call_the_latest_wins_whatever_its_place(catalog: SqlCatalog) -> None:
    values = [replace(VALUE, time=time, value=float(time)) for time in (5, 9, 1)]
    catalog.upsert_last(values)
    assert catalog.last_values("ann") == [values[1]]


def test_writing_a_stretch_again_in_any_order_changes_nothing(catalog: SqlCatalog) -> None:
    chance = random.Random(4)
    values = [
        replace(VALUE, topic=f"t/{chance.randrange(20)}", time=chance.randrange(50), offset=i)
        for i in range(300)
    ]
    catalog.upsert_last(values)
    answer = catalog.last_values("ann")
    for start in (200, 0, 100):
        catalog.upsert_last(values[start : start + 100])
    assert catalog.last_values("ann") == answer


def test_a_type_may_change(catalog: SqlCatalog) -> None:
    text = replace(VALUE, time=2_000, type="text", value="21.5")
    catalog.upsert_last([VALUE])
    catalog.upsert_last([text])
    assert catalog.last_values("ann") == [text]


def test_owners_and_policies_are_apart(catalog: SqlCatalog) -> None:
    others = [replace(VALUE, owner="bob"), replace(VALUE, policy="daily")]
    catalog.upsert_last([VALUE, *others])
    assert catalog.last_values("bob") == [others[0]]
    assert catalog.last_values("ann", topic="plant/1") == [others[1], VALUE]
    assert catalog.last_values("ann", topic="plant/1", policy="now") == [VALUE]
    assert catalog.last_values("eve") == []


LAST = "\U0010ffff"  # no character comes behind it
TOPICS = [
    "a",
    "a%b",
    "a/b",
    "a_b",
    "ab",
    "A/b",
    "a/",
    "a/é",
    f"a/{LAST}",
    f"a/{LAST}z",
    "a0",
    "б/в",
]


@pytest.mark.parametrize("prefix", ["", "a", "a%", "a_", "a/", "A", f"a/{LAST}", LAST, "б"])
def test_a_prefix_is_taken_literally(catalog: SqlCatalog, prefix: str) -> None:
    catalog.upsert_last([replace(VALUE, topic=topic) for topic in TOPICS])
    found = [value.topic for value in catalog.last_values("ann", prefix=prefix)]
    assert found == sorted(topic for topic in TOPICS if topic.startswith(prefix))


def test_ten_thousand_values_go_in_one_call(catalog: SqlCatalog) -> None:
    values = [replace(VALUE, topic=f"t/{i:05}", offset=i) for i in range(10_000)]
    catalog.upsert_last(values)
    later = [replace(value, time=value.time + 1) for value in values[::2]]
    catalog.upsert_last(later)
    found = catalog.last_values("ann", prefix="t/")
    assert found[::2] == later
    assert found[1::2] == values[1::2]


def test_no_values_are_no_work(catalog: SqlCatalog) -> None:
    catalog.upsert_last([])
    assert catalog.last_values("ann") == []


def test_values_are_deleted_but_none_that_a_later_one_has_replaced(catalog: SqlCatalog) -> None:
    old = LastValue("ann", "now", "t/1", "number", 5, 1.0, 3, 0, 7)
    other = replace(old, topic="t/2")
    new = replace(old, time=6, offset=8)
    catalog.upsert_last([old, other])
    found = catalog.last_values("ann")
    catalog.upsert_last([new])
    assert catalog.delete_last(found) == 1
    assert catalog.last_values("ann") == [new]
    assert catalog.delete_last([]) == 0
