"""Reading aggregates from the real engine: fragments merge into windows as numpy would have it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lakebed.kinds.aggregate import sketch
from lakebed.ports.question import Question
from lakebed.ports.series import Series
from lakebed.stores.series.clickhouse.reading import windows as aggregates
from lakebed.vocabulary.errors import BadRequest
from lakebed.vocabulary.policy import Policy

Insert = Callable[..., None]

HOUR = 3600
START = 1_790_002_800  # a full hour
ALL = ("min", "max", "sum", "avg", "count", "first", "last", "stddev", "p50", "p95", "p99")
TEXT = ("count", "unique", "first", "last", "min", "max", "top")


def fragment(
    values: list[float], times: list[int], start: int = START, **more: Any
) -> dict[str, Any]:
    """The state of some values, as a keeper would write it, computed here with numpy."""
    array = np.array(values)
    bins, counts = np.unique(sketch.bins_of(array), return_counts=True)
    order = np.argsort(times, kind="stable")
    return {
        "start": start, "end": start + HOUR, "count": len(values),
        "first_time": times[order[0]] * 1_000_000, "first_offset": int(order[0]),
        "last_time": times[order[-1]] * 1_000_000, "last_offset": int(order[-1]),
        "sum": array.sum(), "min": array.min(), "max": array.max(),
        "first": array[order[0]], "last": array[order[-1]],
        "mean": array.mean(), "m2": ((array - array.mean()) ** 2).sum(),
        "bins": bins.tolist(), "counts": counts.tolist(), **more,
    }  # fmt: skip


def policy(name: str, functions: tuple[str, ...] = ALL, type: Any = "number") -> Policy:
    return Policy("ann", name, ("#",), type, "aggregate", functions=functions)


def read(series: Series, question: Question) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = aggregates.read(series, question).rows.to_pylist()
    return rows


def test_fragments_and_partitions_of_a_window_merge_into_one_row(
    series: Series, insert: Insert
) -> None:
    random = np.random.default_rng(1)
    values = (random.normal(1e6, 3, 300)).tolist()  # a large mean with a small spread
    times = random.permutation(300).tolist()
    cuts = [slice(0, 200), slice(200, 201), slice(201, 300)]
    rows = [
        fragment(values[cut], [START + t for t in times[cut]], fragment=i, partition=i % 2)
        for i, cut in enumerate(cuts)
    ]
    insert("aggregate", *rows, policy="merge", topic="t")
    (row,) = read(series, Question(policy("merge"), "t"))
    assert row["count"] == 300
    assert row["sum"] == pytest.approx(np.sum(values), rel=1e-12)
    assert row["avg"] == pytest.approx(np.mean(values), rel=1e-12)
    assert row["stddev"] == pytest.approx(np.std(values), rel=1e-9)
    assert (row["min"], row["max"]) == (min(values), max(values))
    assert row["first"] == values[int(np.argmin(times))]
    assert row["last"] == values[int(np.argmax(times))]
    for name, q in (("p50", 50), ("p95", 95), ("p99", 99)):
        assert row[name] == pytest.approx(np.percentile(values, q), rel=0.002)
    assert row["complete"] is True
    assert (row["start"], row["end"]) == (START * 1_000_000, (START + HOUR) * 1_000_000)


def test_the_newest_state_of_a_fragment_replaces_the_earlier_ones(
    series: Series, insert: Insert
) -> None:
    early = fragment([1.0], [START], version=1, complete=0)
    late = fragment([1.0, 2.0], [START, START + 1], version=2, complete=0)
    insert("aggregate", late, policy="newer", topic="t")
    insert("aggregate", early, policy="newer", topic="t")
    (row,) = read(series, Question(policy("newer", ("sum",)), "t"))
    assert (row["sum"], row["count"], row["complete"]) == (3.0, 2, False)


def test_a_window_is_complete_when_all_its_fragments_are(series: Series, insert: Insert) -> None:
    done, running = fragment([1.0], [START]), fragment([2.0], [START + 1])
    insert("aggregate", done, running | {"fragment": 5, "complete": 0}, policy="half", topic="t")
    (row,) = read(series, Question(policy("half", ("sum",)), "t"))
    assert row["complete"] is False


def test_a_window_is_cut_if_one_of_its_fragments_is(series: Series, insert: Insert) -> None:
    whole = fragment([1.0], [START]) | {"fragment": 0, "complete": 1}
    insert("aggregate", whole, whole | {"fragment": 5, "complete": 3}, policy="c", topic="both")
    insert("aggregate", whole, whole | {"fragment": 5, "complete": 2}, policy="c", topic="open")
    insert("aggregate", whole, policy="c", topic="whole")
    rows = read(series, Question(policy("c", ("sum",)), "+"))
    assert {row["topic"]: (row["complete"], row["cut"], row["late"]) for row in rows} == {
        "both": (True, True, True), "open": (False, True, True), "whole": (True, False, False),
    }  # fmt: skip


def test_only_the_functions_of_the_policy_are_shown(series: Series, insert: Insert) -> None:
    insert("aggregate", fragment([1.0], [START]), policy="few", topic="t")
    (row,) = read(series, Question(policy("few", ("max", "avg")), "t"))
    assert list(row) == [
        "topic",
        "field",
        "start",
        "end",
        "complete",
        "count",
        "max",
        "avg",
        "cut",
        "late",
    ]


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_windows_are_paged_by_cursor_across_topics(
    series: Series, insert: Insert, order: Any
) -> None:
    rows = [
        fragment([float(hour)], [START], start=START + hour * HOUR, topic=f"{topic}/x")
        for hour in range(4)
        for topic in "abc"
    ]
    insert("aggregate", *rows, policy="pages" + order)
    question = Question(policy("pages" + order, ("sum",)), "+/x", limit=5, order=order)
    seen = []
    while True:
        page = aggregates.read(series, question)
        seen += [(row["start"], row["topic"]) for row in page.rows.to_pylist()]
        if page.next_cursor is None:
            break
        question = replace(question, cursor=page.next_cursor)
    assert len(seen) == 12
    assert seen == sorted(seen, reverse=order == "desc")


def test_ranges_ask_for_the_start_of_windows(series: Series, insert: Insert) -> None:
    rows = [fragment([1.0], [START], start=START + hour * HOUR) for hour in range(4)]
    insert("aggregate", *rows, policy="range", topic="t")
    second = (START + HOUR) * 1_000_000
    hours = policy("range", ("sum",))
    assert len(read(series, Question(hours, "t", start=second))) == 3
    assert len(read(series, Question(hours, "t", start=second + 1))) == 2
    assert len(read(series, Question(hours, "t", end=second))) == 1
    assert len(read(series, Question(hours, "t", end=second + 1))) == 2


def test_a_cursor_of_records_is_no_cursor_of_windows(series: Series) -> None:
    with pytest.raises(BadRequest, match="cursor"):
        read(series, Question(policy("p"), "t", cursor="AAAAAAAAAAAAAAAA"))


def text_fragment(values: list[str], first: int, **more: Any) -> dict[str, Any]:
    distinct = sorted(set(values))
    return {
        "start": START, "end": START + HOUR, "count": len(values),
        "first_time": first * 1_000_000, "first_offset": 0,
        "last_time": (first + len(values)) * 1_000_000, "last_offset": 9,
        "min": min(values), "max": max(values), "first": values[0], "last": values[-1],
        "hashes": sketch.smallest(map(sketch.hash_text, values)),
        "tops": distinct, "counts": [values.count(v) for v in distinct], **more,
    }  # fmt: skip


def test_fragments_of_text_merge_too(series: Series, insert: Insert) -> None:
    early = ["on", "off", "on", "idle"]
    late = ["off", "off", "fault", "é"]
    insert(
        "aggregate_text",
        text_fragment(late, START + 100, fragment=1),
        text_fragment(early, START),
        policy="texts",
        topic="t",
    )
    (row,) = read(series, Question(policy("texts", TEXT, "text"), "t"))
    assert (row["count"], row["unique"]) == (8, 5)
    assert (row["first"], row["last"]) == ("on", "é")
    assert (row["min"], row["max"]) == ("fault", "é")
    assert row["top"][:2] == [{"value": "off", "count": 3}, {"value": "on", "count": 2}]
    assert [entry["value"] for entry in row["top"][2:]] == ["fault", "idle", "é"]


def test_a_policy_without_windows_has_an_empty_page_with_its_columns(series: Series) -> None:
    page = aggregates.read(series, Question(policy("none"), "t"))
    assert page.rows.column_names == [
        "topic", "field", "start", "end", "complete", "count",
        "min", "max", "sum", "avg", "first", "last", "stddev", "p50", "p95", "p99", "cut", "late",
    ]  # fmt: skip
    assert len(page.rows) == 0
    page = aggregates.read(series, Question(policy("none", TEXT, "text"), "t"))
    assert len(page.rows) == 0
