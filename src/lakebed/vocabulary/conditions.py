"""Conditions on fields of events: `FIELD:OPERATOR:VALUE`, such as `user_id:eq:42`."""

import math
from typing import Final, NamedTuple

from lakebed.vocabulary.errors import show
from lakebed.vocabulary.event_fields import TIMES, Field, parse_field
from lakebed.vocabulary.time_parsing import parse_time
from lakebed.vocabulary.times import Micros

OPERATORS: Final = {
    "eq": "equal to the value",
    "ne": "there, and not equal to the value",
    "lt": "less than the value",
    "le": "at most the value",
    "gt": "greater than the value",
    "ge": "at least the value",
    "in": "equal to one of the values, which commas divide",
    "prefix": "a text that begins with the value",
    "contains": "a text with the value somewhere in it",
    "exists": "`true`: there, and not null; `false`: not there, or null",
}
"""All operators, and when a condition with one is true of a field: it is …"""

ORDERED: Final = ("lt", "le", "gt", "ge")
MOST_CONDITIONS = 20
MOST_VALUES = 1_000
"""Of `in`."""
_LONGEST = 10_000  # characters of a condition
_FORM = "it is FIELD:OPERATOR:VALUE, such as user_id:eq:42"


class Condition(NamedTuple):
    """Attributes:
    operator: one of `OPERATORS`.
    texts: the values as they were written; one, but for `in`.
    numbers: for each of them the number or (of `TIMES`) the moment in microseconds that it is;
        None where it is none. A field that is a number equals 42, whether it was written as 42
        or 42.0.
    """

    field: Field
    operator: str
    texts: tuple[str, ...]
    numbers: tuple[float | Micros | None, ...]


def parse_condition(text: str) -> Condition:
    """The condition that a text states.

    Raises:
        ValueError: a sentence that says what is wrong and what is allowed.
    """
    if len(text) > _LONGEST:
        raise ValueError(f"a condition is at most {_LONGEST} characters long")
    parts = text.split(":", 2)
    if len(parts) < 3:
        raise ValueError(f"{show(text)}: {_FORM}")
    name, operator, value = parts
    if operator not in OPERATORS:
        allowed = ", ".join(OPERATORS)
        raise ValueError(f"{show(text)}: there is no operator {show(operator)}: {allowed}")
    try:
        field = parse_field(name)
        return _condition(field, operator, value)
    except ValueError as error:
        raise ValueError(f"{show(text)}: {error}") from None


def _condition(field: Field, operator: str, value: str) -> Condition:
    if operator == "exists":
        if value not in ("true", "false"):
            raise ValueError("the value of exists is true or false")
        return Condition(field, operator, (value,), (None,))
    texts = tuple(value.split(",")) if operator == "in" else (value,)
    if len(texts) > MOST_VALUES:
        raise ValueError(f"in takes {MOST_VALUES} values at most")
    if field.name in TIMES and field.built_in:
        if operator not in (*ORDERED, "eq", "ne", "in"):
            raise ValueError(f"{field.name} is a time, and {operator} is of texts")
        return Condition(field, operator, texts, tuple(map(parse_time, texts)))
    numbers = tuple(map(_number, texts))
    if field == Field("lag") and None in numbers:
        raise ValueError("lag is a number of seconds")
    return Condition(field, operator, texts, numbers)


def _number(text: str) -> float | None:
    """The number that a text is in JSON's way; None if it is none."""
    if not text or text[0] not in "-0123456789":
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and "_" not in text else None
