"""Curves of a plot as shapes: within the frame, broken where points are missing."""

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from lakebed.web.curves import HEIGHT, MOST, WIDTH, curves_of


def row(time: int, low: float, high: float, topic: str = "a", **more: Any) -> dict[str, Any]:
    found = {"topic": topic, "start": time, "end": time, "min": low, "max": high, "last": high}
    return found | more


def numbers(path: str) -> list[float]:
    return [float(one) for one in re.findall(r"-?[\d.]+", path)]


def test_a_gap_looks_like_a_gap() -> None:
    rows = [row(time, 0, 1) for time in (0, 10, 20, 70, 80)]
    (curve,) = curves_of(rows, 0, 100).found
    assert curve.line.count("M") == 2
    assert curve.band.count("Z") == 2


def test_a_point_alone_is_a_dot() -> None:
    (curve,) = curves_of([row(50, 5, 5)], 0, 100).found
    assert curve.line == "M300.0,100.0L300.0,100.0"


def test_an_average_is_the_line_and_extremes_are_the_band() -> None:
    rows = [row(0, 0, 10, avg=5.0), row(10, 0, 10, avg=5.0)]
    found = curves_of(rows, 0, 10)
    assert (found.low, found.high) == (0, 10)
    assert numbers(found.found[0].line)[1::2] == [HEIGHT / 2] * 2
    assert curves_of(rows, 0, 10, ["avg"]).found[0].band == ""
    assert curves_of(rows, 0, 10, ["min", "avg", "max"]).found[0].band


def test_curves_beyond_the_most_are_counted() -> None:
    found = curves_of([row(0, 0, 1, f"t/{n}") for n in range(20)], 0, 10)
    assert (len(found.found), found.more) == (MOST, 12)
    assert curves_of([], 0, 10).found == ()


ANY = st.floats()


@given(st.lists(st.tuples(st.integers(-50, 150), ANY, ANY), max_size=20))
def test_no_value_leads_outside_of_the_frame(found: list[tuple[int, float, float]]) -> None:
    rows = [row(time, min(one, two), max(one, two)) for time, one, two in found]
    for curve in curves_of(rows, 0, 100).found:
        for path in (curve.line, curve.band):
            places = numbers(path)
            assert all(0 <= x <= WIDTH for x in places[0::2])
            assert all(0 <= y <= HEIGHT for y in places[1::2])
