"""Curves of a plot as shapes of SVG, so that a board can be read without script.

Rows are reduced points: the extremes of each part of the range. A curve breaks where points are
missing: a gap looks like a gap.
"""

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any, TypeAlias

from lakebed.vocabulary.times import Micros

Row: TypeAlias = dict[str, Any]

WIDTH, HEIGHT = 600, 200
MOST = 8  # curves of one plot
_GREATEST = sys.float_info.max
_BREAK = 3.0  # times the usual distance of points


@dataclass(frozen=True, slots=True)
class Curve:
    """Attributes:
    band: a closed shape from the least to the greatest, "" for none.
    line: the middle.
    least, most, newest: of all its values.
    """

    topic: str
    band: str
    line: str
    least: float
    most: float
    newest: float


@dataclass(frozen=True, slots=True)
class Curves:
    """Attributes:
    low, high: the values at the lower and the upper edge.
    more: curves that are not shown.
    """

    found: tuple[Curve, ...]
    low: float
    high: float
    start: Micros
    end: Micros
    more: int = 0


def curves_of(
    rows: Sequence[Row], start: Micros, end: Micros, functions: Sequence[str] = ()
) -> Curves:
    """Curves by topic.

    Args:
        rows: with the keys topic, start, end, min, max, last, and avg of windows.
        functions: that are wanted of min, max and avg; empty for all.
    """
    by_topic: dict[str, list[Row]] = {}
    for row in rows:
        if row["min"] is not None and math.isfinite(row["min"]) and math.isfinite(row["max"]):
            by_topic.setdefault(row["topic"], []).append(row)
    chosen = dict(sorted(by_topic.items())[:MOST])
    low = min((row["min"] for found in chosen.values() for row in found), default=0.0)
    high = max((row["max"] for found in chosen.values() for row in found), default=1.0)
    if high / 2 - low / 2 <= abs(high) * 1e-15:  # a flat line stands in the middle
        wide = max(1.0, abs(high) * 1e-9)
        low, high = max(low - wide, -_GREATEST), min(high + wide, _GREATEST)
    frame = _Frame(start, end, low, high)
    banded = not functions or {"min", "max"} <= set(functions)
    return Curves(
        tuple(_curve(topic, found, frame, banded) for topic, found in chosen.items()),
        low, high, start, end, len(by_topic) - len(chosen),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Frame:
    start: Micros
    end: Micros
    low: float
    high: float

    def x(self, time: Micros) -> str:
        share = (time - self.start) / (self.end - self.start)
        return f"{min(max(share, 0), 1) * WIDTH:.1f}"

    def y(self, value: float) -> str:
        share = value / 2 - self.low / 2  # halves: the whole may be beyond float64
        return f"{HEIGHT - 4 - share / (self.high / 2 - self.low / 2) * (HEIGHT - 8):.1f}"


def _curve(topic: str, rows: list[Row], frame: _Frame, banded: bool) -> Curve:
    rows.sort(key=lambda row: row["start"])
    lines, bands = [], []
    for part in _parts(rows):
        points = [f"{frame.x(row['start'])},{frame.y(_middle(row))}" for row in part]
        if len(points) == 1:  # one alone would be no line
            points.append(f"{frame.x(part[0]['end'])},{frame.y(_middle(part[0]))}")
        lines.append("M" + "L".join(points))
        if banded:
            above = [f"{frame.x(row['start'])},{frame.y(row['max'])}" for row in part]
            below = [f"{frame.x(row['start'])},{frame.y(row['min'])}" for row in reversed(part)]
            bands.append("M" + "L".join([*above, *below]) + "Z")
    return Curve(
        topic,
        "".join(bands),
        "".join(lines),
        min(row["min"] for row in rows),
        max(row["max"] for row in rows),
        _middle(rows[-1]),
    )


def _middle(row: Row) -> float:
    average = row.get("avg")
    if average is not None and math.isfinite(average):
        return float(average)
    return float(row["last"])


def _parts(rows: list[Row]) -> Iterator[list[Row]]:
    """Rows without gaps between them."""
    steps = [later["start"] - row["start"] for row, later in pairwise(rows)]
    usual = median(steps) if steps else 0
    part = rows[:1]
    for row, step in zip(rows[1:], steps, strict=True):
        if step > _BREAK * usual:
            yield part
            part = []
        part.append(row)
    yield part
