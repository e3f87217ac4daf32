"""Time as Lakebed counts it: whole microseconds since the Unix epoch, in UTC.

One integer type goes through batches, stores and cursors; text and `datetime` exist at the edges.
Times that people and programs give are read by `time_parsing`.
"""

import re
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from lakebed.vocabulary.errors import Invalid, Problem, show

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

FIRST: Micros = -62_135_596_800 * SECOND
"""0001-01-01, where `datetime` and RFC 3339 begin."""

LAST: Micros = 253_402_300_800 * SECOND - 1
"""The end of 9999, where they end."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST: Micros = 1_767_225_600 * SECOND  # 2026-01-01
_LONGEST: Micros = 2**63 - 1
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\Z", re.ASCII)
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
    return _EPOCH + timedelta(microseconds=min(max(int(micros), FIRST), LAST))


def to_rfc3339(micros: Micros) -> str:
    """`2026-01-31T12:00:00Z`, with as many digits of a fraction as are needed (0, 3 or 6).

    Like `to_datetime`, outside of the years 1 … 9999 the nearest within.
    """
    moment = to_datetime(micros)
    fraction = moment.microsecond
    spec = "seconds" if not fraction else "microseconds" if fraction % 1000 else "milliseconds"
    return moment.replace(tzinfo=None).isoformat(timespec=spec) + "Z"


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
    if not isinstance(value, bool) and is_number(value):
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


def is_number(given: object) -> bool:
    """Whether it is a decimal number, or the text of one, of at most 30 characters."""
    text = str(given)
    return len(text) <= 30 and _NUMBER.match(text) is not None


def check_clock(micros: Micros) -> None:
    """Refuse to start with an implausible clock: before this program existed, or after 2100.

    Raises:
        Invalid: says what the clock shows.
    """
    if not _EARLIEST <= micros < LATEST:
        raise Invalid(Problem("clock", f"it shows {to_rfc3339(micros)}: set it before starting"))
