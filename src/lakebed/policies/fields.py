"""Validates single values of a policy document.

Every function takes a decoded value of JSON or YAML, and returns the valid value, or raises
ValueError with a sentence that says what is wrong and what is allowed. None means "not given".
"""

import difflib
import math
import re
import zoneinfo
from collections.abc import Callable, Collection, Iterable

from lakebed.vocabulary.errors import show
from lakebed.vocabulary.pointers import parse_pointer
from lakebed.vocabulary.sizes import parse_size
from lakebed.vocabulary.times import (
    DAY,
    SECOND,
    Micros,
    format_duration,
    parse_duration,
)
from lakebed.vocabulary.topics import check_filter
from lakebed.vocabulary.widths import parse_width

LONGEST: Micros = 3653 * DAY
"""The longest retention: ten years with their leap days."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_FIELD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}\Z")
_LARGEST = 2**40  # bytes


def listed(words: Iterable[str]) -> str:
    """`a, b or c`."""
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last


def suggest(word: str, known: Collection[str]) -> str:
    """The known word that is most similar, or else all known words."""
    near = difflib.get_close_matches(word.casefold()[:80], known, 1, 0.7)
    return f"did you mean {near[0]}?" if near else f"allowed are {listed(known)}"


def is_text(value: object, what: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, int, float)):
        raise ValueError(f'{what} is text: put {value} into quotes ("{value}")')
    raise ValueError(f"{what} is text, not {show(value)}")


def one_of(value: object, what: str, allowed: Collection[str]) -> str:
    text = is_text(value, what)
    if text not in allowed:
        raise ValueError(f"{show(text)} is no {what}: {suggest(text, allowed)}")
    return text


def name(value: object) -> str:
    text = is_text(value, "a name")
    if not _NAME.match(text):
        raise ValueError(
            f"{show(text)} is not a name: 1 to 64 letters, digits, dots, underscores or hyphens, "
            "the first a letter or digit"
        )
    return text


def field_name(value: object) -> str:
    text = is_text(value, "the name of a field")
    if not _FIELD.match(text):
        raise ValueError(
            f"{show(text)} is no name of a field: 1 to 64 letters, digits, dots, underscores or "
            "hyphens, the first a letter, digit or underscore"
        )
    return text


def topic_filter(value: object) -> str:
    text = is_text(value, "a topic filter")
    check_filter(text)
    return text


def pointer(value: object) -> str:
    text = is_text(value, "a JSON pointer")
    parse_pointer(text)
    return text


def duration(value: object) -> Micros:
    """Parse a duration such as `15m`; a number without a unit means seconds."""
    return parse_duration(value, bare=SECOND)


def duration_within(value: object, least: Micros, most: Micros) -> Micros:
    micros = duration(value)
    if not least <= micros <= most:
        raise ValueError(
            f"{show(value)} is outside of what is allowed: "
            f"{format_duration(least)} to {format_duration(most)}"
        )
    return micros


def width(value: object) -> Micros:
    """Parse the width of a window; whether one can be so wide is told by `check_width`."""
    return parse_width(value, bare=SECOND)


def whole(value: object, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{show(value)} is not a whole number from {least} to {most}")
    return value


def finite(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{show(value)} is not a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{show(value)} is not a finite number within float64")
    return number


def size(value: object) -> int:
    if not isinstance(value, (int, str)) or isinstance(value, bool) or len(str(value)[:50]) > 40:
        raise ValueError(f"{show(value)} is not a size such as 64KiB, 10MiB or 2GiB")
    number = parse_size(value)
    if not 1 <= number <= _LARGEST:
        raise ValueError(f"{show(value)} is outside of what is allowed: 1 byte to 1TiB")
    return number


def timezone(value: object) -> str:
    text = is_text(value, "a time zone")
    try:
        zoneinfo.ZoneInfo(text)  # cached there
    except (KeyError, ValueError, OSError):  # OSError: the name of a folder, such as Europe
        hint = difflib.get_close_matches(text[:80], zoneinfo.available_timezones(), 1)
        also = f" Did you mean {hint[0]}?" if hint else ""
        raise ValueError(
            f"{show(text)} is not a time zone: write an IANA name such as Europe/Berlin.{also}"
        ) from None
    return text


def bounds_of_slice(value: object) -> tuple[int | None, int | None]:
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise ValueError("a slice is two positions in brackets, such as [0, 20] or [null, 5]")
    start, stop = (None if end is None else whole(end, -(2**31), 2**31) for end in value)
    return start, stop


def flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"write true or false, not {show(value)}")
    return value


def several(what: str, most: int) -> Callable[[object], object]:
    """A check that a value is a list of 1 to `most` different things."""

    def check(value: object) -> object:
        if not isinstance(value, (list, tuple)):
            raise ValueError(f"write a list of {what} in brackets, even for a single one")
        if not 1 <= len(value) <= most:
            raise ValueError(f"a list of 1 to {most} {what}, not of {len(value)}")
        seen: set[str] = set()
        for item in value:
            text = f"{type(item).__name__} {item!r}"
            if text in seen:
                raise ValueError(f"{show(item)} is listed twice")
            seen.add(text)
        return list(value)

    return check
