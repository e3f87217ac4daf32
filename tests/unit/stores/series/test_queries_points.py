"""Reducing a range to points by the real engine, and by numpy."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lakebed.ports.question import Question
from lakebed.ports.series import Series
from lakebed.queries import points
from lakebed.vocabulary.policy import Policy
from lakebed.vocabulary.times import SECOND

Insert = Callable[..., None]

T0 = 1_790_000_000_000_000
START = 1_790_002_800  # a full hour


def policy(name: str, keep: str = "archive", **more: Any) -> Policy:
    return Policy("ann", name, ("#",), more.pop("type", "number"), keep, **more)


def read(series: Series, question: Question) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = points.read(series, question).rows.to_pylist()
    return rows


def test_each_part_has_the_extremes_of_its_records(series: Series, insert: Insert) -> None:
    random = np.random.default_rng(3)
    times = np.sort(random.choice(10_000_000, 1_000, replace=False)) + T0
    values = random.normal(20, 5, 1_000)
    rows = [
        {"time": int(t), "offset": i, "number": float(v)}
        for i, (t, v) in enumerate(zip(times, values, strict=True))
    ]
    insert("archive", *rows, policy="many", topic="t")
    insert("archive", *rows[300:700], policy="many", topic="t")  # written again
    begin, width = T0 + 1_000_000, 70_000
    found = read(series, Question(policy("many"), "t", begin, begin + width * 100, points=100))
    expected = []
    for part in range(100):
        inside = (times - begin >= part * width) & (times - begin < (part + 1) * width)
        if inside.any():
            expected.append(
                {
                    "topic": "t",
                    "field": "",
                    "start": int(times[inside][0]),
                    "end": int(times[inside][-1]),
                    "min": values[inside].min(),
                    "max": values[inside].max(),
                    "first": values[inside][0],
                    "last": values[inside][-1],
                }
            )
    assert found == expected


def test_a_gap_stays_a_gap_and_single_records_keep_their_time(
    series: Series, insert: Insert
) -> None:
    rows = [{"time": T0 + s * SECOND, "offset": s, "number": float(s)} for s in (0, 1, 90, 91)]
    insert("archive", *rows, policy="gap", topic="t")
    found = read(series, Question(policy("gap"), "t", points=1000))
    assert [(row["start"], row["end"], row["min"]) for row in found] == [
        (T0 + s * SECOND, T0 + s * SECOND, s) for s in (0, 1, 90, 91)
    ]


def test_bands_of_windows_merge_fragments_and_tell_late_ones(
    series: Series, insert: Insert
) -> None:
    def window(hour: int, low: float, **more: Any) -> dict[str, Any]:
        start = START + hour * 3600
        return {
            "start": start, "end": start + 3600, "count": 2, "sum": 2 * low + 1, "min": low,
            "max": low + 1, "first": low, "last": low + 1, "first_time": start * SECOND,
            "last_time": (start + 9) * SECOND, **more,
        }  # fmt: skip

    rows = [window(0, 1.0), window(1, 5.0), window(4, 3.0), window(4, 9.0, fragment=7, complete=0)]
    insert("aggregate", *rows, policy="bands", topic="t")
    insert("aggregate", window(1, 4.0, version=9), policy="bands", topic="t")  # replaces one
    begin = START * SECOND
    question = Question(
        policy("bands", "aggregate"), "t", begin, begin + 6 * 3600 * SECOND, points=3
    )
    first, last = read(series, question)
    assert (first["min"], first["max"], first["avg"], first["count"]) == (1, 5, 3.0, 4)
    assert (first["start"], first["end"]) == (begin, begin + 7200 * SECOND)
    assert (first["complete"], first["late"]) == (True, False)
    assert (last["min"], last["max"], last["complete"], last["late"]) == (3, 10, False, True)


def test_a_filter_gives_the_points_of_each_topic(series: Series, insert: Insert) -> None:
    for topic in ("x/1", "x/2", "y"):
        insert("archive", {"time": T0, "number": 1.0}, policy="wild", topic=topic)
    question = Question(policy("wild"), "x/+", points=5)
    assert [row["topic"] for row in read(series, question)] == ["x/1", "x/2"]
    both = Question(policy("wild"), "y", beside=("x/2",), points=5)
    assert [row["topic"] for row in read(series, both)] == ["x/2", "y"]


def test_a_ring_has_points_of_its_newest_records(series: Series, insert: Insert) -> None:
    rows = [
        {"time": T0 + i, "offset": i, "received": T0 + i, "number": float(i), "slot": i}
        for i in range(9)
    ]
    insert("last_n", *rows, policy="ring", topic="t")
    found = read(series, Question(policy("ring", "last_n", count=3), "t", points=1))
    assert [(row["min"], row["max"]) for row in found] == [(6, 8)]


def test_no_rows_are_no_points(series: Series) -> None:
    assert read(series, Question(policy("nothing"), "t", points=10)) == []
    assert read(series, Question(policy("nothing"), "t", start=T0, points=10)) == []


@pytest.mark.parametrize("keep", ["archive", "aggregate"])
def test_types_of_columns_do_not_depend_on_rows(series: Series, keep: str) -> None:
    page = points.read(series, Question(policy("nothing", keep), "t", points=10))
    assert [str(page.rows[name].type) for name in ("topic", "start", "min")] == [
        "string", "int64", "double",
    ]  # fmt: skip
