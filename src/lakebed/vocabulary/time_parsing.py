"""Reads every time that a person, a program or a device gives, as microseconds.

    policies, questions, command line ── YEARS ────────────────┐
    a deletion ── deletable(now, limits.future) ───────────────┤
    a sender, beside the message ── SENT_TIMES ────────────────┼──> parse_time ──> microseconds
    a payload, by `time_at` ── EVENT_TIMES, as the policy says ┘              or what was meant

Numbers count from 1970 in seconds, milli-, micro- or nanoseconds, told apart by their size. Texts
are RFC 3339 and what devices write instead of it. `from_epochs` reads a column of numbers as
`parse_time` reads each of them.
"""

import re
import zoneinfo
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

from lakebed.vocabulary.errors import show
from lakebed.vocabulary.times import (
    FIRST,
    LAST,
    LATEST,
    SECOND,
    Micros,
    from_datetime,
    is_number,
    to_rfc3339,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Unit = Literal["auto", "s", "ms", "us", "ns"]
UNITS: tuple[Unit, ...] = ("auto", "s", "ms", "us", "ns")


class Bounds(NamedTuple):
    """Which times are allowed, and how they are read.

    Attributes:
        first, last: both allowed.
        what: completes the sentence "… is not".
        unit: what numbers count; `auto` tells it by their size.
        zone: IANA name of the zone of texts without one; None refuses them.
        days: whether 20260921, which reads as a day, may count seconds and lie in 1970.
    """

    first: Micros
    last: Micros
    what: str
    unit: Unit = "auto"
    zone: str | None = None
    days: bool = False


YEARS = Bounds(FIRST, LAST, "a time of the years 1 to 9999")
"""What RFC 3339 can write: for questions and documents."""

SENT_TIMES = Bounds(
    0, LATEST - 1, "a time of the years 1970 to 2099, where events lie", zone="UTC", days=True
)
"""For event times that senders give beside their messages. No policy keeps what lies beyond."""

_FARTHEST = 9 * 10**18  # microseconds to either side of 1970 that fit an int64

EVENT_TIMES = Bounds(
    1 - _FARTHEST, _FARTHEST - 1, "a time that 64 bits can count", zone="UTC", days=True
)
"""For event times in payloads. Policies, beside the receive time, decide which are absurd."""


def deletable(clock: Micros, future: Micros) -> Bounds:
    """For the ends of a deletion: from 1970 to as far ahead as an event time may lie.

    Numbers count seconds there: what must not be misread is not guessed.

    Args:
        clock: the time now.
        future: the setting `limits.future`.
    """
    last = clock + future
    what = (
        f"a time from 1970-01-01T00:00:00Z to {to_rfc3339(last)}, where events may lie: "
        "to delete without an end on this side, leave it out"
    )
    return Bounds(0, last, what, unit="s")


class Implausible(ValueError):
    """A valid time that is probably not what was meant."""


def parse_time(value: object, allowed: Bounds = YEARS) -> Micros:
    """A time as people, devices and JSON write it: a number since 1970 (or its text), or a text.

    Rounded to the microsecond.

    Raises:
        Implausible: it lies out of bounds, or looks like something else than what it counts.
        ValueError: it is no time.
    """
    if isinstance(value, str):
        micros = _from_text(value, allowed)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        micros = _from_number(value, allowed.unit)
    else:
        raise ValueError(
            f"{show(value)} is not a time: write a number of seconds since 1970 or RFC 3339 text"
        )
    return in_bounds(micros, value, allowed)


def in_bounds(micros: Micros, given: object, allowed: Bounds = YEARS) -> Micros:
    """The same time.

    Args:
        given: what it was read from.

    Raises:
        Implausible: it lies out of bounds, or was read from what looks like something else.
    """
    if not allowed.first <= micros <= allowed.last:
        raise _out_of_bounds(given, allowed)
    if not allowed.days and (day := _day(given, micros)):
        raise Implausible(f"{given} looks like a day: write {day}T00:00:00Z")
    return micros


# --- numbers --------------------------------------------------------------------------------------

_BEYOND: Micros = 2**63
_NEXT: dict[Unit, int] = {"s": 10**11, "ms": 10**14, "us": 10**17}
"""From where on a number counts the next smaller unit. 10**11 seconds lie in the year 5138,
10**11 milliseconds in 1973, and so on."""
_PARTS: dict[Unit, int] = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}  # of a second
_Whole = TypeVar("_Whole", int, "NDArray[np.int64]")


def _unit_of(size: float | Decimal) -> Unit:
    """What a number of this size counts."""
    return next((unit for unit, least in _NEXT.items() if size < least), "ns")


def _from_number(number: int | float | Decimal, unit: Unit) -> Micros:
    if isinstance(number, Decimal) and number.adjusted() > 30:
        return _BEYOND
    size: Any = abs(number)
    if not size < 10**30:  # NaN too
        return _BEYOND
    if unit == "auto":
        unit = _unit_of(size)
    if unit == "ns":
        return _thousandths(number) if isinstance(number, int) else round(number / 1000)
    return round(number * (SECOND // _PARTS[unit]))


def _thousandths(number: _Whole) -> _Whole:
    """Rounded to the nearest, halves up."""
    return (number + 500) // 1000


def from_epochs(numbers: Sequence[float], unit: Unit = "auto") -> "NDArray[np.int64] | None":
    """A column of numbers, all int or all float, each as `parse_time` reads it for `EVENT_TIMES`.

    Returns:
        int64[n] microseconds; None where one is no time, or where they do not count the same unit.
    """
    import numpy as np  # here, because the command line starts without it

    column = np.array(numbers)
    if column.dtype not in (np.int64, np.float64):  # integers beyond int64
        return None
    if not ((column > -_FARTHEST) & (column < _FARTHEST)).all():  # also refuses NaN
        return None
    size = np.abs(column)
    largest = float(size.max(initial=0))
    if unit == "auto":
        unit = _unit_of(largest)
        if unit != _unit_of(float(size.min(initial=largest))):
            return None
    elif largest >= _FARTHEST // SECOND * _PARTS[unit]:
        return None
    if unit == "ns":
        return _thousandths(column) if column.dtype == np.int64 else _rint(column / 1000)
    scaled = column * (SECOND // _PARTS[unit])
    return scaled if column.dtype == np.int64 else _rint(scaled)


def _rint(column: "NDArray[np.float64]") -> "NDArray[np.int64]":
    import numpy as np

    whole: NDArray[np.int64] = np.rint(column).astype(np.int64)
    return whole


# --- texts ----------------------------------------------------------------------------------------

_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d):(\d\d)(?:\.(\d{1,30}))?([Zz]|[+-]\d\d:\d\d)\Z",
    re.ASCII,
)
_WRITTEN = re.compile(
    r"(\d{4})(-?)(\d\d)\2(\d\d)(?:[Tt]| ) ?(\d\d)(:?)(\d\d)"
    r"(?:\6(\d\d)(?:[.,](\d{1,30}))?)? ?([Zz]|UTC|GMT|[+-]\d\d(?::?\d\d)?)?\Z",
    re.ASCII,
)
"""Beside RFC 3339: a comma for the point, no seconds, ISO 8601's basic form (20260131T120000Z),
+0100 and +01, UTC and GMT, a space before the zone, no zone."""


def from_rfc3339(text: str) -> Micros:
    """RFC 3339 section 5.6: a date, a time and an offset, all three.

    A leap second, `:60`, is the last microsecond of its minute.

    Raises:
        ValueError: it is not such a time, or lies outside the years 1 … 9999.
    """
    match = _RFC3339.match(text)
    if match is None:
        raise ValueError(_not_a_time(text))
    return _instant(text, *match.groups())


def _from_text(text: str, allowed: Bounds) -> Micros:
    if text[4:5] == "-" and (match := _RFC3339.match(text)):
        return _instant(text, *match.groups())
    if is_number(text):
        number = int(text) if _WHOLE.match(text) else Decimal(text)
        return _from_number(number, allowed.unit)
    match = _WRITTEN.match(text)
    if match is None:
        raise ValueError(_not_a_time(text))
    year, _, month, day, hour, _, minute, second, fraction, zone = match.groups()
    zone = zone or allowed.zone
    if zone is None:
        raise ValueError(_not_a_time(text))
    date, clock = f"{year}-{month}-{day}", f"{hour}:{minute}"
    return _instant(text, date, clock, second or "00", fraction, zone)


_WHOLE = re.compile(r"[+-]?\d+\Z", re.ASCII)


def _instant(
    text: str, date: str, clock: str, second: str, fraction: str | None, zone: str
) -> Micros:
    """
    Args:
        zone: an offset, Z, or the name of a zone. Of an hour that clocks repeat it is the first;
            what they skip is read as if they had not.
    """
    leap = second == "60"
    try:
        moment = datetime.fromisoformat(f"{date}T{clock}:{'59' if leap else second}{_offset(zone)}")
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zoneinfo.ZoneInfo(zone))
        micros = from_datetime(moment)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{show(text)} is not an RFC 3339 time: {error}") from None
    micros += SECOND - 1 if leap else _micros_in(fraction)
    if not FIRST <= micros <= LAST:  # the offset can lead out of them
        raise ValueError(f"{show(text)} lies outside of the years 1 to 9999 in UTC")
    return micros


def _offset(zone: str) -> str:
    """The offset as RFC 3339 writes it; empty for the name of a zone."""
    if zone in ("Z", "z", "UTC", "GMT"):
        return "+00:00"
    if zone[0] not in "+-":
        return ""
    digits = zone[1:].replace(":", "")
    return f"{zone[0]}{digits[:2]}:{digits[2:] or '00'}"


def _micros_in(fraction: str | None) -> Micros:
    if not fraction:
        return 0
    if len(fraction) <= 6:
        return int(fraction.ljust(6, "0"))
    return round(Decimal(f"0.{fraction[:20]}") * SECOND)


# --- without a year ------------------------------------------------------------------------------

_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_BSD = re.compile(
    r"([A-Z][a-z]{2}) {1,2}(\d{1,2}) (?:(\d{4}) )?(\d\d:\d\d):(\d\d)(?:\.(\d{1,30}))?\Z", re.ASCII
)
_HALF_A_YEAR = 183 * 86_400 * SECOND


def from_bsd(text: str, near: Micros, zone: str) -> Micros:
    """`Oct 11 22:14:15`, as RFC 3164 section 4.1.2 writes it; a year may stand before the clock.

    Args:
        near: without a year it is the year in which the time lies nearest to this one.
        zone: IANA name of the zone that it is in.

    Raises:
        ValueError: it is no such time.
    """
    match = _BSD.match(text)
    if match is None or match[1] not in _MONTHS:
        raise ValueError(f"{show(text)} is not a time such as Oct 11 22:14:15")
    name, day, given, clock, second, fraction = match.groups()
    month_and_day = f"{_MONTHS.index(name) + 1:02}-{int(day):02}"
    this = int(given or to_rfc3339(near)[:4])
    found: list[Micros] = []
    for year in (this,) if given else (this, this - 1, this + 1):
        try:
            found.append(
                _instant(text, f"{year:04}-{month_and_day}", clock, second, fraction, zone)
            )
        except ValueError:  # a leap day in another year
            continue
        if abs(found[-1] - near) < _HALF_A_YEAR:
            break
    if not found:
        raise ValueError(f"{show(text)} is not a time such as Oct 11 22:14:15")
    return min(found, key=lambda time: abs(time - near))


# --- suggestions in errors ------------------------------------------------------------------------

_COUNTED_IN = (("milliseconds", 10**3), ("microseconds", 10**6), ("nanoseconds", 10**9))
_DAYS = (1970_00_00 * SECOND, 2100_00_00 * SECOND)
_SINCE, _UNTIL = 946_684_800, 4_102_444_800  # the years 2000 to 2099


def _out_of_bounds(given: object, allowed: Bounds) -> Implausible:
    for unit, parts in _COUNTED_IN if is_number(given) and allowed.unit != "auto" else ():
        seconds = Decimal(str(given)) / parts
        if _SINCE <= seconds < _UNTIL:
            meant = to_rfc3339(int(seconds * SECOND))
            return Implausible(f"{given} looks like {unit}: give a time such as {meant}")
    return Implausible(f"{show(given)} is not {allowed.what}")


def _day(given: object, micros: Micros) -> str:
    """`2026-09-21` for 20260921, and nothing for what is no day of the years 1970 to 2099."""
    if not _DAYS[0] < micros < _DAYS[1] or not is_number(given) or micros % SECOND:
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
