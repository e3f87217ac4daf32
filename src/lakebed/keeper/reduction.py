"""Reduces numbers to the extremes of equal parts of time while they come, in bounded memory.

    rows ──add──> rows that wait ──(too many)──> one row for each series and part

A part is a power of two microseconds wide and begins at a multiple of its width. So when the range
grows, two parts are exactly one of the next width, and nothing has to be seen again.
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lakebed.vocabulary.messages import Ints

Floats = NDArray[np.float64]

ROW = np.dtype(
    [
        ("series", np.int32), ("start", np.int64), ("end", np.int64), ("min", np.float64),
        ("max", np.float64), ("first", np.float64), ("last", np.float64), ("sum", np.float64),
        ("count", np.int64), ("complete", np.bool_),
    ]
)  # fmt: skip
"""Times are microseconds; `series` is a small int."""

_WAITING = 100_000  # rows


class Reduction:
    """Attributes:
    points: the greatest number of parts of one series.
    """

    def __init__(self, points: int) -> None:
        self.points = points
        self._waiting: list[NDArray[np.void]] = []
        self._count = 0

    def add(self, rows: NDArray[np.void]) -> None:
        """Take rows of the type `ROW`, of one series in the order of time."""
        self._waiting.append(rows)
        self._count += len(rows)
        if self._count > _WAITING:
            self._waiting = [reduced(np.concatenate(self._waiting), self.points)]
            self._count = len(self._waiting[0])

    def add_records(self, series: NDArray[np.int32], time: Ints, number: Floats) -> None:
        """Take single records."""
        rows = np.zeros(len(time), ROW)
        rows["series"], rows["start"], rows["end"] = series, time, time
        for name in ("min", "max", "first", "last", "sum"):
            rows[name] = number
        rows["count"], rows["complete"] = 1, True
        self.add(rows)

    def table(self, series: list[tuple[str, str]], windows: bool) -> pa.Table:
        """The points in the columns of `ports.question.Page`, by series and time.

        Args:
            series: topic and field by the small ints of the rows.
            windows: whether they are of windows.
        """
        rows = reduced(np.concatenate(self._waiting or [np.zeros(0, ROW)]), self.points)
        columns = {
            "topic": pa.array([series[code][0] for code in rows["series"].tolist()], pa.string()),
            "field": pa.array([series[code][1] for code in rows["series"].tolist()], pa.string()),
            **{name: pa.array(rows[name]) for name in ("start", "end")},
        }
        names = ["min", "max", "first", "last"]
        if windows:
            columns |= {name: pa.array(rows[name]) for name in ("complete", "count")}
            with np.errstate(invalid="ignore", over="ignore"):
                average = rows["sum"] / np.maximum(rows["count"], 1)
                columns["avg"] = pa.array(np.clip(average, rows["min"], rows["max"]))
            columns["late"] = pa.array(np.zeros(len(rows), np.bool_))
        return pa.table(columns | {name: pa.array(rows[name]) for name in names})


def reduced(rows: NDArray[np.void], points: int) -> NDArray[np.void]:
    """One row for each series and part of the time that the rows reach over."""
    if not len(rows):
        return rows
    start = rows["start"]
    part = start // _width(int(start.min()), int(start.max()), points)
    order = np.lexsort((start, part, rows["series"]))
    rows, part = rows[order], part[order]
    begins = np.ones(len(rows), np.bool_)
    begins[1:] = (part[1:] != part[:-1]) | (rows["series"][1:] != rows["series"][:-1])
    firsts = np.flatnonzero(begins)
    found = rows[firsts]
    found["last"] = rows["last"][np.append(firsts[1:], len(rows)) - 1]
    with np.errstate(invalid="ignore", over="ignore"):  # a sum may leave float64: it is inf
        for name, reduce in (
            ("end", np.maximum), ("min", np.minimum), ("max", np.maximum), ("sum", np.add),
            ("count", np.add), ("complete", np.logical_and),
        ):  # fmt: skip
            found[name] = reduce.reduceat(rows[name], firsts)
    return found


def _width(first: int, last: int, points: int) -> int:
    """The least power of two of which `points` parts reach from the first time to the last."""
    width = 1
    while last // width - first // width >= points:
        width *= 2
    return width
