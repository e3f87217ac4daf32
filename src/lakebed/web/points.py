"""The points of a plot, as few as it has columns of pixels, in binary.

    u32 length ── JSON: who and what, n of each series, gaps ── u32 ticks[n], f32 values[n or 3 n] …

A month of ten million records is 10 to 20 kB. Two points stand for a column: the extremes of its
records at the times of the first and the last, in the order in which the line rises or falls. So up
to two records of a column are where they were, and no extreme is missing. NaN stands in a gap.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import numpy as np
from fastapi import APIRouter, Query
from fastapi.responses import Response
from numpy.typing import NDArray

from lakebed.access.actions import Action
from lakebed.api.callers import Caller, InOwner
from lakebed.api.requests import ServicesDep
from lakebed.api.routes.parked import gaps
from lakebed.api.routes.reading import RecordsQuery, question_of
from lakebed.ports.question import LARGEST_LIMIT, Page
from lakebed.queries import reading
from lakebed.vocabulary.time_parsing import from_rfc3339

if TYPE_CHECKING:
    import pyarrow as pa  # a gateway starts without it

router = APIRouter(include_in_schema=False)

MOST_COLUMNS = 4_000
"""Columns of a plot: those of the widest screen."""

MEDIA_TYPE = "application/vnd.lakebed.points"

_MILLISECOND = 1_000  # microseconds
_TICKS = 2**32 - 1
_SPARSE = 5.0
"""A gap is so many times as long as half of the distances between neighbours."""

Micros64 = NDArray[np.int64]
Floats = NDArray[np.float64]


@router.get("/points")
def points(
    services: ServicesDep,
    caller: Annotated[Caller, InOwner(Action.RECORDS_READ)],
    topic: Annotated[list[str], Query(min_length=1)],
    field: Annotated[list[str] | None, Query()] = None,
    columns: Annotated[int, Query(ge=1, le=MOST_COLUMNS)] = 1_000,
    policy: str | None = None,
    function: str = "",
    start: Annotated[str | None, Query(alias="from")] = None,
    end: Annotated[str | None, Query(alias="to")] = None,
) -> Response:
    """What a policy kept of some topics, for a plot."""
    columns = min(columns, LARGEST_LIMIT // len(topic))
    asked = {"topic": topic, "policy": policy, "from": start, "to": end, "points": columns}
    asked |= {"field": field or [], "function": function}
    question = question_of(services, caller, RecordsQuery.model_validate(asked))
    page = reading.read(services.series, services.catalog, question)
    missing = gaps(services, caller.owner, question.topics, question.start, question.end)
    body = encode(page, missing)
    services.sent(
        "page",
        caller.owner,
        caller.label,
        topic[0],
        question.policy.name,
        len(page.rows),
        len(body),
    )
    return Response(body, media_type=MEDIA_TYPE, headers={"Cache-Control": "no-store"})


def encode(page: Page, gaps: Sequence[Mapping[str, str]] = ()) -> bytes:
    """A page of points, in the form that the module's head draws."""
    rows = page.rows
    bands = "avg" in rows.column_names
    first = int(rows["start"].to_numpy().min()) if len(rows) else 0
    last = int(rows["end"].to_numpy().max()) if len(rows) else 0
    step = max(1, -(-(last - first) // (_TICKS * _MILLISECOND)))  # milliseconds to a tick
    series, blocks = [], []
    for topic, part in _by_series(rows):
        times, values = _band(part) if bands else _line(part)
        base = _base(values)
        newest = float(part["avg" if bands else "last"][-1].as_py())
        about: dict[str, Any] = {"topic": topic, "n": len(times), "base": base}
        about["last"] = newest if math.isfinite(newest) else None
        series.append(about | _marks(part))
        blocks.append(np.rint((times - first) / (_MILLISECOND * step)).astype("<u4").tobytes())
        blocks.append((values - base).astype("<f4").tobytes())
    question = page.question
    head = {
        "policy": question.policy.name,
        "keep": question.policy.keep,
        "function": question.function,
        "form": "band" if bands else "line",
        "from": first / _MILLISECOND,
        "to": last / _MILLISECOND,
        "step": step,
        "series": series,
        "gaps": [
            [from_rfc3339(one["from"]) // 1000, from_rfc3339(one["to"]) // 1000, one["reason"]]
            for one in gaps
        ],
    }
    text = msgspec.json.encode(head)
    text += b" " * (-len(text) % 4)  # what follows is aligned
    return len(text).to_bytes(4, "little") + text + b"".join(blocks)


def series_of(topic: str, field: str) -> str:
    """The name of a curve."""
    return f"{topic} · {field}" if field else topic


def _by_series(rows: "pa.Table") -> Iterator[tuple[str, "pa.Table"]]:
    """The rows of each topic and field, which lie together, with the name of their curve."""
    changes = np.zeros(max(len(rows) - 1, 0), np.bool_)
    for name in ("topic", "field"):
        codes = rows[name].combine_chunks().dictionary_encode()
        changes |= np.diff(codes.indices.to_numpy()) != 0 if len(rows) else changes
    edges = [0, *(np.flatnonzero(changes) + 1).tolist(), len(rows)] if len(rows) else []
    for begin, end in pairwise(edges):
        name = series_of(*(rows[key][begin].as_py() for key in ("topic", "field")))
        yield name, rows.slice(begin, end - begin)


def _columns(part: "pa.Table", *names: str) -> list[Any]:
    return [part[name].to_numpy() for name in names]


def _line(part: "pa.Table") -> tuple[Micros64, Floats]:
    """One point or two of each row, and one of NaN in each gap."""
    start, end, low, high, first, last = _columns(
        part, "start", "end", "min", "max", "first", "last"
    )
    rises = last >= first
    values = np.stack([np.where(rises, low, high), np.where(rises, high, low)], axis=1)
    times = np.stack([start, end], axis=1)
    wanted = np.ones(values.shape, np.bool_)
    wanted[:, 1] = (start != end) | (low != high)
    behind = np.flatnonzero(_gaps(start, end))
    # the gap behind row i stands behind those of its points that are wanted
    places = wanted.reshape(-1).cumsum()[behind * 2 + 1]
    middle = (end[behind] + start[behind + 1]) // 2
    return (
        np.insert(times[wanted], places, middle),
        np.insert(values[wanted], places, np.nan),
    )


def _band(part: "pa.Table") -> tuple[Micros64, Floats]:
    """float64[3, n]: least, greatest and average in the middle of each row; NaN in gaps."""
    start, end = _columns(part, "start", "end")
    values = np.stack(_columns(part, "min", "max", "avg")).astype(np.float64)
    values[~np.isfinite(values)] = np.nan
    behind = np.flatnonzero(_gaps(start, end))
    middle = (end[behind] + start[behind + 1]) // 2
    times = np.insert((start + end) // 2, behind + 1, middle)
    return times, np.insert(values, behind + 1, np.nan, axis=1)


def _gaps(start: Micros64, end: Micros64) -> NDArray[np.bool_]:
    """bool[n - 1], whether there is a gap behind each row but the last."""
    if len(start) < 3:
        return np.zeros(max(len(start) - 1, 0), np.bool_)
    between = start[1:] - end[:-1]
    usual = float(np.median(between))
    longest = float(np.median(end - start))  # what is shorter than a column cannot be seen
    found: NDArray[np.bool_] = between > max(_SPARSE * usual, 1.5 * longest, _MILLISECOND)
    return found


def _base(values: Floats) -> float:
    """What is taken off the values, so that 32 bits say how they differ."""
    finite = values[np.isfinite(values)]
    base = float(finite.min()) if len(finite) else 0.0
    return base if math.isfinite(base) else 0.0


def _marks(part: "pa.Table") -> dict[str, Any]:
    """What is to be marked of windows, as pairs of epoch milliseconds."""
    if "complete" not in part.column_names:
        return {}
    start, end, complete, late = _columns(part, "start", "end", "complete", "late")
    spans = np.stack([start, end], axis=1) // _MILLISECOND
    return {
        "late": spans[late.astype(np.bool_)].tolist(),
        "open": spans[~complete.astype(np.bool_)].tolist(),
    }
