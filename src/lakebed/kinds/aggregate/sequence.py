"""Values of a window in the order of event time, for functions that depend on it.

    arrival ──> recent: the newest, in order ──oldest half, when full──> settled: summed up
                    └── a value that is older than what was settled is left out

So the answer does not depend on the order of arrival, as long as a value comes before
`CAPACITY // 2` newer ones of its window have; a window of fewer than `CAPACITY` values takes them
in any order. What is settled, and when, depends on the values alone, not on how they were divided
into calls: a replay gives the same.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lakebed.vocabulary.messages import Ints
from lakebed.vocabulary.times import SECOND, Micros

CAPACITY = 256
"""Values of a window that wait for others which may belong before them."""

ALL = 64
"""A row holds all values of a window if it has no more, so that late ones find their place."""

MOST_TURNS = 512
"""Points of a window at which a counter fell or rose again that are kept one by one."""

MOST_STATES = 100
"""Different texts of a window whose durations are told apart."""

SCALE = 2.0**-40
"""Areas are scaled by it, so that those of numbers near the end of float64 stay within."""

_Values = NDArray[Any]


class TimeOrder(ABC):
    """The values of one window.

    Attributes:
        times, values: the recent ones, ordered by time, and by arrival where it is the same.
        horizon: the time of the newest that is settled; None while none is.
    """

    dtype: Any

    def __init__(self) -> None:
        self.times: Ints = np.zeros(0, np.int64)
        self.values: _Values = np.zeros(0, self.dtype)
        self.horizon: Micros | None = None

    def add(self, times: Ints, values: _Values) -> None:
        """Take values in the order of their arrival."""
        while len(times):
            if self.horizon is not None and times.min() < self.horizon:
                in_time = times >= self.horizon
                times, values = times[in_time], values[in_time]
            room = CAPACITY - len(self.times)
            self._insert(times[:room], values[:room])
            times, values = times[room:], values[room:]
            if len(self.times) == CAPACITY:
                half = CAPACITY // 2
                self._settle(self.times[:half], self.values[:half])
                self.horizon = int(self.times[half - 1])
                self.times, self.values = self.times[half:], self.values[half:]

    def _insert(self, times: Ints, values: _Values) -> None:
        times, values = np.append(self.times, times), np.append(self.values, values)
        if np.any(times[1:] < times[:-1]):
            order = np.argsort(times, kind="stable")
            times, values = times[order], values[order]
        self.times, self.values = times, values

    @property
    def has_all(self) -> bool:
        """Whether a row holds all of the values."""
        return self.horizon is None and len(self.times) <= ALL

    @abstractmethod
    def _settle(self, times: Ints, values: _Values) -> None:
        """Sum up values that are the next in order."""


def rise(before: _Values, after: _Values, bits: int | None) -> _Values:
    """How much a counter grew between pairs of neighbours.

    A counter that fell began again at zero, unless it is known to have a number of bits, and to
    have passed its end is the shorter way.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        grown = after - before
        fell = grown < 0
        if fell.any():
            again = after
            if bits is not None:
                around = grown + 2.0**bits
                again = np.where(around < 2.0 ** (bits - 1), around, after)
            grown = np.where(fell, again, grown)
    return np.asarray(grown)


def turns(values: _Values) -> NDArray[np.bool_]:
    """bool[n], the first and the last value, and those around each fall: the rest adds nothing."""
    falls = values[1:] < values[:-1]
    edge = np.append(True, falls) | np.append(falls, True)
    edge[-1:] = True
    return np.asarray(edge)


class NumberOrder(TimeOrder):
    """Attributes:
    grown: what a counter grew by more than the turns tell, because some were dropped.
    area: of the settled values, each times the seconds until the next, scaled.
    """

    dtype = np.float64

    def __init__(self, bits: int | None) -> None:
        super().__init__()
        self._bits = bits
        self._times: Ints = np.zeros(0, np.int64)  # turns of what is settled
        self._values: _Values = np.zeros(0, np.float64)
        self.grown = 0.0
        self.area = 0.0

    def _settle(self, times: Ints, values: _Values) -> None:
        self.area += area(np.append(self._times[-1:], times), np.append(self._values[-1:], values))
        self._times, self._values = np.append(self._times, times), np.append(self._values, values)
        kept = turns(self._values)
        self._times, self._values = self._times[kept], self._values[kept]
        if len(self._times) > MOST_TURNS:
            self._drop_turns()

    def _drop_turns(self) -> None:
        """Drop the oldest turns behind the first, and keep what they add up to."""
        values, last = self._values, len(self._values) - MOST_TURNS // 2
        passed = rise(values[:last], values[1 : last + 1], self._bits).sum()
        self.grown += float(passed - rise(values[:1], values[last : last + 1], self._bits)[0])
        self._times = np.append(self._times[:1], self._times[last:])
        self._values = np.append(values[:1], values[last:])

    def piece(self) -> tuple[Ints, _Values, float, float]:
        """All values or their turns, what was dropped of these, and the area from first to last."""
        whole = self.area + area(
            np.append(self._times[-1:], self.times), np.append(self._values[-1:], self.values)
        )
        times, values = np.append(self._times, self.times), np.append(self._values, self.values)
        if not self.has_all:
            kept = turns(values)
            times, values = times[kept], values[kept]
        return times, values, self.grown, whole

    def to_state(self) -> Any:
        arrays = (self.times, self.values, self._times, self._values)
        return [*(one.tobytes() for one in arrays), self.horizon, self.grown, self.area]

    @classmethod
    def from_state(cls, state: Sequence[Any], bits: int | None) -> "NumberOrder":
        order = cls(bits)
        times, values, turned, levels, order.horizon, order.grown, order.area = state
        order.times, order._times = (np.frombuffer(one, np.int64) for one in (times, turned))
        order.values, order._values = (np.frombuffer(one, np.float64) for one in (values, levels))
        return order


def area(times: Ints, values: _Values) -> float:
    """Each value times the seconds until the next, scaled."""
    return float(np.dot(values[:-1] * SCALE, np.diff(times) / SECOND))


class TextOrder(TimeOrder):
    """Attributes:
    first: the time and text of the first value, if it is settled.
    spans: microseconds of each text until the next; of those beyond `MOST_STATES` under None.
    """

    dtype = np.object_

    def __init__(self) -> None:
        super().__init__()
        self.first: tuple[Micros, str] | None = None
        self._last: tuple[Micros, str] | None = None
        self.spans: dict[str | None, Micros] = {}

    def _settle(self, times: Ints, values: _Values) -> None:
        if self.first is None:
            self.first = int(times[0]), values[0]
        self._pass(self.spans, times, values)
        self._last = int(times[-1]), values[-1]

    def _pass(self, spans: dict[str | None, Micros], times: Ints, values: _Values) -> None:
        points = list(zip(times.tolist(), values.tolist(), strict=True))
        add_spans(spans, points if self._last is None else [self._last, *points])

    def piece(self) -> tuple[list[Micros], list[str], dict[str | None, Micros]]:
        """Times and texts of all values or of the first and the last, and the spans between."""
        spans = dict(self.spans)
        self._pass(spans, self.times, self.values)
        if self.has_all:
            return self.times.tolist(), self.values.tolist(), spans
        recent = list(zip(self.times.tolist(), self.values.tolist(), strict=True))
        points = [point for point in (self.first, self._last, *recent) if point is not None]
        times, texts = zip(points[0], points[-1], strict=True)
        return list(times), list(texts), spans

    def to_state(self) -> Any:
        return [
            self.times.tobytes(), self.values.tolist(), self.horizon, self.first, self._last,
            list(self.spans.items()),
        ]  # fmt: skip

    @classmethod
    def from_state(cls, state: Sequence[Any]) -> "TextOrder":
        order = cls()
        times, values, order.horizon, first, last, spans = state
        order.times = np.frombuffer(times, np.int64)
        order.values = np.array(values, np.object_)
        order.first = None if first is None else tuple(first)
        order._last = None if last is None else tuple(last)
        order.spans = dict(spans)
        return order


def add_spans(spans: dict[str | None, Micros], points: Sequence[tuple[Micros, str]]) -> None:
    """Add how long each text held until the next; where there are too many, to all others."""
    for (begin, text), (end, _) in pairwise(points):
        known = text in spans or len(spans) - (None in spans) < MOST_STATES
        key = text if known else None
        spans[key] = spans.get(key, 0) + end - begin
