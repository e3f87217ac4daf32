"""Parses whole numbers, which stay exact, and truth values.

Integers are int64 from the payload to the answer: a float64 between would round those beyond 2**53.
Truth values are 1 and 0 among numbers, so an average is the share of true.
"""

import math
from collections.abc import Iterable, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec
import numpy as np

from lakebed.policies.outcomes import Outcome
from lakebed.policies.values import NOT_JSON, Column, absence
from lakebed.vocabulary.pointers import Missing

LEAST, GREATEST = -(2**63), 2**63 - 1
_LONGEST = 400  # characters of a number as text: float64 ends before
_json_integers = msgspec.json.Decoder(list[int]).decode
_TRUTHS = {"true": 1.0, "1": 1.0, "false": 0.0, "0": 0.0}

Read = tuple[Any, int]
"""A value, undefined if it was not read, and its outcome."""


def read_integers(payloads: Sequence[bytes]) -> Column:
    """Decimal whole numbers within int64, with spaces around."""
    try:
        values = _json_integers(b"[%b]" % b",".join(payloads))
        if len(values) == len(payloads):
            return Column(np.zeros(len(values), np.uint8), np.array(values, np.int64))
    except (*NOT_JSON, OverflowError):
        pass
    return integers(map(_decoded, payloads))


def read_booleans(payloads: Sequence[bytes]) -> Column:
    """`true`, `false`, `1` and `0`, with spaces around."""
    return booleans(map(_decoded, payloads))


def integers(parts: Iterable[Any]) -> Column:
    """A column of JSON values: whole numbers, or strings that hold one."""
    found = [integer_of(part) for part in parts]
    values = np.array([value for value, _ in found], np.int64)
    return Column(np.array([outcome for _, outcome in found], np.uint8), values)


def booleans(parts: Iterable[Any]) -> Column:
    """A column of JSON values: true, false, 1, 0, or strings that hold one of them."""
    found = [boolean_of(part) for part in parts]
    values = np.array([value for value, _ in found], np.float64)
    return Column(np.array([outcome for _, outcome in found], np.uint8), values)


def integer_of(value: Any) -> Read:
    """A JSON number without a fraction, or a string that holds one."""
    if isinstance(value, str):
        return _integer_in(value)
    if isinstance(value, Missing):
        return 0, absence(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return 0, Outcome.NOT_AN_INTEGER
    if isinstance(value, float):
        if not math.isfinite(value):
            return 0, Outcome.OUT_OF_RANGE
        if not value.is_integer():
            return 0, Outcome.NOT_AN_INTEGER
        value = int(value)
    return (value, Outcome.KEPT) if LEAST <= value <= GREATEST else (0, Outcome.OUT_OF_RANGE)


def boolean_of(value: Any) -> Read:
    """True, false, 1 or 0, or a string that holds one of them."""
    if isinstance(value, Missing):
        return 0.0, absence(value)
    if isinstance(value, str):
        number = _TRUTHS.get(value.strip())
    else:
        number = float(value) if isinstance(value, (bool, int, float)) and value in (0, 1) else None
    return (0.0, Outcome.NOT_A_BOOLEAN) if number is None else (number, Outcome.KEPT)


def _decoded(payload: bytes) -> str:
    return payload.decode("latin-1")  # what is not ASCII is no number


def _integer_in(text: str) -> Read:
    text = text.strip()
    if "_" in text or not text.isascii() or len(text) > _LONGEST:
        return 0, Outcome.NOT_AN_INTEGER
    try:
        number = Decimal(text)
    except InvalidOperation:
        return 0, Outcome.NOT_AN_INTEGER
    if not number.is_finite():
        return 0, Outcome.NOT_FINITE
    # before it is written out: 1e999999 has a million digits
    if not -(2**64) < number < 2**64:
        return 0, Outcome.OUT_OF_RANGE
    return integer_of(int(number)) if number == int(number) else (0, Outcome.NOT_AN_INTEGER)
