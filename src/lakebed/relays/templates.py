"""Templates: what a relay makes of a record, in a language that is safe and total.

    "{topic.1}/{value|round:1}"  ──Template.parse──> Template ──render(record)──> text
    {t: "{time|ms}", v: "{value}"} ──────────────────────────────value(record)──> JSON value

A template is text with fields in braces, each with functions behind it, or a mapping or list of
such texts. A text that is one field alone has the value of the field, so numbers stay numbers. A
field that a record does not have is null, and "" within a text. `{{` and `}}` are braces. There is
no code, no loop and no failure but one: each template gives a result for each record, unless that
is too large (`TooLarge`).
"""

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from lakebed.ports.relays import TIMES, Record
from lakebed.vocabulary.pointers import MISSING, follow, parse_pointer
from lakebed.vocabulary.times import to_rfc3339

LONGEST = 10_000
"""Characters of all texts of a template."""

_DEEPEST = 8
_MOST_FUNCTIONS = 8
_LARGEST_RESULT = 1_048_576  # characters that a template may make of a record, or a function
_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


class TooLarge(ValueError):
    """A template makes more of a record than may be sent."""

    def __init__(self) -> None:
        super().__init__(f"the template makes more than {_LARGEST_RESULT} characters of it")


Get = Callable[[Record], Any]
Change = Callable[[Any], Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Template:
    """A template that was parsed; immutable, any thread."""

    _value: Get

    @classmethod
    def parse(cls, written: object) -> "Template":
        """Parse a text, or a mapping or list of texts, numbers, truth values and nulls.

        Raises:
            ValueError: says what is wrong, and what is allowed.
        """
        if len(json.dumps(written)) > LONGEST:
            raise ValueError(f"a template is at most {LONGEST} characters long")
        return cls(_parse(written, 0))

    def value(self, record: Record) -> Any:
        """The JSON value that the template makes of a record."""
        return self._value(record)

    def render(self, record: Record) -> str:
        """The same as text; what is no text is written as JSON, and null as nothing."""
        return text_of(self._value(record))

    def payload(self, record: Record) -> bytes:
        """The same as bytes.

        Raises:
            TooLarge: a function or the whole makes too much of this record.
        """
        return _bounded(self.render(record)).encode("utf-8", "surrogatepass")


def text_of(value: Any) -> str:
    """A value as it stands within a text."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _bounded(value: T) -> T:
    """The value, if it is no text that is too long. Each of many functions may double it."""
    if isinstance(value, str) and len(value) > _LARGEST_RESULT:
        raise TooLarge
    return value


def _parse(written: object, depth: int) -> Get:
    if depth > _DEEPEST:
        raise ValueError(f"a template is at most {_DEEPEST} levels deep")
    if isinstance(written, str):
        return _text(written)
    if isinstance(written, Mapping):
        if not all(isinstance(key, str) for key in written):
            raise ValueError("keys of a template are texts")
        named = {key: _parse(value, depth + 1) for key, value in written.items()}
        return lambda record: {key: get(record) for key, get in named.items()}
    if isinstance(written, list):
        listed = [_parse(value, depth + 1) for value in written]
        return lambda record: [get(record) for get in listed]
    if written is None or isinstance(written, (bool, int, float)):
        return lambda record: written
    raise ValueError("a template is text, or a mapping or list of texts")


def _text(written: str) -> Get:
    parts = list(_parts(written))
    if not parts:
        return lambda record: ""
    if len(parts) == 1:
        (only,) = parts
        return (lambda record: only) if isinstance(only, str) else only
    return lambda record: "".join(
        part if isinstance(part, str) else text_of(part(record)) for part in parts
    )


def _parts(written: str) -> Iterator[str | Get]:
    """Texts between fields, and fields."""
    at, literal = 0, ""
    for found in _PIECE.finditer(written):
        literal += written[at : found.start()]
        at = found.end()
        piece = found.group()
        if piece in ("{{", "}}"):
            literal += piece[0]
        elif found.group(1) is None:
            raise ValueError(f"a lone `{piece}`: a brace that is no field is written twice")
        else:
            if literal:
                yield literal
            literal = ""
            yield _field(found.group(1))
    literal += written[at:]
    if literal:
        yield literal


def _field(written: str) -> Get:
    name, *functions = written.split("|")
    if len(functions) > _MOST_FUNCTIONS:
        raise ValueError(f"at most {_MOST_FUNCTIONS} functions stand behind a field")
    get = _getter(name.strip())
    changes = [_function(one) for one in functions]
    if not changes:
        return get

    def value(record: Record) -> Any:
        found = get(record)
        for change in changes:
            found = _bounded(change(found))
        return found

    return value


# --- fields ---------------------------------------------------------------------------------------

FIELDS: Mapping[str, str] = {
    "id": "the id of the record",
    "topic": "the topic; `topic.0` is its first level, `topic.-1` its last",
    "time": "the event time, RFC 3339",
    "received": "when Lakebed read it, RFC 3339",
    "what": "`message`, `kept`, `finished` or `changed`",
    "policy": "the name of the policy that gave it",
    "payload": "the payload as text, or base64 where it is no UTF-8",
    "payload/POINTER": "what is at a JSON pointer in the payload",
    "values": "all columns of what a policy gave, as a mapping",
    "values.NAME": "one of these columns; a name that is no other field may stand alone: `avg`",
    "attributes.NAME": "what surrounded the message, such as `content_type`",
}
"""The fields of templates, for the reference."""


def _getter(name: str) -> Get:
    if name in _PLAIN:
        return _PLAIN[name]
    if name.startswith("payload/"):
        tokens = parse_pointer(name.removeprefix("payload"))
        return lambda record: _at(record, tokens)
    head, dot, rest = name.partition(".")
    if head == "topic" and dot:
        return _level(rest)
    if head == "attributes" and rest:
        return lambda record: record.attributes.get(rest)
    column = rest if head == "values" and dot else name
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}", column):
        raise ValueError(
            f"there is no field `{name[:80]}`: fields are {', '.join(_PLAIN)}, payload/POINTER, "
            "topic.LEVEL, attributes.NAME and columns such as value or avg"
        )
    return lambda record: _column(record, column)


def _column(record: Record, name: str) -> Any:
    found = record.values.get(name)
    if isinstance(found, float) and found - found != 0:  # JSON has no infinity
        return None
    if name in TIMES and isinstance(found, int):
        return _Moment(found)
    return found


class _Moment(str):
    """A time as RFC 3339 that still knows its microseconds, for `ms` and its like."""

    micros: int

    def __new__(cls, micros: int) -> "_Moment":
        try:
            made = super().__new__(cls, to_rfc3339(micros))
        except (ValueError, OverflowError):
            made = super().__new__(cls, str(micros))
        made.micros = micros
        return made


def _payload(record: Record) -> str | None:
    if record.payload is None:
        return None
    try:
        return record.payload.decode()
    except UnicodeDecodeError:
        return base64.b64encode(record.payload).decode()


def _at(record: Record, tokens: Sequence[str]) -> Any:
    if record.payload is None:
        return None
    try:
        found = follow(msgspec.json.decode(record.payload), tuple(tokens))
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return None
    return None if found is MISSING else found


def _level(written: str) -> Get:
    try:
        number = int(written)
    except ValueError:
        raise ValueError(f"topic.{written[:20]}: a level is a number, such as topic.0") from None

    def value(record: Record) -> Any:
        levels = record.topic.split("/")
        return levels[number] if -len(levels) <= number < len(levels) else None

    return value


_PLAIN: Mapping[str, Get] = {
    "id": lambda record: record.id,
    "topic": lambda record: record.topic,
    "time": lambda record: _Moment(record.time),
    "received": lambda record: _Moment(record.received),
    "what": lambda record: record.what,
    "policy": lambda record: record.policy,
    "payload": _payload,
    "values": lambda record: {name: _column(record, name) for name in record.values},
}


# --- functions ------------------------------------------------------------------------------------


def _function(written: str) -> Change:
    name, *arguments = (part.strip() for part in written.split(":"))
    if name not in FUNCTIONS:
        raise ValueError(f"there is no function `{name[:40]}`: there are {', '.join(FUNCTIONS)}")
    make, count, _ = FUNCTIONS[name]
    if len(arguments) != count:
        raise ValueError(f"`{name}` takes {count} values behind colons, not {len(arguments)}")
    change: Change = make(*arguments)
    return change


def _of_text(change: Callable[[str], str]) -> Callable[[], Change]:
    return lambda: lambda value: None if value is None else change(text_of(value))


def _of_time(divisor: float) -> Callable[[], Change]:
    def change(value: Any) -> Any:
        if not isinstance(value, _Moment):
            return value
        return value.micros // int(divisor) if divisor >= 1 else value.micros * int(1 / divisor)

    return lambda: change


def _number(value: Any) -> Any:
    if isinstance(value, bool) or value is None:
        return None if value is None else int(value)
    if isinstance(value, (int, float)):
        return value
    try:
        found = float(text_of(value))
    except ValueError:
        return None
    if found - found != 0:
        return None
    return int(found) if found.is_integer() and abs(found) < 2**53 else found


def _whole(written: str, what: str) -> int:
    try:
        number = int(written)
    except ValueError:
        raise ValueError(f"`{what}` takes whole numbers, not {written[:20]}") from None
    if abs(number) > 10_000:
        raise ValueError(f"`{what}` takes numbers up to 10000")
    return number


def _round(digits: str) -> Change:
    count = _whole(digits, "round")
    if not 0 <= count <= 15:
        raise ValueError("`round` takes 0 to 15 digits")

    def change(value: Any) -> Any:
        found = _number(value)
        return round(found, count) if isinstance(found, float) else found

    return change


def _slice(start: str, stop: str) -> Change:
    first = _whole(start, "slice") if start else None
    last = _whole(stop, "slice") if stop else None
    return lambda value: None if value is None else text_of(value)[first:last]


def _replace(old: str, new: str) -> Change:
    if not old:
        raise ValueError("`replace` takes a text to look for")

    def change(value: Any) -> Any:
        text = text_of(value)
        if len(text) + text.count(old) * len(new) > _LARGEST_RESULT + text.count(old) * len(old):
            raise TooLarge
        return None if value is None else text.replace(old, new)

    return change


def _default(other: str) -> Change:
    return lambda value: other if value is None or value == "" else value


FUNCTIONS: Mapping[str, tuple[Callable[..., Change], int, str]] = {
    "upper": (_of_text(str.upper), 0, "capital letters"),
    "lower": (_of_text(str.lower), 0, "small letters"),
    "trim": (_of_text(str.strip), 0, "without blanks at both ends"),
    "text": (_of_text(str), 0, "as text"),
    "number": (lambda: _number, 0, "as a number; null where it is none"),
    "round": (_round, 1, "`round:2`: a number with at most so many digits behind the point"),
    "default": (_default, 1, "`default:none`: this text where the field is missing or empty"),
    "replace": (_replace, 2, "`replace:a:b`: each a becomes b"),
    "slice": (_slice, 2, "`slice:0:8`: a part of the text"),
    "json": (
        lambda: lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":")),
        0,
        "as JSON, with quotes around texts",
    ),
    "url": (_of_text(lambda text: quote(text, safe="", errors="replace")), 0, "for an address"),
    "base64": (
        _of_text(lambda t: base64.b64encode(t.encode("utf-8", "replace")).decode()),
        0,
        "base64 of the text",
    ),
    "hex": (_of_text(lambda t: t.encode("utf-8", "replace").hex()), 0, "hexadecimal of the text"),
    "s": (_of_time(1e6), 0, "a time as whole seconds since 1970"),
    "ms": (_of_time(1e3), 0, "a time as milliseconds since 1970"),
    "us": (_of_time(1), 0, "a time as microseconds since 1970"),
    "ns": (_of_time(1e-3), 0, "a time as nanoseconds since 1970"),
}
"""By name: what makes it of its arguments, how many these are, and what it does."""
