"""Widths of windows: `15m`, `24h`, `7d`, `1mo`, `1y`.

A width is a number of microseconds like every duration. Months and years differ in length, so
theirs are mean lengths of the Gregorian calendar, which no other width equals: 400 years have
146,097 days, a month 30.436875 of them. `windows.Alignment` counts them by the calendar.
"""

import re
from functools import lru_cache

from lakebed.vocabulary.times import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    Micros,
    format_duration,
    parse_duration,
)

WEEK: Micros = 7 * DAY
MONTH: Micros = 2_629_746 * SECOND
YEAR: Micros = 12 * MONTH

_CALENDAR = re.compile(r"(\d{1,6})\s*(mo|y)\Z", re.ASCII)
_MONTHS = (1, 2, 3, 4, 6, 12)  # those that divide a year


def parse_width(value: object, bare: Micros | None = None) -> Micros:
    """Parse a duration as `parse_duration` does, or a number of months or years: `3mo`, `1y`.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(value, str) and (match := _CALENDAR.match(value.strip())):
        number, unit = match.groups()
        return int(number) * (MONTH if unit == "mo" else YEAR)
    return parse_duration(value, bare)


def format_width(micros: Micros) -> str:
    """Write a width so that `parse_width` reads it: `15m`, `24h`, `7d`, `3mo`, `1y`."""
    if micros and micros % MONTH == 0:
        months = micros // MONTH
        return f"{months}mo" if months % 12 else f"{months // 12}y"
    return {DAY: "24h", WEEK: "7d"}.get(micros) or format_duration(micros)


def check_width(micros: Micros) -> Micros:
    """Return the width if windows of it have one natural place on the clock or in the calendar.

    Raises:
        ValueError: a sentence with the nearest allowed widths.
    """
    if micros in _widths():
        return micros
    shown = format_width(micros)
    if not SECOND <= micros <= YEAR:
        raise ValueError(f"a window of {shown} is outside of 1s to 1y")
    unit = next(unit for unit in (HOUR, MINUTE, SECOND, 1) if micros % unit == 0)
    widths = [width for width in _widths() if width % unit == 0 or width % HOUR == 0]
    widths = sorted({*widths, *(count * MONTH for count in _MONTHS)})
    below = format_width(max(width for width in widths if width < micros))
    above = format_width(min(width for width in widths if width > micros))
    why = "divides neither an hour nor a day"
    if micros > DAY:
        why = "begins with no certain day of the calendar"
    raise ValueError(f"a window of {shown} {why}: the nearest that do are {below} and {above}")


@lru_cache(1)
def _widths() -> frozenset[Micros]:
    within_hour = {s * SECOND for s in range(1, 3601) if 3600 % s == 0}
    within_day = {h * HOUR for h in range(1, 25) if 24 % h == 0}
    return frozenset(within_hour | within_day | {WEEK} | {count * MONTH for count in _MONTHS})
