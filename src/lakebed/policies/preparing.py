"""What is done to payloads before their value is read: `encoding`, `strip`, `map`, `decimal`.

    bytes ──encoding──> text ──strip──> text ──map──> value
                                          └──decimal──> number

A value inside JSON takes the same way as a payload that is its text would.
"""

import base64
import codecs
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lakebed.policies.discrete import read_booleans, read_integers
from lakebed.policies.outcomes import Outcome
from lakebed.policies.values import Column, read_numbers, read_texts

_SIZES = {"i": (2, 4, 8), "u": (2, 4, 8), "f": (4, 8)}
BINARY: "dict[str, np.dtype[Any]]" = {"i8": np.dtype("i1"), "u8": np.dtype("u1")} | {
    f"{kind}{size * 8}{suffix}": np.dtype(f"{order}{kind}{size}")
    for kind, sizes in _SIZES.items()
    for size in sizes
    for suffix, order in (("le", "<"), ("be", ">"))
}
"""Encodings of numbers, such as u8, i16be or f32le: the payload is exactly these bytes."""

_TEXTS: dict[str, Callable[[bytes], str]] = {
    "latin-1": lambda payload: codecs.latin_1_decode(payload)[0],
    "hex": bytes.hex,
    "base64": lambda payload: base64.b64encode(payload).decode(),
}
ENCODINGS = {
    "number": ("utf-8", *BINARY),
    "integer": ("utf-8", *(name for name in BINARY if name[0] != "f")),
    "text": ("utf-8", *_TEXTS),
    "boolean": ("utf-8",),
}
"""Which encodings a type has."""

_BLANKS = " \t\r\n\v\f\0"


class Preparation:
    """The steps of one policy. Without steps it is false."""

    def __init__(self, strip: bool, map: Sequence[tuple[str, float | str]], decimal: str) -> None:
        """
        Args:
            strip: whether blanks and NULs at both ends go.
            map: what stands for a text.
            decimal: the decimal mark.
        """
        self._strip = strip
        self._map: Mapping[str, str] = {key: _written(value) for key, value in map}
        self._comma = decimal == ","

    def __bool__(self) -> bool:
        return bool(self._strip or self._map or self._comma)

    def text(self, text: str) -> str:
        """The text of the value."""
        if self._strip:
            text = text.strip(_BLANKS)
        mapped = self._map.get(text)
        if mapped is not None:
            return mapped
        return text.replace(",", ".", 1) if self._comma and "." not in text else text

    def payload(self, payload: bytes) -> bytes:
        """A payload with the text of the value; as it was where it is not UTF-8."""
        try:
            return self.text(payload.decode()).encode()
        except UnicodeDecodeError:
            return payload

    def part(self, value: Any) -> Any:
        """A value that was found in JSON."""
        if isinstance(value, str):
            return self.text(value)
        if self._map and isinstance(value, (bool, int, float)):
            return self._map.get(json.dumps(value), value)
        return value


_READERS: dict[str, Callable[[Sequence[bytes]], Column]] = {
    "number": read_numbers,
    "text": read_texts,
    "integer": read_integers,
    "boolean": read_booleans,
}


def _written(value: float | str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else repr(value)


def payload_reader(
    type: str, encoding: str, prepared: Preparation
) -> Callable[[Sequence[bytes]], Column]:
    """The function that reads payloads which are values, and not JSON around them."""
    if encoding in BINARY:
        exact = type == "integer"
        return lambda payloads: _read_binary(payloads, BINARY[encoding], exact)
    read = _READERS[type]
    decode = _TEXTS.get(encoding)

    def prepare(payloads: Sequence[bytes]) -> Column:
        if decode is not None:
            payloads = [decode(payload).encode() for payload in payloads]
        return read(list(map(prepared.payload, payloads)) if prepared else payloads)

    return prepare


def _read_binary(payloads: Sequence[bytes], dtype: "np.dtype[Any]", exact: bool) -> Column:
    """Payloads of another size are not a number; NaN and infinity are not finite.

    Args:
        exact: as int64.
    """
    outcomes = np.zeros(len(payloads), np.uint8)
    zero = bytes(dtype.itemsize)
    whole = [len(payload) == dtype.itemsize for payload in payloads]
    outcomes[~np.array(whole, np.bool_)] = Outcome.NOT_AN_INTEGER if exact else Outcome.NOT_A_NUMBER
    joined = b"".join(p if fits else zero for p, fits in zip(payloads, whole, strict=True))
    if exact:
        found = np.frombuffer(joined, dtype)
        outcomes[found > np.iinfo(np.int64).max] = Outcome.OUT_OF_RANGE
        return Column(outcomes, found.astype(np.int64))
    with np.errstate(invalid="ignore"):
        numbers = np.frombuffer(joined, dtype).astype(np.float64) + 0.0
    outcomes[~np.isfinite(numbers)] = Outcome.NOT_FINITE
    return Column(outcomes, np.where(np.isfinite(numbers), numbers, 0.0))
