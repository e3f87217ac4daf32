"""A policy as the keeper and readers use it: parsed, validated, with defaults filled in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from lakebed.vocabulary.time_parsing import Unit
from lakebed.vocabulary.times import Micros

Type = Literal["number", "text", "json", "integer", "boolean"]

CHOSEN: Final = "value"
"""What windows answer with whose messages choose the function: its result."""

BY_MESSAGE: Final = ("sum", "avg", "min", "max", "count", "first", "last", "stddev")
"""Functions that messages may choose: they need no more than each window has."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Conditions on messages. A condition that is None (or an empty set) lets all pass.

    Attributes:
        max_rate: at least this much event time between two kept messages of a channel.
        unique: drop a value equal to the last kept one of its channel.
        min, max: inclusive bounds (numbers).
        allow, deny: the only values kept, values never kept (numbers or text).
        max_size: largest payload in bytes.
    """

    max_rate: Micros | None = None
    unique: bool = False
    min: float | None = None
    max: float | None = None
    allow: frozenset[float] | frozenset[str] | None = None
    deny: frozenset[float] | frozenset[str] | None = None
    max_size: int | None = None


@dataclass(frozen=True, slots=True)
class Transform:
    """Applied to a value that passed the filter: x * scale + offset, rounded; a slice of a text."""

    scale: float = 1.0
    offset: float = 0.0
    round: int | None = None
    slice: tuple[int | None, int | None] | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy of one owner.

    Attributes:
        topics: MQTT filters; every concrete topic that matches one is a series of its own.
        type: the type of a value, after `at` has selected it.
        keep: the name of its kind.
        at, time_at: JSON pointers (RFC 6901) to the value and to the event time, or None.
        fields: name and JSON pointer of each of several values of a message, each of which is a
            series of its own; empty where a message has one value.
        split: JSON pointer to an array whose elements are taken apart; the other pointers begin at
            an element then. None where there is none.
        around: `with` in the document: what is kept of what surrounds a message; see
            `vocabulary.surroundings`.
        time_unit: what numbers at `time_at` count.
        time_zone: IANA name of the zone of texts at `time_at` that have none.
        time_else: what becomes of a message without a time at `time_at`: it is dropped, or has the
            time that it would have without `time_at`.
        encoding: how bytes become the value; see `policies.preparing`.
        strip: whether blanks and NULs around a text go.
        map: what stands for a text, in order of the texts.
        decimal: the decimal mark of numbers that are texts.
        span: `for` in the document: how long rows are kept; None for ever.
        every: width of an aggregate's window, or the least time between two writes (last_value).
        count: N of last_n.
        buffer: least time between two writes to the series; 0 to write as soon as possible.
        functions: the functions that an aggregate answers with, in order.
        function_at: JSON pointer to the name of the function that a message asks for; each of
            `BY_MESSAGE` that it may name is a field then, and the only function is `CHOSEN`.
        function_else: the function of messages that name none; None: these are dead letters.
        timezone: IANA name of the time zone to whose hours and days windows are aligned.
        active_from, active_until: half-open range of event time in which it applies; None is open.
        future: how far ahead of its arrival an event time may lie; None for as far as the instance
            allows.
        options: values of the keys that only its kind has, by key.
    """

    owner: str
    name: str
    topics: tuple[str, ...]
    type: Type
    keep: str
    version: int = 0
    at: str | None = None
    time_at: str | None = None
    fields: tuple[tuple[str, str], ...] = ()
    split: str | None = None
    around: tuple[str, ...] = ()
    time_unit: Unit = "auto"
    time_zone: str = "UTC"
    time_else: Literal["refuse", "received"] = "refuse"
    encoding: str = "utf-8"
    strip: bool = False
    map: tuple[tuple[str, float | str], ...] = ()
    decimal: str = "."
    span: Micros | None = None
    every: Micros | None = None
    count: int | None = None
    buffer: Micros = 0
    functions: tuple[str, ...] = ()
    function_at: str | None = None
    function_else: str | None = None
    timezone: str = "UTC"
    active_from: Micros | None = None
    active_until: Micros | None = None
    future: Micros | None = None
    filter: Filter = Filter()
    transform: Transform = Transform()
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def field_names(self) -> tuple[str, ...]:
        """The names of its fields; one that is empty where a message has one value."""
        return tuple(name for name, _ in self.fields) or ("",)
