"""Reading raw kinds from the real engine: ranges, orders, pages, duplicates, expiry, wildcards."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from lakebed.ports.question import Page, Question
from lakebed.ports.series import Series
from lakebed.stores.series.clickhouse.reading import records
from lakebed.vocabulary.errors import BadRequest
from lakebed.vocabulary.policy import Policy

Insert = Callable[..., None]

T0 = 1_790_000_000_000_000


def policy(name: str, keep: str = "archive", **more: Any) -> Policy:
    return Policy("ann", name, ("#",), more.pop("type", "number"), keep, **more)


def numbers(page: Page) -> list[float]:
    values: list[float] = page.rows["number"].to_pylist()
    return values


@pytest.fixture(scope="module")
def ten(insert: Insert) -> Policy:
    """Ten records, a second apart; the fourth and the fifth at one and the same time."""
    seconds = [0, 1, 2, 3, 3, 5, 6, 7, 8, 9]
    rows = [
        {"time": T0 + s * 1_000_000, "offset": 100 + i, "number": float(i)}
        for i, s in enumerate(seconds)
    ]
    insert("archive", *rows, policy="ten", topic="a/b")
    return policy("ten")


def test_a_range_includes_its_beginning_and_not_its_end(series: Series, ten: Policy) -> None:
    question = Question(ten, "a/b", start=T0 + 1_000_000, end=T0 + 5_000_000)
    assert numbers(records.read(series, question)) == [1, 2, 3, 4]


def test_records_of_one_instant_stand_in_the_order_of_the_journal(
    series: Series, ten: Policy
) -> None:
    rising = records.read(series, Question(ten, "a/b"))
    falling = records.read(series, Question(ten, "a/b", order="desc"))
    assert numbers(rising) == list(range(10))
    assert numbers(falling) == list(range(9, -1, -1))


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 3, 4, 10])
def test_pages_by_cursor_give_every_record_once(
    series: Series, ten: Policy, order: Any, limit: int
) -> None:
    question = Question(ten, "a/b", order=order, limit=limit)
    seen: list[float] = []
    while True:
        page = records.read(series, question)
        seen += numbers(page)
        if page.next_cursor is None:
            break
        question = replace(question, cursor=page.next_cursor)
    assert seen == sorted(range(10), reverse=order == "desc")


def test_pages_by_offset_skip_so_many_records(series: Series, ten: Policy) -> None:
    page = records.read(series, Question(ten, "a/b", offset=4, limit=3))
    assert numbers(page) == [4, 5, 6]


def test_a_cursor_of_another_question_is_refused(series: Series, ten: Policy) -> None:
    given = records.read(series, Question(ten, "a/b", limit=2)).next_cursor
    assert given is not None
    foreign = [
        Question(ten, "a/+", cursor=given),
        Question(ten, "a/b", order="desc", cursor=given),
        Question(ten, "a/b", start=T0, cursor=given),
        Question(replace(ten, owner="eve"), "a/b", cursor=given),
        Question(replace(ten, name="other"), "a/b", cursor=given),
    ]
    for question in foreign:
        with pytest.raises(BadRequest, match="cursor"):
            records.read(series, question)


def test_a_damaged_cursor_is_refused(series: Series, ten: Policy) -> None:
    given = records.read(series, Question(ten, "a/b", limit=2)).next_cursor
    assert given is not None
    for place in range(0, len(given), 5):
        swapped = "A" if given[place] != "A" else "B"
        damaged = given[:place] + swapped + given[place + 1 :]
        with pytest.raises(BadRequest, match="cursor"):
            records.read(series, Question(ten, "a/b", cursor=damaged))
    for rubbish in ("x", "é", "AAAA", given[:-3], given + "!"):
        with pytest.raises(BadRequest, match="cursor"):
            records.read(series, Question(ten, "a/b", cursor=rubbish))


def test_a_record_written_again_is_shown_once(series: Series, insert: Insert) -> None:
    row = {"time": T0, "offset": 7, "number": 1.5}
    insert("archive", row, policy="again", topic="t")
    insert("archive", row, policy="again", topic="t")
    insert("window", row, policy="again", topic="t")
    insert("window", row, policy="again", topic="t")
    assert numbers(records.read(series, Question(policy("again"), "t"))) == [1.5]
    assert numbers(records.read(series, Question(policy("again", "window"), "t"))) == [1.5]


def test_what_has_expired_is_not_shown_though_no_merge_removed_it(
    series: Series, insert: Insert
) -> None:
    old = {"time": T0, "offset": 1, "number": 1.0, "expires": 1_000_000_000}
    insert("window", old, policy="brief", topic="t")
    insert("window", {"time": T0, "offset": 2, "number": 2.0}, policy="brief", topic="t")
    assert numbers(records.read(series, Question(policy("brief", "window"), "t"))) == [2]


def test_last_n_never_shows_more_than_n_of_a_topic_over_all_rings(
    series: Series, insert: Insert
) -> None:
    # an old ring of five, then the policy was changed to three: a new ring, opened at offset 50
    for topic in ("t/1", "t/2"):
        old = [
            {"time": T0 + i, "received": T0 + i, "offset": i, "ring": 0, "slot": i, "number": i}
            for i in range(5)
        ]
        new = [
            {
                "time": T0 - i,
                "received": T0 + i,
                "offset": i,
                "ring": 50,
                "slot": i - 50,
                "number": i,
            }
            for i in (50, 51)
        ]
        insert("last_n", *old, *new, policy="few", topic=topic)
    three = policy("few", "last_n", count=3)
    # newest by arrival; shown by event time, so what arrived last but is older stands first
    assert numbers(records.read(series, Question(three, "t/1"))) == [51, 50, 4]
    assert len(records.read(series, Question(three, "t/+")).rows) == 6


def test_last_n_counts_a_message_once_though_two_rings_hold_it(
    series: Series, insert: Insert
) -> None:
    row = {"time": T0, "received": T0, "offset": 9, "slot": 0, "number": 9.0}
    insert("last_n", row | {"ring": 9}, row | {"ring": 3}, policy="twice", topic="t")
    page = records.read(series, Question(policy("twice", "last_n", count=5), "t"))
    assert numbers(page) == [9]


TOPICS = ["a", "a/b", "a/b/c", "a/.b", "ab", "$SYS/x", "/a", "x\\y(z", "a/b\nc", "é/ü"]


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ("#", {"a", "a/b", "a/b/c", "a/.b", "ab", "/a", "x\\y(z", "a/b\nc", "é/ü"}),
        ("a/#", {"a", "a/b", "a/b/c", "a/.b", "a/b\nc"}),  # the parent level too
        ("+", {"a", "ab", "x\\y(z"}),
        ("+/+", {"a/b", "a/.b", "/a", "a/b\nc", "é/ü"}),
        ("a/+", {"a/b", "a/.b", "a/b\nc"}),
        ("$SYS/#", {"$SYS/x"}),
        ("+/x", set()),  # wildcards do not reach $ topics
        ("a/+/c", {"a/b/c"}),
        ("é/#", {"é/ü"}),
        ("a/.b", {"a/.b"}),
    ],
)
def test_filters_select_topics_as_mqtt_says(
    series: Series, insert: Insert, filter: str, expected: set[str]
) -> None:
    rows = [{"time": T0, "offset": i, "topic": topic} for i, topic in enumerate(TOPICS)]
    insert("archive", *rows, policy="wild")
    page = records.read(series, Question(policy("wild"), filter))
    assert set(page.rows["topic"].to_pylist()) == expected


def test_nobody_sees_the_records_of_another_owner(series: Series, insert: Insert) -> None:
    insert("archive", {"time": T0, "offset": 1}, policy="mine", topic="t", owner="eve")
    assert len(records.read(series, Question(policy("mine"), "#")).rows) == 0


def test_a_page_of_long_values_ends_early_and_goes_on_by_cursor(
    series: Series, insert: Insert, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "PAGE_BYTES", 1000)
    rows = [
        {"time": T0 + i, "offset": i, "type": "text", "text": "x" * 300, "size": 300}
        for i in range(7)
    ]
    insert("archive", *rows, policy="long", topic="t")
    question = Question(policy("long", type="text"), "t", limit=500)
    lengths = []
    while True:
        page = records.read(series, question)
        lengths.append(len(page.rows))
        if page.next_cursor is None:
            break
        question = replace(question, cursor=page.next_cursor)
    assert lengths == [3, 3, 1]


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"start": 5, "end": 5}, "from"),
        ({"start": 6, "end": 5}, "from"),
        ({"limit": 0}, "limit"),
        ({"limit": 100_001}, "limit"),
        ({"offset": -1}, "offset"),
        ({"offset": 1, "cursor": "x"}, "offset"),
        ({"order": "up"}, "order"),
        ({"topic": "a/#/b"}, "topic"),
        ({"topic": ""}, "topic"),
    ],
)
def test_a_wrong_question_names_its_parameter(wrong: dict[str, Any], where: str) -> None:
    with pytest.raises(BadRequest) as caught:
        Question(**{"policy": policy("p"), "topic": "t", **wrong})
    assert caught.value.problems[0].where == where


@pytest.mark.parametrize("moment", [-(2**62), 2**62])
def test_times_beyond_what_the_store_can_hold_are_no_error(
    series: Series, ten: Policy, moment: int
) -> None:
    page = records.read(series, Question(ten, "a/b", start=moment))
    assert len(page.rows) == (10 if moment < 0 else 0)
