"""Computes windows aligned to local time, as arrays of microseconds UTC.

Both rules divide all time into windows without gaps or overlaps:

* Windows of up to an hour follow each other from the full local hour on. When clocks are set back,
  the repeated hour has windows of its own. A change of the UTC offset that shifts the grid (half an
  hour on Lord Howe Island) ends the window in which it falls.
* Longer windows begin when the local time first reaches a multiple of `every` since midnight, or
  jumps past it; weeks the midnight of a Monday, months and years that of their first day. So a day
  has 23, 24 or 25 hours, and the window in which clocks change is longer or shorter by the same
  amount.

    zone ──scan 1970 to 2100, once──> changes[m], offsets[m+1] ──searchsorted──> bounds of n times
"""

import zoneinfo
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

import numpy as np

from lakebed.vocabulary.messages import Ints
from lakebed.vocabulary.times import (
    DAY,
    HOUR,
    LATEST,
    SECOND,
    Micros,
    to_datetime,
)
from lakebed.vocabulary.widths import MONTH, WEEK

# the zone database holds no two changes that undo each other within less than a week
_STEP = 3 * DAY


class Alignment:
    """Begins and ends of windows of one width in one time zone."""

    def __init__(self, every: Micros, timezone: str) -> None:
        """
        Args:
            every: one that `check_width` takes.
            timezone: IANA name.
        """
        self._every = every
        self._zone = _zone(timezone)
        self._grid = _grid(self._zone, every) if every <= HOUR else None
        self._recent: tuple[Micros, Micros] = (0, 0)  # a window that was found

    def bounds(self, times: Ints) -> tuple[Ints, Ints]:
        """The window [start, end) of each time.

        Args:
            times: int64[n], microseconds UTC.

        Returns:
            start and end, int64[n] each, with start <= time < end.
        """
        if self._grid is not None:
            return self._on_grid(self._grid, times)
        if not len(self._zone.changes) and self._every % MONTH:
            offset = self._zone.offsets[0]
            start = _begin(times + offset, self._every) - offset
            return start, start + self._every
        if not len(times):
            return times, times
        # what comes at the same time is mostly in one window, and that of what came before
        first, end = self._recent
        if first <= times.min() and times.max() < end:
            return np.full(len(times), first), np.full(len(times), end)
        starts, ends = self._on_wall(times)
        self._recent = int(starts[-1]), int(ends[-1])
        return starts, ends

    def _on_grid(self, grid: "_Zone", times: Ints) -> tuple[Ints, Ints]:
        if not len(grid.changes):
            start = _floor(times - grid.offsets[0], self._every) + grid.offsets[0]
            return start, start + self._every
        index = np.searchsorted(grid.changes, times, side="right")
        phase = grid.offsets[index]
        start = _floor(times - phase, self._every) + phase
        end = start + self._every
        # a change of the grid is the end of one window and the start of the next
        start = np.maximum(start, np.append(np.iinfo(np.int64).min, grid.changes)[index])
        end = np.minimum(end, np.append(grid.changes, np.iinfo(np.int64).max)[index])
        return start, end

    def _on_wall(self, times: Ints) -> tuple[Ints, Ints]:
        zone, every = self._zone, self._every
        index = np.searchsorted(zone.changes, times, side="right")
        shown = _begin(times + zone.offsets[index], every)
        following = _following(shown, every)
        start, end = zone.reaches(shown), zone.reaches(following)
        # a clock that is set back past the begin of a window does not return to the one before
        while (passed := end <= times).any():
            shown = np.where(passed, following, shown)
            following = _following(shown, every)
            start = np.where(passed, end, start)
            end = np.where(passed, zone.reaches(following), end)
        return start, end


@dataclass(frozen=True, slots=True)
class _Zone:
    """A step function of time: the UTC offset of a zone, or the phase of a grid.

    Attributes:
        changes: int64[m], instants of the steps (microseconds UTC), ascending.
        offsets: int64[m+1], the value before the first change, between two, and after the last.
        furthest: int64[m], the latest local time reached by each change.
    """

    changes: Ints
    offsets: Ints
    furthest: Ints

    def reaches(self, shown: Ints) -> Ints:
        """int64[n], the first instant at which the local time is this one or a later one."""
        index = np.searchsorted(self.furthest, shown, side="right")
        earliest: Ints = np.append(np.iinfo(np.int64).min, self.changes)[index]
        instants: Ints = np.maximum(shown - self.offsets[index], earliest)
        return instants


def _floor(times: Ints, every: Micros) -> Ints:
    floor: Ints = times - np.mod(times, every)
    return floor


_MONDAY: Micros = 4 * DAY  # 1970-01-05


def _begin(shown: Ints, every: Micros) -> Ints:
    """int64[n], the local time at which windows begin that are longer than an hour."""
    if every % MONTH == 0:
        months = shown.astype("datetime64[us]").astype("datetime64[M]").astype(np.int64)
        return _first_of(_floor(months, every // MONTH))
    if every == WEEK:
        return _floor(shown - _MONDAY, WEEK) + _MONDAY
    return _floor(shown, every)


def _following(begin: Ints, every: Micros) -> Ints:
    """int64[n], the local time at which the windows behind those that begin so begin."""
    if every % MONTH == 0:
        months = begin.astype("datetime64[us]").astype("datetime64[M]").astype(np.int64)
        return _first_of(months + every // MONTH)
    return begin + every


def _first_of(months: Ints) -> Ints:
    """int64[n], local midnight of the first day of months that are counted from 1970 on."""
    first: Ints = months.astype("datetime64[M]").astype("datetime64[us]").astype(np.int64)
    return first


def _zone_of(changes: list[Micros], offsets: list[Micros]) -> _Zone:
    instants, values = np.array(changes, np.int64), np.array(offsets, np.int64)
    return _Zone(instants, values, np.maximum.accumulate(instants + values[:-1]))


@lru_cache(64)
def _zone(timezone: str) -> _Zone:
    """The UTC offsets of a zone; before 1970 and after 2100 the nearest offset is used."""
    zone = zoneinfo.ZoneInfo(timezone)
    changes: list[Micros] = []
    offsets = [_offset(zone, 0)]
    for before in range(0, LATEST, _STEP):
        after = min(before + _STEP, LATEST)
        while _offset(zone, after) != offsets[-1]:
            changes.append(_first_change(zone, max(before, changes[-1] if changes else 0), after))
            offsets.append(_offset(zone, changes[-1]))
    return _zone_of(changes, offsets)


def _first_change(zone: zoneinfo.ZoneInfo, before: Micros, after: Micros) -> Micros:
    """The first second whose offset differs from that of `before`."""
    same = _offset(zone, before)
    while after - before > SECOND:
        middle = (before + after) // (2 * SECOND) * SECOND
        if _offset(zone, middle) == same:
            before = middle
        else:
            after = middle
    return after


def _offset(zone: zoneinfo.ZoneInfo, micros: Micros) -> Micros:
    offset = datetime.astimezone(to_datetime(micros), zone).utcoffset()
    assert offset is not None
    return offset // timedelta(microseconds=1)


def _grid(zone: _Zone, every: Micros) -> _Zone:
    """The phase of the grid of windows and its changes; most zones have none."""
    phases = np.mod(-zone.offsets, every)
    shifts = phases[1:] != phases[:-1]
    return _zone_of(zone.changes[shifts].tolist(), [int(phases[0]), *phases[1:][shifts].tolist()])
