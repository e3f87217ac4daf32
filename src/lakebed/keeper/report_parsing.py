"""Reads what units report of themselves: their state, and entries of their log."""

from collections.abc import Iterator
from typing import Any

import msgspec

from lakebed.ports.accounts.units import UnitLog
from lakebed.vocabulary.time_parsing import SENT_TIMES, parse_time
from lakebed.vocabulary.times import Micros

LONGEST_STATE = 64 * 2**10
"""Bytes of one state."""

LONGEST_TEXT = 4096
"""Characters of one entry of a log; a longer one is cut."""

MOST_ENTRIES = 1000
"""Entries of one message."""

_LONGEST_LEVEL = 32  # characters


class BadReport(ValueError):
    """A report, or an entry of it, that cannot be kept; says why."""


class _Entry(msgspec.Struct):
    level: str
    text: str
    time: str | int | float | None = None
    create_datetime: str | int | float | None = None  # as Pepeunit's devices call it


def check_state(payload: bytes) -> None:
    """Raises:
    BadReport: it is no JSON, or too long.
    """
    if len(payload) > LONGEST_STATE:
        raise BadReport(f"a state of {len(payload)} bytes; {LONGEST_STATE} are kept at most")
    try:
        msgspec.json.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadReport(f"a state is JSON: {error}") from None


def read_log(
    unit: str, payload: bytes, received: Micros
) -> Iterator[tuple[int, UnitLog | BadReport]]:
    """Read `{"level", "text", "time"?}` or a list; each entry with its place, good or bad.

    A bad entry takes no other along. Entries without a time have that of their message.
    """
    try:
        found = msgspec.json.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        yield 0, BadReport(f"an entry of a log is JSON: {error}")
        return
    entries = found if isinstance(found, list) else [found]
    for place, entry in enumerate(entries[:MOST_ENTRIES]):
        try:
            yield place, _entry(unit, entry, received)
        except BadReport as bad:
            yield place, bad
    if len(entries) > MOST_ENTRIES:
        yield MOST_ENTRIES, BadReport(f"a list of {len(entries)}; {MOST_ENTRIES} are kept")


def _entry(unit: str, entry: Any, received: Micros) -> UnitLog:
    try:
        one = msgspec.convert(entry, _Entry)
    except msgspec.ValidationError as error:
        raise BadReport(f"an entry of a log: {error}") from None
    given = one.create_datetime if one.time is None else one.time
    moment = received
    if given is not None:
        try:
            moment = parse_time(given, SENT_TIMES)
        except ValueError as error:
            raise BadReport(f"the time of an entry: {error}") from None
    level = one.level.strip()
    if not 0 < len(level) <= _LONGEST_LEVEL or not level.isprintable():
        raise BadReport(f"a level has 1 to {_LONGEST_LEVEL} characters that can be seen")
    return UnitLog(unit, moment, level, one.text[:LONGEST_TEXT])
