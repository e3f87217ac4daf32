"""Points for plots: few, whole in their extremes, and open where nothing came."""

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lakebed.ports.question import Page, Question
from lakebed.vocabulary.policy import Policy
from lakebed.web import points
from lakebed.web.points import encode

T0 = 1_790_000_000_000_000
RAW = Question(Policy("ann", "raw", ("#",), "number", "archive"), "#", points=10)


def decode(data: bytes) -> tuple[dict[str, Any], list[tuple[list[float], Any]]]:
    """As the script does it."""
    length = int.from_bytes(data[:4], "little")
    head, at, series = json.loads(data[4 : 4 + length]), 4 + length, []
    for one in head["series"]:
        n = one["n"]
        ticks = np.frombuffer(data, "<u4", n, at)
        rows = 3 if head["form"] == "band" else 1
        values = np.frombuffer(data, "<f4", rows * n, at + 4 * n).astype(float) + one["base"]
        at += 4 * n * (1 + rows)
        times = (head["from"] + ticks * float(head["step"])).tolist()
        series.append((times, values.reshape(rows, n).tolist()))
    assert at == len(data)
    return head, series


def line(
    *rows: tuple[float, float, float, float, float, float], topic: str = "a", field: str = ""
) -> pa.Table:
    """Of start, end (seconds), min, max, first, last."""
    names = ("start", "end", "min", "max", "first", "last")
    table = {"topic": pa.array([topic] * len(rows), pa.string())}
    table["field"] = pa.array([field] * len(rows), pa.string())
    for name, column in zip(names, zip(*rows, strict=True), strict=True):
        if name in ("start", "end"):
            table[name] = pa.array([T0 + int(one * 1e6) for one in column], pa.int64())
        else:
            table[name] = pa.array(column, pa.float64())
    return pa.table(table)


def test_single_records_are_where_they_were() -> None:
    table = line((0, 0, 5, 5, 5, 5), (1, 1, 7, 7, 7, 7), (2.5, 2.5, 6, 6, 6, 6))
    head, [(times, [values])] = decode(encode(Page(RAW, table, None)))
    assert [time - T0 / 1000 for time in times] == [0, 1000, 2500]
    assert values == [5, 7, 6]
    assert (head["policy"], head["form"], head["step"]) == ("raw", "line", 1)


def test_a_column_of_many_shows_both_extremes_the_way_it_goes() -> None:
    table = line((0, 9, 1, 8, 2, 7), (10, 19, 0, 9, 9, 0))
    _, [(times, [values])] = decode(encode(Page(RAW, table, None)))
    assert values == [1, 8, 9, 0]
    assert [time - T0 / 1000 for time in times] == [0, 9000, 10_000, 19_000]


def test_a_line_is_open_where_nothing_came() -> None:
    seconds = [*range(10), *range(100, 105)]
    table = line(*((s, s, 1, 1, 1, 1) for s in seconds))
    _, [(times, [values])] = decode(encode(Page(RAW, table, None)))
    (place,) = np.flatnonzero(np.isnan(values)).tolist()
    assert times[place] - T0 / 1000 == 54_500
    assert len(values) == len(seconds) + 1


def test_records_that_come_unevenly_are_no_gaps() -> None:
    table = line(*((s, s, 1, 1, 1, 1) for s in (0, 1, 3, 4, 8, 9, 11)))
    _, [(_, [values])] = decode(encode(Page(RAW, table, None)))
    assert not np.isnan(values).any()


def test_large_numbers_keep_their_differences() -> None:
    table = line((0, 0, 1.7e12, 1.7e12, 0, 0), (1, 1, 1.7e12 + 1, 1.7e12 + 1, 0, 0))
    _, [(_, [values])] = decode(encode(Page(RAW, table, None)))
    assert values == [1.7e12, 1.7e12 + 1]


def test_years_are_told_in_longer_ticks() -> None:
    year = 365 * 86_400
    table = line((0, 0, 1, 1, 1, 1), (year, year, 2, 2, 2, 2))
    head, [(times, _)] = decode(encode(Page(RAW, table, None)))
    assert head["step"] > 1
    assert abs(times[1] - times[0] - year * 1000) <= head["step"]


def test_bands_have_their_late_and_open_windows_marked() -> None:
    hours = [0, 1, 2, 9]
    table = pa.table(
        {
            "topic": ["a"] * 4,
            "field": [""] * 4,
            "start": pa.array([T0 + h * 3_600_000_000 for h in hours]),
            "end": pa.array([T0 + (h + 1) * 3_600_000_000 for h in hours]),
            "complete": [True, True, True, False],
            "count": [1] * 4,
            "min": [1.0, 2, 3, 4],
            "max": [3.0, 4, 5, 6],
            "avg": [2.0, 3, 4, float("inf")],
            "first": [1.0] * 4,
            "last": [1.0] * 4,
            "late": [False, True, False, False],
        }
    )
    gap = {"from": "2026-09-21T14:13:20Z", "to": "2026-09-21T14:13:21Z", "reason": "dropped"}
    head, [(_, [low, high, mean])] = decode(encode(Page(RAW, table, None), [gap]))
    assert head["form"] == "band"
    assert [low[1], high[1], mean[1]] == [2, 4, 3]
    assert np.isnan(low[3])  # the hours in between
    assert np.isnan(mean[4])
    assert head["series"][0]["late"] == [[T0 // 1000 + 3_600_000, T0 // 1000 + 7_200_000]]
    assert len(head["series"][0]["open"]) == 1
    assert head["gaps"] == [[T0 // 1000, T0 // 1000 + 1000, "dropped"]]


def test_topics_follow_each_other() -> None:
    table = pa.concat_tables([line((0, 0, 1, 1, 1, 1)), line((5, 5, 2, 2, 2, 2), topic="b")])
    head, [(_, [first]), (_, [second])] = decode(encode(Page(RAW, table, None)))
    assert [one["topic"] for one in head["series"]] == ["a", "b"]
    assert (first, second) == ([1], [2])


def test_each_field_of_a_topic_has_a_curve() -> None:
    row = (0, 0, 1, 1, 1, 1)
    parts = [line(row, row, field="h"), line(row, field="t"), line(row, topic="b", field="t")]
    head, _ = decode(encode(Page(RAW, pa.concat_tables(parts), None)))
    named = [(one["topic"], one["n"]) for one in head["series"]]
    assert named == [("a · h", 2), ("a · t", 1), ("b · t", 1)]


@pytest.mark.parametrize("table", [line((0, 0, 1, 1, 1, 1)).slice(0, 0)])
def test_nothing_is_an_answer(table: pa.Table) -> None:
    head, series = decode(encode(Page(RAW, table, None)))
    assert (head["series"], series) == ([], [])


def test_a_month_is_small() -> None:
    rows = [(s, s + 2000, 1.0, 2.0, 1.0, 2.0) for s in range(0, 1200 * 2160, 2160)]
    assert len(encode(Page(RAW, line(*rows), None))) < 20_000
    assert points.MOST_COLUMNS * 16 < 100_000
