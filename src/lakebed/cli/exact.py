"""JSON whose numbers stay as they were written: `1.10`, `1E400`, an integer of 5,000 digits.

What was kept is shown as the server gives it, and written so.
"""

import json
from collections.abc import Iterable
from typing import Any, NoReturn

_LONGEST = 1000  # digits of an integer that Python counts with; of a longer one the text remains


class Written(float):
    """A number, and how it was written. Beyond float64 it is infinite."""

    __slots__ = ("text",)

    text: str

    def __new__(cls, text: str) -> "Written":
        self = super().__new__(cls, text)
        self.text = text
        return self

    def __str__(self) -> str:
        return self.text


def loads(text: bytes | str) -> Any:
    """Parse JSON.

    Raises:
        ValueError: it is not JSON (RFC 8259).
    """
    return json.loads(text, parse_float=Written, parse_int=_integer, parse_constant=_refuse)


def _integer(digits: str) -> float:
    return int(digits) if len(digits) <= _LONGEST else Written(digits)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def dumps(value: Any, indent: int | None = None) -> str:
    """Write JSON that UTF-8 can hold: half a surrogate pair stays an escape.

    Args:
        indent: spaces per level; None for one line.
    """
    return _write(value, indent, "\n")


def _write(value: Any, indent: int | None, line: str) -> str:
    if isinstance(value, Written):
        return value.text
    if isinstance(value, dict) and value:
        inner = line + " " * (indent or 0)
        pairs = (f"{_text(str(k))}: {_write(v, indent, inner)}" for k, v in value.items())
        return _lines("{", pairs, "}", indent, inner, line)
    if isinstance(value, (list, tuple)) and value:
        inner = line + " " * (indent or 0)
        items = (_write(item, indent, inner) for item in value)
        return _lines("[", items, "]", indent, inner, line)
    return _text(value) if isinstance(value, str) else json.dumps(value)


def _lines(
    start: str, parts: Iterable[str], end: str, indent: int | None, inner: str, line: str
) -> str:
    if indent is None:
        return f"{start}{', '.join(parts)}{end}"
    return f"{start}{inner}{f',{inner}'.join(parts)}{line}{end}"


def _text(text: str) -> str:
    written = json.dumps(text, ensure_ascii=False)
    return json.dumps(text) if any("\ud800" <= c <= "\udfff" for c in written) else written
