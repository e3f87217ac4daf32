"""Limits: how much an owner or a unit may send, keep and have, as a document.

    {"messages": "30/1s,600/1m", "bytes": "1MiB/1s", "stored": "10GiB", "units": 100,
     "policies": 1000, "boards": 50, "topics": 10000, "over": "slow", "cut_for": "1h"}

    defaults of the instance ──merged with──> document of the owner or unit ──> Limits in force

A field that a document has replaces that of the defaults; null takes the limit away.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from lakebed.vocabulary.errors import Invalid, Problem, show
from lakebed.vocabulary.sizes import parse_size
from lakebed.vocabulary.times import DAY, SECOND, Micros, format_duration, parse_duration

MOST_INTERVALS = 8
"""Intervals of one limit, so that a decision takes a bounded time."""

_LONGEST = 31 * DAY  # the longest interval; what was sent is not remembered for longer
_SHORTEST = SECOND // 100
_MOST = 2**53  # the largest number that a float counts exactly


class Over(StrEnum):
    """What happens to messages over a limit of `messages` or `bytes`."""

    SLOW = "slow"
    REFUSE = "refuse"
    PARK = "park"
    CUT = "cut"


class Rate(NamedTuple):
    """At most `amount` messages or bytes in `interval` microseconds."""

    amount: int
    interval: Micros

    def __str__(self) -> str:
        return f"{self.amount}/{format_duration(self.interval)}"


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits in force for one owner or unit; None where there is no limit.

    Attributes:
        messages, bytes: intervals, which all hold at once; bytes are those of payloads.
        stored: bytes that policies keep.
        units, policies, boards, topics: the number of each.
        cut_for: how long a unit stays blocked that was cut; None until it is unblocked.
    """

    messages: tuple[Rate, ...] | None = None
    bytes: tuple[Rate, ...] | None = None
    stored: int | None = None
    units: int | None = None
    policies: int | None = None
    boards: int | None = None
    topics: int | None = None
    over: Over = Over.SLOW
    cut_for: Micros | None = None

    @property
    def rated(self) -> bool:
        """Whether messages or bytes are limited."""
        return self.messages is not None or self.bytes is not None


NO_LIMITS = Limits()

PARKED = "parked"
"""The decision recorded with a message that is over a limit and kept by no policy. Its value is the
uuid of the unit that sent it, or "" where no unit did."""

RELEASED = "released"
"""The decision recorded with the copy of a parked message that is to be kept after all. Its value
says where and when it was parked: `PARTITION:OFFSET:RECEIVED`, of its stretch, in microseconds."""

OF_OWNERS = frozenset(("stored", "units", "policies", "boards", "topics"))
"""Fields that only the document of an owner has."""

Document = Mapping[str, Any]


def parse(document: object, where: str = "limits", *, unit: bool = False) -> dict[str, Any]:
    """Check a document; return its fields as `Limits` has them.

    Args:
        where: the path of the document in what it is part of.
        unit: whether it is the document of a unit.

    Raises:
        Invalid: names every mistake.
    """
    if not isinstance(document, Mapping):
        raise Invalid(Problem(where, f'write an object such as {{"messages": "30/1s"}}, not'
                                     f" {show(document)}"))  # fmt: skip
    found: dict[str, Any] = {}
    problems = []
    for name, value in document.items():
        try:
            found[name] = _field(name, value, unit)
        except ValueError as error:
            problems.append(Problem(f"{where}.{name}", str(error)))
    if problems:
        raise Invalid(*problems)
    return found


def merge(*documents: Mapping[str, Any]) -> Limits:
    """The limits in force; of parsed documents, later ones win field by field."""
    fields: dict[str, Any] = {}
    for document in documents:
        fields.update(document)
    if fields.get("over", Over.SLOW) is None:
        del fields["over"]
    return Limits(**fields)


def to_document(limits: Limits) -> dict[str, Any]:
    """The document of limits in force, without fields that limit nothing."""
    shown: dict[str, Any] = {}
    for name in ("messages", "bytes"):
        if (rates := getattr(limits, name)) is not None:
            shown[name] = ",".join(map(str, rates))
    for name in ("stored", "units", "policies", "boards", "topics"):
        if (value := getattr(limits, name)) is not None:
            shown[name] = value
    shown["over"] = str(limits.over)
    if limits.cut_for is not None:
        shown["cut_for"] = format_duration(limits.cut_for)
    return shown


def _field(name: str, value: object, unit: bool) -> object:
    read = _FIELDS.get(name)
    if read is None or (unit and name in OF_OWNERS):
        known = [field for field in _FIELDS if not (unit and field in OF_OWNERS)]
        of = " of a unit" if unit and name in OF_OWNERS else ""
        raise ValueError(f"there is no such limit{of}: only {', '.join(known)}")
    return None if value is None else read(value)


def _rates(amount: Callable[[str], int], example: str) -> Callable[[object], tuple[Rate, ...]]:
    def read(value: object) -> tuple[Rate, ...]:
        if not isinstance(value, str) or not value.strip():
            raise ValueError(f"write amounts and their intervals such as {example!r}")
        found = [_rate(part.strip(), amount, example) for part in value.split(",")]
        if len(found) > MOST_INTERVALS:
            raise ValueError(f"it has {len(found)} intervals; at most {MOST_INTERVALS} are allowed")
        if len({rate.interval for rate in found}) < len(found):
            raise ValueError("it names an interval twice")
        return tuple(sorted(found, key=lambda rate: rate.interval))

    return read


def _rate(text: str, amount: Callable[[str], int], example: str) -> Rate:
    count, slash, interval = text.partition("/")
    if not slash:
        raise ValueError(f"{text!r} has no interval: write {example!r}")
    found = Rate(amount(count.strip()), parse_duration(interval.strip()))
    if not 1 <= found.amount <= _MOST:
        raise ValueError(f"{text!r}: the amount is at least 1, and at most 2^53")
    if not _SHORTEST <= found.interval <= _LONGEST:
        raise ValueError(f"{text!r}: an interval is at least 10ms and at most 31d")
    return found


def _count(value: object) -> int:
    text = str(value).strip()
    if isinstance(value, (bool, float)) or not (text.isascii() and text.isdigit()):
        raise ValueError(f"{show(value)} is not a whole number, 0 or more")
    found = int(text[:20])
    if found > _MOST:
        raise ValueError(f"{show(value)} is too large")
    return found


def _over(value: object) -> Over:
    try:
        return Over(value)  # type: ignore[arg-type]  # what is no text is refused as well
    except ValueError:
        raise ValueError(f"{show(value)} is none of {', '.join(Over)}") from None


def _cut_for(value: object) -> Micros:
    found = parse_duration(value)
    if found < 1:
        raise ValueError("it is longer than 0")
    return found


_FIELDS: dict[str, Callable[[object], object]] = {
    "messages": _rates(_count, "30/1s,600/1m"),
    "bytes": _rates(parse_size, "1MiB/1s"),
    "stored": parse_size,
    "units": _count,
    "policies": _count,
    "boards": _count,
    "topics": _count,
    "over": _over,
    "cut_for": _cut_for,
}
