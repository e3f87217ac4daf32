"""Queries a page of one topic in several ranges of time, one after the other.

Tables are partitioned by time, and each part that a query reads costs more than the rows of a page.
So the first query covers only the time in which the page probably lies. The density of its rows
gives the length of the next range, and the last range has no end.

    begin ├── 1 ──┼───── 2 ─────┼───────────────── 3 ─────────────────> end
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass

import pyarrow as pa

from lakebed.ports.question import Question
from lakebed.vocabulary.times import SECOND, Micros

_MINUTE, _DAY = 60 * SECOND, 86_400 * SECOND
_ROW: Micros = 15 * SECOND
"""The assumed distance between rows, for the first range."""
_MOST = 3
"""Number of ranges with an end; the range behind them has none."""
_SPARE = 2.0
"""Factor by which a range is longer than the density of the rows so far suggests."""
_NOTHING_SEEN = 24
"""Factor by which the covered time grows where there were no rows so far."""

Range = tuple[Micros | None, Micros | None]
"""A half-open range of time. None adds no bound to those of the question."""


@dataclass(frozen=True, slots=True)
class Reach:
    """The first and last moment at which rows may be, in the question's direction of time."""

    begin: Micros
    end: Micros
    falling: bool


def reach(
    question: Question, key: Micros | None, oldest: Micros | None, now: Micros
) -> Reach | None:
    """The moments between which a question's rows lie; None if the first is unknown.

    Args:
        key: the time at which the page before ended.
        oldest: about the time of the oldest row.
    """
    if question.descending:
        known = [moment for moment in (question.end, key) if moment is not None]
        # rows later than the clock are in the first range, which has no bound on that side
        return Reach(min([now, *known]), max(question.start or 0, oldest or 0), falling=True)
    known = [moment for moment in (question.start, key, oldest) if moment is not None]
    if question.policy.span is not None:
        known.append(now - question.policy.span)
    if not known:
        return None
    return Reach(max(known), min(question.end or now + _DAY, now + _DAY), falling=False)


def gather(reached: Reach | None, wanted: int, ask: Callable[[Range, int], pa.Table]) -> pa.Table:
    """The first `wanted` rows in order, or all rows if there are fewer.

    Args:
        ask: returns the rows of a range in order, up to a number.
    """
    if reached is None:
        return ask((None, None), wanted)
    found: list[pa.Table] = []
    have = 0
    ranges = _ranges(reached, wanted)
    current = next(ranges)
    while True:
        rows = ask(current, wanted - have)
        found.append(rows)
        have += len(rows)
        if have >= wanted or current[0 if reached.falling else 1] is None:
            return pa.concat_tables(found)
        current = ranges.send(have)


def _ranges(reached: Reach, wanted: int) -> Generator[Range, int, None]:
    """Yield the ranges; `send` takes the number of rows found so far."""
    length = min(max(wanted * _ROW, _MINUTE), 30 * _DAY)
    sign = -1 if reached.falling else 1
    before: Micros | None = None
    edge = reached.begin
    for _ in range(_MOST):
        edge += sign * length
        if sign * (edge - reached.end) >= 0:
            break
        have = yield _between(before, edge, reached.falling)
        before = edge
        covered = abs(edge - reached.begin)
        further = (wanted - have) / have * _SPARE if have else _NOTHING_SEEN
        length = max(int(covered * further), _MINUTE)
    yield _between(before, None, reached.falling)


def _between(near: Micros | None, far: Micros | None, falling: bool) -> Range:
    return (far, near) if falling else (near, far)
