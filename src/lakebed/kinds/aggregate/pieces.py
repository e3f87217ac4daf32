"""Answers of functions that depend on the order of values, out of a window's pieces.

A window has several pieces, one of each row, where late data opened it again or several partitions
had its messages. Those that have all of their values become one. Others mostly follow each other in
time; where two overlap, `increase` and `rate` have the turns of both in order, and
`time_weighted_avg` and `durations` leave out the one with fewer values.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lakebed.kinds.aggregate.sequence import MOST_TURNS, SCALE, add_spans, area, rise
from lakebed.vocabulary.times import SECOND, Micros

COUNTERS = ("increase", "rate", "delta")


@dataclass(frozen=True, slots=True)
class Span:
    """Attributes:
    start, end: of the window; `end` is None while it has not passed.
    """

    start: Micros
    end: Micros | None


@dataclass(frozen=True, slots=True)
class Piece:
    """What one row of a window knows.

    Attributes:
        moments, levels: times and values that tell, in order. The first may be the last one before
            the window.
        fragment: the row's; that of an earlier one is less.
        count: values of the row.
        grown, area: of numbers, see `sequence.NumberOrder`.
        states, spans: of texts, microseconds from the first to the last value by text; a last span
            without a text is of all others.
    """

    moments: Sequence[Micros]
    levels: Sequence[Any]
    fragment: int
    count: int
    grown: float = 0.0
    area: float = 0.0
    states: Sequence[str] = ()
    spans: Sequence[Micros] = ()


@dataclass(frozen=True, slots=True)
class _Inside:
    """A piece without what was before the window."""

    begin: Micros
    first: Any
    end: Micros
    last: Any
    piece: Piece


def _before(span: Span, pieces: Iterable[Piece]) -> tuple[Micros, Any] | None:
    """The latest value before the window that a piece knows, and its time."""
    known = [
        (one.moments[0], one.levels[0])
        for one in pieces
        if one.moments and one.moments[0] < span.start
    ]
    return max(known, key=lambda point: point[0], default=None)


def _inside(span: Span, pieces: Iterable[Piece]) -> list[_Inside]:
    """The pieces in order of time, without those that overlap one of more values."""
    found: list[_Inside] = []
    own = [_without_before(span, one) for one in pieces]
    whole = [one for one in own if len(one.moments) == one.count]
    if len(whole) > 1:
        own = [_joined(whole), *(one for one in own if len(one.moments) != one.count)]
    for one in sorted(own, key=lambda one: (-one.count, one.moments)):
        if not one.moments:
            continue
        new = _Inside(one.moments[0], one.levels[0], one.moments[-1], one.levels[-1], one)
        if all(new.end < other.begin or other.end < new.begin for other in found):
            found.append(new)
    return sorted(found, key=lambda one: one.begin)


def _without_before(span: Span, piece: Piece) -> Piece:
    if piece.moments and piece.moments[0] < span.start:
        return replace(piece, moments=piece.moments[1:], levels=piece.levels[1:])
    return piece


def _joined(pieces: Sequence[Piece]) -> Piece:
    """One piece of several that have all of their values."""
    points = sorted(
        (
            (moment, one.fragment, level)
            for one in pieces
            for moment, level in zip(one.moments, one.levels, strict=True)
        ),
        key=lambda point: point[:2],
    )
    moments, levels = [moment for moment, _, _ in points], [level for _, _, level in points]
    joined = Piece(moments, levels, pieces[0].fragment, len(points))
    if any(isinstance(level, str) for level in levels):
        spans: dict[str | None, Micros] = {}
        add_spans(spans, list(zip(moments, levels, strict=True)))
        others = spans.pop(None, 0)
        states = [text for text in spans if text is not None]
        return replace(joined, states=states, spans=[*spans.values(), others])
    return replace(joined, area=area(np.array(moments), np.array(levels, np.float64)))


def counters(
    span: Span, pieces: Sequence[Piece], bits: int | None
) -> tuple[float | None, float | None, float | None]:
    """`increase`, `rate` (per second) and `delta`; None where two values are needed."""
    points = sorted(
        (
            (moment, one.fragment, level)
            for one in pieces
            for moment, level in zip(one.moments, one.levels, strict=True)
            if moment >= span.start
        ),
        key=lambda point: point[:2],
    )
    before = _before(span, pieces)
    if before is not None:
        points.insert(0, (before[0], -1, before[1]))
    if len(points) < 2:
        return None, None, None
    levels = np.array([level for _, _, level in points], np.float64)
    with np.errstate(over="ignore"):  # beyond float64 it is inf, as a sum is
        increase = float(rise(levels[:-1], levels[1:], bits).sum()) + sum(p.grown for p in pieces)
        delta = float(levels[-1] - levels[0])
    seconds = (points[-1][0] - points[0][0]) / SECOND
    return increase, increase / seconds if seconds else None, delta


def time_weighted_avg(span: Span, pieces: Sequence[Piece]) -> float | None:
    """The average where each value holds until the next; the last until the end of the window."""
    inside = _inside(span, pieces)
    if not inside:
        return None
    before = _before(span, pieces)
    total = 0.0
    at, level = (inside[0].begin, inside[0].first) if before is None else (span.start, before[1])
    begin, least, most = at, level, level
    for one in inside:
        total += level * SCALE * (one.begin - at) / SECOND + one.piece.area
        at, level = one.end, one.last
        held = [one.first, *one.piece.levels]
        least, most = min(least, *held), max(most, *held)
    end = at if span.end is None else span.end
    total += level * SCALE * (end - at) / SECOND
    if end == begin:
        return float(level)
    average = total / ((end - begin) / SECOND) / SCALE
    if all(len(one.piece.moments) <= MOST_TURNS // 2 for one in inside):  # no turn was dropped
        average = min(max(average, least), most)
    return float(average)


def answers(
    span: Span, pieces: Sequence[Piece], functions: Iterable[str], bits: int | None
) -> dict[str, Any]:
    """Those of the functions that depend on the order of values."""
    asked = set(functions)
    found: dict[str, Any] = {}
    if asked & set(COUNTERS):
        found = dict(zip(COUNTERS, counters(span, pieces, bits), strict=True))
    if "time_weighted_avg" in asked:
        found["time_weighted_avg"] = time_weighted_avg(span, pieces)
    if "durations" in asked:
        found["durations"] = durations(span, pieces)
    return {name: value for name, value in found.items() if name in asked}


def durations(span: Span, pieces: Sequence[Piece]) -> list[dict[str, Any]]:
    """Seconds of each text until the next, the longest first; of all others under None, last."""
    spans: dict[str | None, Micros] = {}
    before = _before(span, pieces)
    held = None if before is None else (span.start, before[1])
    for one in _inside(span, pieces):
        if held is not None:
            spans[held[1]] = spans.get(held[1], 0) + one.begin - held[0]
        for text, span_ in zip([*one.piece.states, None], one.piece.spans, strict=True):
            spans[text] = spans.get(text, 0) + span_
        held = one.end, one.last
    if held is not None and span.end is not None:
        spans[held[1]] = spans.get(held[1], 0) + span.end - held[0]
    elif held is not None:
        spans.setdefault(held[1], 0)
    others = spans.pop(None, 0)
    ranked = sorted(spans.items(), key=lambda pair: (-pair[1], pair[0]))
    shown = [{"value": text, "seconds": length / SECOND} for text, length in ranked]
    return shown + ([{"value": None, "seconds": others / SECOND}] if others else [])
