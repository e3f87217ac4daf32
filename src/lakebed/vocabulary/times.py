"""Time as Lakebed counts it: whole microseconds since the Unix epoch, in UTC.

One integer type goes through batches, stores and cursors; text and `datetime` exist at the edges.
There `parse_time` reads every time that a person or a program gives:

    policies, questions, command line ── YEARS ──────┐
    a deletion ── deletable(now, limits.future) ─────┼──> parse_time ──> microseconds
    a message ── EVENT_TIMES ─────────────────────────────┘         or what was probably meant

`from_epochs` reads a column of numbers as `parse_time` reads each of them.
"""

import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from lakebed.vocabulary.errors import Invalid, Problem, show

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Micros = int
"""An instant or a span, in microseconds."""

SECOND: Micros = 1_000_000
MINUTE: Micros = 60 * SECOND
HOUR: Micros = 60 * MINUTE
DAY: Micros = 24 * HOUR

UNSET: Micros = -(2**63)
"""Stands in int64 columns where the sender gave no event time."""

LATEST: Micros = 4_102_444_800 * SECOND
"""2100-01-01: no clock or event time may lie beyond."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST: Micros = -62_135_596_800 * SECOND  # 0001-01-01, where `datetime` and RFC 3339 begin
_LAST: Micros = 253_402_300_800 * SECOND - 1  # the end of 9999
_LONGEST: Micros = 2**63 - 1
_BEYOND: Micros = 2**63
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\Z", re.ASCII)
_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)\Z", re.ASCII
)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(us|ms|s|m|h|d|w)\Z", re.ASCII)
_DURATIONS = "a duration such as 10s, 15m, 24h or 7d"
_UNITS = {
    "us": 1, "ms": 1000, "s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY,
}  # fmt: skip


def now() -> Micros:
    """The wall clock."""
    return time.time_ns() // 1000


def from_datetime(moment: datetime) -> Micros:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def to_datetime(micros: Micros) -> datetime:
    """The instant in UTC; outside of the years 1 … 9999 the nearest within.

    Senders choose event times, and an absurd one must not break what shows it.
    """
    return _EPOCH + timedelta(microseconds=min(max(int(micros), _FIRST), _LAST))


def to_rfc3339(micros: Micros) -> str:
    """`2026-01-31T12:00:00Z`, with as many digits of a fraction as are needed (0, 3 or 6).

    Like `to_datetime`, outside of the years 1 … 9999 the nearest within.
    """
    moment = to_datetime(micros)
    fraction = moment.microsecond
    spec = "seconds" if not fraction else "microseconds" if fraction % 1000 else "milliseconds"
    return moment.replace(tzinfo=None).isoformat(timespec=spec) + "Z"


def from_rfc3339(text: str) -> Micros:
    """RFC 3339 section 5.6: a date, a time and an offset, all three.

    Raises:
        ValueError: it is not such a time, or lies outside the years 1 … 9999.
    """
    match = _RFC3339.match(text)
    if match is None:
        raise ValueError(_not_a_time(text))
    return _from_match(match)


class Bounds(NamedTuple):
    """Which times are allowed.

    Attributes:
        first, last: both allowed.
        days: whether 20260921, which reads as a day, may count seconds and lie in 1970.
        what: completes the sentence "… is not".
    """

    first: Micros
    last: Micros
    days: bool
    what: str


YEARS = Bounds(_FIRST, _LAST, False, "a time of the years 1 to 9999")
"""What RFC 3339 can write: for questions and documents."""

_FARTHEST = 9 * 10**12  # seconds to either side of 1970 that fit an int64 as microseconds

EVENT_TIMES = Bounds(
    1 - _FARTHEST * SECOND, _FARTHEST * SECOND - 1, True, "a time that 64 bits can count"
)
"""For event times. Policies, beside the receive time, decide which of them are absurd."""


def deletable(clock: Micros, future: Micros) -> Bounds:
    """For the ends of a deletion: from 1970 to as far ahead as an event time may lie.

    Args:
        clock: the time now.
        future: the setting `limits.future`.
    """
    last = clock + future
    what = (
        f"a time from 1970-01-01T00:00:00Z to {to_rfc3339(last)}, where events may lie: "
        "to delete without an end on this side, leave it out"
    )
    return Bounds(0, last, False, what)


class Implausible(ValueError):
    """A valid time that is probably not what was meant."""


def parse_time(value: object, allowed: Bounds = YEARS) -> Micros:
    """A time as people and JSON write it: epoch seconds (a number, or its text) or RFC 3339.

    Raises:
        Implausible: it lies out of bounds, or looks like something else than seconds.
        ValueError: it is no time.
    """
    if isinstance(value, str):
        micros = _from_text(value)
    elif isinstance(value, float):
        micros = _from_float(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        micros = value * SECOND
    else:
        raise ValueError(f"{show(value)} is not a time: write epoch seconds or RFC 3339 text")
    return in_bounds(micros, value, allowed)


def in_bounds(micros: Micros, given: object, allowed: Bounds = YEARS) -> Micros:
    """The same time.

    Args:
        given: what it was read from.

    Raises:
        Implausible: it lies out of bounds, or was read from what looks like something else.
    """
    first, last, days, _ = allowed
    if not first <= micros <= last:
        raise _out_of_bounds(given, allowed)
    if not days and (day := _day(given, micros)):
        raise Implausible(f"{given} looks like a day: write {day}T00:00:00Z")
    return micros


def from_epochs(seconds: Sequence[float]) -> "NDArray[np.int64] | None":
    """A column of numbers, all int or all float, each as `parse_time` reads it for `EVENT_TIMES`.

    Returns:
        int64[n] microseconds; None where one of them is no time.
    """
    import numpy as np  # here, because the command line starts without it

    column = np.array(seconds)
    if column.dtype not in (np.int64, np.float64):  # integers beyond int64
        return None
    if not ((column > -_FARTHEST) & (column < _FARTHEST)).all():  # also refuses NaN
        return None
    if column.dtype == np.int64:
        return column * SECOND
    micros: NDArray[np.int64] = np.rint(column * SECOND).astype(np.int64)
    return micros


def _from_text(text: str) -> Micros:
    if text[4:5] == "-" and (match := _RFC3339.match(text)):
        return _from_match(match)
    if _NUMBER.match(text):
        return _from_float(float(text))
    raise ValueError(_not_a_time(text))


def _from_float(seconds: float) -> Micros:
    """Rounded to the microsecond; NaN and what is near infinity lie out of all bounds."""
    return round(seconds * SECOND) if -1e300 < seconds < 1e300 else _BEYOND


def _from_match(match: "re.Match[str]") -> Micros:
    date, clock, fraction, zone = match.groups()
    zone = "+00:00" if zone in "Zz" else zone
    try:
        whole = from_datetime(datetime.fromisoformat(f"{date}T{clock}{zone}"))
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{match[0]!r} is not an RFC 3339 time: {error}") from None
    micros = whole + (int(fraction.ljust(6, "0")[:6]) if fraction else 0)
    if not _FIRST <= micros <= _LAST:  # the offset can lead out of them
        raise ValueError(f"{match[0]!r} lies outside of the years 1 to 9999 in UTC")
    return micros


# --- suggestions in errors ------------------------------------------------------------------------

_COUNTED_IN = (("milliseconds", 10**3), ("microseconds", 10**6), ("nanoseconds", 10**9))
_DAYS = (1970_00_00 * SECOND, 2100_00_00 * SECOND)
_SINCE, _UNTIL = 946_684_800, 4_102_444_800  # the years 2000 to 2099


def _out_of_bounds(given: object, allowed: Bounds) -> Implausible:
    for unit, parts in _COUNTED_IN if _is_number(given) else ():
        seconds = Decimal(str(given)) / parts
        if _SINCE <= seconds < _UNTIL:
            meant = to_rfc3339(int(seconds * SECOND))
            return Implausible(
                f"{given} looks like {unit}: give epoch seconds, or a time such as {meant}"
            )
    return Implausible(f"{show(given)} is not {allowed.what}")


def _is_number(given: object) -> bool:
    text = str(given)
    return len(text) <= 30 and _NUMBER.match(text) is not None


def _day(given: object, micros: Micros) -> str:
    """`2026-09-21` for 20260921, and nothing for what is no day of the years 1970 to 2099."""
    if not _DAYS[0] < micros < _DAYS[1] or not _is_number(given) or micros % SECOND:
        return ""
    text = str(micros // SECOND)
    day = f"{text[:4]}-{text[4:6]}-{text[6:]}"
    try:
        datetime.fromisoformat(day)
    except ValueError:
        return ""
    return day


def _not_a_time(text: str) -> str:
    what = f"{show(text)} is not an RFC 3339 time such as 2026-01-31T12:00:00Z"
    for end in ("Z", "T00:00:00Z"):
        if _RFC3339.match(text + end):
            return f"{what}: write {text}{end}"
    return what


# --- durations ------------------------------------------------------------------------------------


def parse_duration(value: object, bare: Micros | None = None) -> Micros:
    """`250ms`, `10s`, `15m`, `1.5h`, `7d`, `2w`.

    Args:
        bare: the unit of a number without one; None refuses such a number.

    Raises:
        ValueError: not a number with one of these units, or beyond int64.
    """
    if isinstance(value, str) and (match := _DURATION.match(value.strip())):
        number, unit = match.groups()
        return _span(Decimal(number) * _UNITS[unit])
    if not isinstance(value, bool) and _is_number(value):
        if bare is None:
            raise ValueError(f"{value!r} has no unit: write {_DURATIONS}")
        if not isinstance(value, str) and value >= 0:  # type: ignore[operator]  # a number
            return _span(Decimal(str(value)) * bare)
    raise ValueError(f"{show(value)} is not {_DURATIONS}")


def _span(micros: Decimal) -> Micros:
    if micros > _LONGEST:
        raise ValueError("a duration is at most 292,000 years")
    return round(micros)


def format_duration(micros: Micros) -> str:
    """The shortest way to write it exactly: `90s`, `15m`, `1d`."""
    for unit in ("w", "d", "h", "m", "s", "ms"):
        if micros and micros % _UNITS[unit] == 0:
            return f"{micros // _UNITS[unit]}{unit}"
    return f"{micros}us" if micros else "0s"


def check_clock(micros: Micros) -> None:
    """Refuse to start with an implausible clock: before this program existed, or after 2100.

    Raises:
        Invalid: says what the clock shows.
    """
    if not from_rfc3339("2026-01-01T00:00:00Z") <= micros < LATEST:
        raise Invalid(Problem("clock", f"it shows {to_rfc3339(micros)}: set it before starting"))
