"""From payloads to values, in columns: numbers, text and JSON.

Each reader makes one fast pass over a batch; only where that pass stumbles does a second one look
at each message alone and say what is wrong with it. Both judge a message the same way, whoever
its neighbours in the batch are.
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any, NoReturn

import msgspec
import numpy as np
from numpy.typing import NDArray

from lakebed.messages import Ints
from lakebed.policies.outcomes import Outcome
from lakebed.policies.pointers import MISSING, follow, parse_pointer
from lakebed.policies.policy import Policy, Type
from lakebed.times import Micros, parse_time

Outcomes = NDArray[np.uint8]
_NOT_JSON = (ValueError, RecursionError)  # msgspec's errors are ValueErrors
_DIGITS = 1000  # a longer number takes needless time to read
_decode = msgspec.json.Decoder().decode
_skip = msgspec.json.Decoder(msgspec.Raw).decode


@dataclass(frozen=True, slots=True)
class Column:
    """The values of n messages. Where the outcome is not KEPT, the value means nothing.

    Attributes:
        outcomes: uint8[n].
        numbers: float64[n], finite, or None.
        texts: n texts, or None.
        times: int64[n], the event times found in the payloads, or None where none were asked for.
    """

    outcomes: Outcomes
    numbers: NDArray[np.float64] | None = None
    texts: list[str] | None = None
    times: Ints | None = None


def reader(policy: Policy) -> Callable[[Sequence[bytes]], Column]:
    """The function that reads payloads as this policy asks."""
    if policy.at is not None or policy.time_at is not None:
        return JsonReader(policy.type, policy.at, policy.time_at).read
    return {"number": read_numbers, "text": read_texts, "json": read_json}[policy.type]


def read_numbers(payloads: Sequence[bytes]) -> Column:
    """Decimal numbers as JSON and `printf("%g")` write them, with spaces around."""
    n = len(payloads)
    try:
        numbers = np.fromiter(map(float, payloads), np.float64, n)
    except ValueError:
        return _each_number(payloads)
    # float() also takes 1_000, nan and infinity
    if np.isfinite(numbers).all() and b"_" not in b"".join(payloads):
        return Column(np.zeros(n, np.uint8), numbers)
    return _each_number(payloads)


def _each_number(payloads: Sequence[bytes]) -> Column:
    numbers = np.zeros(len(payloads), np.float64)
    outcomes = np.zeros(len(payloads), np.uint8)
    for place, payload in enumerate(payloads):
        numbers[place], outcomes[place] = _number(payload)
    return Column(outcomes, numbers)


def _number(payload: bytes) -> tuple[float, int]:
    try:
        number = float(payload)
    except ValueError:
        return 0.0, Outcome.NOT_A_NUMBER
    if b"_" in payload:
        return 0.0, Outcome.NOT_A_NUMBER
    if math.isfinite(number):
        return number, Outcome.KEPT
    # nan, inf and infinity have an n; what was too large has none
    return 0.0, Outcome.NOT_FINITE if b"n" in payload.lower() else Outcome.OUT_OF_RANGE


def read_texts(payloads: Sequence[bytes]) -> Column:
    """UTF-8 without U+0000."""
    return _texts(payloads, Outcome.NOT_TEXT)


def _texts(payloads: Sequence[bytes], otherwise: Outcome) -> Column:
    outcomes = np.zeros(len(payloads), np.uint8)
    try:
        texts = list(map(str, payloads, repeat("utf-8")))
    except UnicodeDecodeError:
        texts = [_text(payload) for payload in payloads]
        outcomes[[text == "\0" for text in texts]] = otherwise
    if b"\0" in b"".join(payloads):
        outcomes[["\0" in text for text in texts]] = otherwise
    return Column(outcomes, texts=texts)


def _text(payload: bytes) -> str:
    try:
        return str(payload, "utf-8")
    except UnicodeDecodeError:
        return "\0"


def read_json(payloads: Sequence[bytes]) -> Column:
    """Valid JSON (RFC 8259), kept as it was sent."""
    column = _texts(payloads, Outcome.NOT_JSON)
    try:
        for _ in map(_skip, payloads):
            pass
    except _NOT_JSON:
        broken = [not _is_json(payload) for payload in payloads]
        column.outcomes[broken] = Outcome.NOT_JSON
    return column


def _is_json(payload: bytes) -> bool:
    try:
        _skip(payload)
    except _NOT_JSON:
        return _decode_slowly(payload) is not MISSING
    return True


def _decode_slowly(payload: bytes) -> Any:
    """What msgspec refuses may still be JSON: 1e400, endless integers, half a surrogate pair.

    Numbers beyond float64 become infinite. Returns MISSING where it is no JSON.
    """
    try:
        return json.loads(str(payload, "utf-8"), parse_int=_integer, parse_constant=_refuse)
    except _NOT_JSON:
        return MISSING


def _integer(digits: str) -> float:
    return int(digits) if len(digits) < _DIGITS else float(digits)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


class JsonReader:
    """Decodes each payload once and picks the value, the event time, or both."""

    def __init__(self, type: Type, at: str | None, time_at: str | None) -> None:
        self._numbers = type == "number"
        self._at = None if at is None else parse_pointer(at)
        self._time_at = None if time_at is None else parse_pointer(time_at)
        self._convert: Callable[[Any], tuple[Any, int]] = {
            "number": number_of,
            "text": text_of,
            "json": json_of,
        }[type]

    def read(self, payloads: Sequence[bytes]) -> Column:
        n = len(payloads)
        outcomes = np.zeros(n, np.uint8)
        values: list[Any] = [0.0 if self._numbers else ""] * n
        times = [0] * n
        for place, payload in enumerate(payloads):
            try:
                document = _decode(payload)
            except _NOT_JSON:
                document = _decode_slowly(payload)
                if document is MISSING:
                    outcomes[place] = Outcome.NOT_JSON
                    continue
            outcome = 0
            if self._at is None:
                value: Any = str(payload, "utf-8")
            else:
                value = follow(document, self._at)
                if type(value) is not float or not self._numbers or value in _INFINITE:
                    value, outcome = self._convert(value)
            if not outcome and self._time_at is not None:
                times[place], outcome = time_of(follow(document, self._time_at))
            if outcome:
                outcomes[place] = outcome
            else:
                values[place] = value
        found = None if self._time_at is None else np.array(times, np.int64)
        if self._numbers:
            return Column(outcomes, np.array(values, np.float64), times=found)
        return Column(outcomes, texts=values, times=found)


_INFINITE = (math.inf, -math.inf)


def number_of(value: Any) -> tuple[float, int]:
    """A JSON number, or a string that holds one."""
    if value is MISSING:
        return 0.0, Outcome.MISSING_PATH
    if isinstance(value, str):
        return _number(value.encode(errors="replace"))
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return 0.0, Outcome.NOT_A_NUMBER
    try:
        number = float(value)
    except OverflowError:
        return 0.0, Outcome.OUT_OF_RANGE
    return (number, Outcome.KEPT) if math.isfinite(number) else (0.0, Outcome.OUT_OF_RANGE)


def text_of(value: Any) -> tuple[str, int]:
    """A JSON string; numbers and booleans as JSON writes them."""
    if value is MISSING:
        return "", Outcome.MISSING_PATH
    if isinstance(value, str):
        return (value, Outcome.KEPT) if _is_clean(value) else ("", Outcome.NOT_TEXT)
    if isinstance(value, (bool, int, float)):
        return _write(value)
    return "", Outcome.NOT_TEXT


def _is_clean(text: str) -> bool:
    """No U+0000, no half of a surrogate pair: such text cannot be stored."""
    if text.isascii():
        return "\0" not in text
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def json_of(value: Any) -> tuple[str, int]:
    """A part of a document as compact JSON."""
    return ("", Outcome.MISSING_PATH) if value is MISSING else _write(value)


def _write(value: Any) -> tuple[str, int]:
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":")), Outcome.KEPT
    except ValueError:  # a number beyond float64
        return "", Outcome.OUT_OF_RANGE
    except RecursionError:
        return "", Outcome.NOT_JSON


def time_of(value: Any) -> tuple[Micros, int]:
    """Epoch seconds or RFC 3339."""
    if value is MISSING:
        return 0, Outcome.MISSING_PATH
    try:
        return parse_time(value), Outcome.KEPT
    except (ValueError, OverflowError):
        return 0, Outcome.BAD_TIME
