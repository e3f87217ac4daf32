"""Time as Lakebed counts it: whole microseconds since the Unix epoch, in UTC.

One integer type goes through batches, stores and cursors; text and `datetime` exist at the edges.
"""

import re
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from lakebed.vocabulary.errors import Invalid, Problem

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
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\Z", re.ASCII)
_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)\Z", re.ASCII
)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(us|ms|s|m|h|d|w)\Z", re.ASCII)
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
        raise ValueError(f"{text!r} is not an RFC 3339 time such as 2026-01-31T12:00:00Z")
    date, clock, fraction, zone = match.groups()
    zone = "+00:00" if zone in "Zz" else zone
    try:
        whole = from_datetime(datetime.fromisoformat(f"{date}T{clock}{zone}"))
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text!r} is not an RFC 3339 time: {error}") from None
    micros = whole + (int(fraction.ljust(6, "0")[:6]) if fraction else 0)
    if not _FIRST <= micros <= _LAST:  # the offset can lead out of them
        raise ValueError(f"{text!r} lies outside of the years 1 to 9999 in UTC")
    return micros


def from_epoch(seconds: float) -> Micros:
    """Epoch seconds, whole or with a fraction, rounded to the microsecond.

    Raises:
        ValueError: not finite, or beyond what an int64 of microseconds can hold.
    """
    if not -9e12 < seconds < 9e12:  # also refuses NaN
        raise ValueError(f"{seconds!r} is not a time in epoch seconds")
    if isinstance(seconds, int):
        return seconds * SECOND
    return round(seconds * SECOND)


def parse_time(value: object) -> Micros:
    """A time as people and JSON write it: epoch seconds (a number, or its text) or RFC 3339.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(value, bool):
        raise ValueError("true and false are not times")
    if isinstance(value, (int, float)):
        return from_epoch(value)
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone: write Z or an offset")
        return from_datetime(value)
    if isinstance(value, str):
        return from_epoch(float(value)) if _NUMBER.match(value) else from_rfc3339(value)
    raise ValueError("a time is epoch seconds or RFC 3339 text")


def parse_duration(text: str) -> Micros:
    """`250ms`, `10s`, `15m`, `1.5h`, `7d`, `2w`.

    Raises:
        ValueError: not a number with one of these units, or beyond int64.
    """
    match = _DURATION.match(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a duration such as 10s, 15m, 24h or 7d")
    number, unit = match.groups()
    micros = round(Decimal(number) * _UNITS[unit])
    if micros > _LONGEST:
        raise ValueError("a duration is at most 292,000 years")
    return micros


def format_duration(micros: Micros) -> str:
    """The shortest way to write it exactly: `90s`, `15m`, `1d`."""
    for unit in ("w", "d", "h", "m", "s", "ms"):
        if micros and micros % _UNITS[unit] == 0:
            return f"{micros // _UNITS[unit]}{unit}"
    return f"{micros}us" if micros else "0s"


def check_clock(micros: Micros) -> None:
    """Refuse to start on an absurd clock: before this program existed, or after 2100.

    Raises:
        Invalid: says what the clock shows.
    """
    if not from_rfc3339("2026-01-01T00:00:00Z") <= micros < LATEST:
        raise Invalid(Problem("clock", f"it shows {to_rfc3339(micros)}: set it before starting"))
