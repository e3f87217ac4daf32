"""Reduces what a function of windows answers to points: increases and rates of counters, shares.

windows ──pages──> start, end, value ──equal parts of the range──> min, max, first, last of each

A function such as `rate` depends on the windows as they are, so they are read as answers have them,
and reduced here.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lakebed.kinds import KINDS
from lakebed.kinds.tables import NUMERIC
from lakebed.ports.question import LARGEST_LIMIT, Page, Question
from lakebed.ports.series import SeriesReader
from lakebed.vocabulary.errors import BadRequest
from lakebed.vocabulary.policy import Policy

MOST_WINDOWS = 500_000
"""Windows that one answer reduces: some seconds of work."""

_NO_NUMBERS = {"top", "mode", "durations"}
_OF_TEXTS = {"count", "unique"}  # functions of texts that are numbers
_KEY = ("topic", "field", "part")


def plotted(policy: Policy) -> tuple[str, ...]:
    """The functions of a policy whose values are numbers, in its order."""
    if KINDS[policy.keep].answers != "windows":
        return ()
    if policy.type in NUMERIC:
        return tuple(name for name in policy.functions if name not in _NO_NUMBERS)
    return tuple(name for name in policy.functions if name in _OF_TEXTS)


def read(series: SeriesReader, question: Question) -> Page:
    """One row for each topic, field and part of the range that has windows.

    Args:
        question: its range has both ends, and it names a function that is `plotted`.

    Raises:
        BadRequest: there are more than MOST_WINDOWS windows.
        StoreUnavailable: the store does not answer.
    """
    assert question.start is not None
    assert question.end is not None
    policy = replace(question.policy, functions=(question.function,))
    asked = replace(question, policy=policy, points=0, order="asc", limit=LARGEST_LIMIT)
    rows = pa.concat_tables(_pages(series, asked), promote_options="default")
    values = rows[question.function].cast(pa.float64()).to_numpy()
    width = max(1, -(-(question.end - question.start) // question.points))
    part = (rows["start"].to_numpy() - question.start) // width
    rows = rows.select(["topic", "field", "start", "end", "complete", "count", "late"])
    rows = rows.append_column("part", pa.array(part)).append_column("value", pa.array(values))
    rows = rows.filter(pa.array(np.isfinite(values)))  # of one value alone there is no rate
    order = [*((name, "ascending") for name in _KEY), ("start", "ascending")]
    found = _reduced(rows.sort_by(order))
    if question.descending:
        found = found.sort_by([("topic", "ascending"), ("field", "ascending"),
                               ("start", "descending")])  # fmt: skip
    if len(found) > LARGEST_LIMIT:
        what = f"it makes more than {LARGEST_LIMIT:,} rows: ask for fewer points or fewer topics"
        raise BadRequest("points", what)
    return Page(question, found, None)


def _pages(series: SeriesReader, question: Question) -> Iterator[pa.Table]:
    seen, cursor = 0, ""
    while True:
        page = series.read(replace(question, cursor=cursor))
        seen += len(page.rows)
        if seen > MOST_WINDOWS:
            what = f"{MOST_WINDOWS:,} windows at most are reduced to points: ask for a shorter time"
            raise BadRequest("points", what)
        yield page.rows
        if page.next_cursor is None:
            return
        cursor = page.next_cursor


def _reduced(rows: pa.Table) -> pa.Table:
    """The rows of each topic, field and part as one; they lie together, in order of time."""
    begins = np.flatnonzero(_changes(rows))
    ends = np.append(begins[1:], len(rows))[: len(begins)] - 1
    values, at = rows["value"].to_numpy(), pa.array(begins)
    columns = {name: rows[name].take(at) for name in ("topic", "field", "start")}
    columns["end"] = rows["end"].take(pa.array(ends))
    columns["complete"] = pa.array(_over(np.minimum, rows["complete"].to_numpy(), begins))
    columns["count"] = pa.array(_over(np.add, rows["count"].to_numpy(), begins))
    columns["min"] = pa.array(_over(np.minimum, values, begins))
    columns["max"] = pa.array(_over(np.maximum, values, begins))
    columns["first"], columns["last"] = pa.array(values[begins]), pa.array(values[ends])
    columns["late"] = pa.array(_over(np.maximum, rows["late"].to_numpy(), begins))
    return pa.table(columns)


def _changes(rows: pa.Table) -> NDArray[np.bool_]:
    """bool[n], whether a row begins another topic, field or part."""
    changes = np.zeros(len(rows), np.bool_)
    changes[:1] = True
    for name in _KEY:
        codes = rows[name].combine_chunks().dictionary_encode().indices.to_numpy()
        changes[1:] |= np.diff(codes) != 0
    return changes


def _over(function: np.ufunc, values: NDArray, begins: NDArray[np.intp]) -> NDArray:  # type: ignore[type-arg]
    return function.reduceat(values, begins) if len(begins) else values[:0]
