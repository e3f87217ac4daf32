"""Parses payloads into columns of values: numbers, text, and JSON as it was sent.

Each reader makes one fast pass over a batch. A message that it cannot parse is parsed slowly and
exactly, so the outcome of a message never depends on its neighbours.
"""

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import msgspec
import numpy as np
from numpy.typing import NDArray

from lakebed.policies.outcomes import Outcome
from lakebed.vocabulary.messages import Ints
from lakebed.vocabulary.pointers import MISSING, Missing

Outcomes = NDArray[np.uint8]
Numbers = NDArray[Any]
"""float64, or int64 for integers."""
NOT_JSON = (ValueError, RecursionError)  # msgspec's errors are ValueErrors
MOST_LEVELS = 512
"""Arrays and objects of JSON within each other. Decoders end at about 1,000, how soon depends on
the stack of the thread; this many are always decoded, so a replay comes to the same outcome.
"""
_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_BRACKETS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_OTHERS = bytes(set(range(256)) - set(b"[{]}"))
_DIGITS = 1000  # longer numbers would take too long to parse
_json_numbers = msgspec.json.Decoder(list[float]).decode
_json_number = msgspec.json.Decoder(float).decode
_skip = msgspec.json.Decoder(msgspec.Raw).decode


BROKEN: Final = Missing()
"""Stands for each part of a payload that is not JSON,"""
TOO_DEEP: Final = Missing()
"""and for each of one that is nested too deeply."""


def absence(value: Missing) -> int:
    """The outcome of a value that was not found."""
    if value is TOO_DEEP:
        return Outcome.TOO_DEEP
    return Outcome.NOT_JSON if value is BROKEN else Outcome.MISSING_PATH


@dataclass(frozen=True, slots=True)
class Origin:
    """Where m values of n messages come from, in the order of message, element and field.

    Attributes:
        message: intp[m], the index of the message.
        element: uint32[m], the place in the array that `split` takes apart; else 0.
        field: int32[m], the number of the field.
        barren: uint8[n], outcomes of messages without any value; KEPT for the others.
    """

    message: NDArray[np.intp]
    element: NDArray[np.uint32]
    field: NDArray[np.int32]
    barren: Outcomes


@dataclass(frozen=True, slots=True)
class Column:
    """The values of n messages; a value is undefined if its outcome is not KEPT.

    Attributes:
        outcomes: uint8[n].
        numbers: float64[n], finite, 1 and 0 for truth values; int64[n] for integers; or None.
        texts: n texts, or None.
        times: int64[n], event times found in the payloads; None if the policy asks for none.
        origin: where the values come from, if a message has several; None if it has one.
    """

    outcomes: Outcomes
    numbers: Numbers | None = None
    texts: list[str] | None = None
    times: Ints | None = None
    origin: Origin | None = None


def read_numbers(payloads: Sequence[bytes]) -> Column:
    """Decimal numbers as JSON and `printf("%g")` write them, with spaces around."""
    n = len(payloads)
    outcomes = np.zeros(n, np.uint8)
    values = _numbers_at_once(payloads)
    if values is None:
        # JSON's grammar is parsed three times as fast as Python's, which is tried afterwards
        values, failed = decode_each(_json_number, payloads)
        for row in failed:
            values[row], outcomes[row] = number_in(payloads[row])
    return Column(outcomes, np.fromiter(values, np.float64, n) + 0.0)  # -0.0 becomes a plain zero


def _numbers_at_once(payloads: Sequence[bytes]) -> list[float] | None:
    """Parse all payloads as one JSON array; None unless each payload is one number.

    A payload with a comma would make the array longer. An empty payload, which could make up for
    it, would make the array invalid.
    """
    try:
        values = _json_numbers(b"[%b]" % b",".join(payloads))
    except NOT_JSON:
        return None
    return values if len(values) == len(payloads) else None


def decode_each(
    decode: Callable[[bytes], Any], payloads: Sequence[bytes]
) -> tuple[list[Any], list[int]]:
    """Decode payloads in a loop of C.

    Returns:
        the values, with None for payloads that cannot be decoded, and the indices of these.
    """
    values: list[Any] = []
    failed: list[int] = []
    rest = map(decode, payloads)
    while len(values) < len(payloads):
        try:
            values.extend(rest)  # on an exception, earlier values stay in the list
        except NOT_JSON:
            failed.append(len(values))
            values.append(None)
    return values, failed


def number_in(payload: bytes) -> tuple[float, int]:
    """One number as text, with its outcome."""
    try:
        number = float(payload)
    except ValueError:
        return 0.0, Outcome.NOT_A_NUMBER
    if b"_" in payload:
        return 0.0, Outcome.NOT_A_NUMBER
    if math.isfinite(number):
        return number, Outcome.KEPT
    # nan, inf and infinity contain an n; a number that is too large does not
    return 0.0, Outcome.NOT_FINITE if b"n" in payload.lower() else Outcome.OUT_OF_RANGE


def read_texts(payloads: Sequence[bytes]) -> Column:
    """UTF-8 without U+0000."""
    return _texts(payloads, Outcome.NOT_TEXT)


def _texts(payloads: Sequence[bytes], otherwise: Outcome) -> Column:
    texts, failed = decode_each(bytes.decode, payloads)
    outcomes = np.zeros(len(payloads), np.uint8)
    for row in failed:
        texts[row], outcomes[row] = "", otherwise
    if b"\0" in b"".join(payloads):
        outcomes[["\0" in text for text in texts]] = otherwise
    return Column(outcomes, texts=texts)


def is_clean(text: str) -> bool:
    """No U+0000 and no half of a surrogate pair: such text cannot be stored."""
    if "\0" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_json(payloads: Sequence[bytes]) -> Column:
    """Valid JSON (RFC 8259), kept as it was sent."""
    column = _texts(payloads, Outcome.NOT_JSON)
    for row in decode_each(_skip, payloads)[1]:
        if decode_slowly(payloads[row]) is MISSING:
            column.outcomes[row] = Outcome.NOT_JSON
    column.outcomes[too_deep(payloads)] = Outcome.TOO_DEEP
    return column


def too_deep(payloads: Sequence[bytes]) -> list[int]:
    """Rows whose arrays and objects are nested more than MOST_LEVELS deep."""
    if max(map(len, payloads), default=0) <= MOST_LEVELS:
        return []
    return [row for row, payload in enumerate(payloads) if _is_too_deep(payload)]


def _is_too_deep(payload: bytes) -> bool:
    if payload.count(b"[") + payload.count(b"{") <= MOST_LEVELS:
        return False
    steps = _TEXT.sub(b"", payload).translate(_BRACKETS, _OTHERS)
    depths = np.cumsum(np.frombuffer(steps, np.int8), dtype=np.int64)
    return bool(depths.max(initial=0) > MOST_LEVELS)


def decode_slowly(payload: bytes) -> Any:
    """Parse JSON that msgspec refuses: 1e400, very long integers, half a surrogate pair.

    Numbers beyond float64 become infinite. Returns MISSING if it is not JSON.
    """
    try:
        return json.loads(str(payload, "utf-8"), parse_int=_integer, parse_constant=_refuse)
    except NOT_JSON:
        return MISSING


def _integer(digits: str) -> float:
    return int(digits) if len(digits) < _DIGITS else float(digits)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
