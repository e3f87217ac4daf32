"""Reads values and event times out of JSON payloads by pointer, as columns.

    payloads ──narrow struct──> parts ──by type──> numbers or texts, times
        └─ messages that do not fit ──document──┘

The struct is made from the pointers: its decoder builds only the parts that they name. A message
that it refuses (an array in the path, a number beyond float64) is decoded in full.
"""

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec
import numpy as np

from lakebed.policies.discrete import booleans, integers, read_booleans, read_integers
from lakebed.policies.outcomes import Outcome
from lakebed.policies.preparing import Preparation, payload_reader
from lakebed.policies.values import (
    BROKEN,
    NOT_JSON,
    TOO_DEEP,
    Column,
    Outcomes,
    absence,
    decode_each,
    decode_slowly,
    is_clean,
    number_in,
    read_json,
    read_numbers,
    read_texts,
    too_deep,
)
from lakebed.vocabulary.messages import Ints
from lakebed.vocabulary.pointers import MISSING, Missing, follow, parse_pointer
from lakebed.vocabulary.policy import Policy, Type
from lakebed.vocabulary.time_parsing import EVENT_TIMES, Bounds, Unit, from_epochs, parse_time
from lakebed.vocabulary.times import UNSET, Micros

Tokens = tuple[str, ...]
_decode = msgspec.json.Decoder().decode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_items = msgspec.json.Decoder(list[msgspec.Raw]).decode
_dumps = partial(json.dumps, allow_nan=False, separators=(",", ":"))


def reader(policy: Policy) -> Callable[[Sequence[bytes]], Column]:
    """The function that reads payloads for this policy."""
    if policy.function_at is not None:
        from lakebed.policies.by_function import ByFunctionReader

        return ByFunctionReader(Reading.of(policy)).read
    if policy.fields or policy.split is not None:
        from lakebed.policies.several import SeveralReader

        return SeveralReader(Reading.of(policy)).read
    if policy.at is not None or policy.time_at is not None:
        return JsonReader(Reading.of(policy)).read
    prepared = Preparation(policy.strip, policy.map, policy.decimal)
    if prepared or policy.encoding != "utf-8":
        return payload_reader(policy.type, policy.encoding, prepared)
    return _READERS[policy.type]


_READERS: dict[str, Callable[[Sequence[bytes]], Column]] = {
    "number": read_numbers,
    "text": read_texts,
    "json": read_json,
    "integer": read_integers,
    "boolean": read_booleans,
}


class Reading(NamedTuple):
    """What of a policy determines how payloads are read; its fields have the same names there."""

    type: Type
    at: str | None
    time_at: str | None
    time_unit: Unit
    time_zone: str
    time_else: str
    encoding: str
    strip: bool
    map: tuple[tuple[str, float | str], ...]
    decimal: str
    fields: tuple[tuple[str, str], ...]
    split: str | None
    function_at: str | None
    function_else: str | None

    @classmethod
    def of(cls, policy: Policy) -> "Reading":
        return cls(*(getattr(policy, name) for name in cls._fields))


class Picker:
    """Decodes each payload once, and returns what is at each of some pointers."""

    def __init__(self, wanted: Sequence[Tokens]) -> None:
        self._wanted = wanted
        struct = None if () in wanted else _narrow(wanted)
        self._getters = [_getter(struct, tokens) for tokens in wanted]
        self._narrow: Callable[[bytes], Any] = _decode
        self._nothing: Any = None  # what stands in for a document until it is decoded in full
        if struct is not None:
            self._narrow = msgspec.json.Decoder(struct).decode
            self._nothing = struct()

    def pick(self, payloads: Sequence[bytes]) -> list[list[Any]]:
        """The value at each pointer of each payload; MISSING, or BROKEN if it is not JSON."""
        documents, failed = decode_each(self._narrow, payloads)
        for row in failed:
            documents[row] = self._nothing
        parts = [list(map(get, documents)) for get in self._getters]
        for row in failed:
            document = _decode_fully(payloads[row])
            for column, tokens in zip(parts, self._wanted, strict=True):
                column[row] = BROKEN if document is BROKEN else follow(document, tokens)
        for rows, part in ((_not_utf8(payloads), BROKEN), (too_deep(payloads), TOO_DEEP)):
            for row in rows:
                for column in parts:
                    column[row] = part
        return parts


class Parts:
    """Turns what was found at a pointer into values and times, as a policy reads them."""

    def __init__(self, reading: Reading) -> None:
        self._type = reading.type
        self._bounds = EVENT_TIMES._replace(unit=reading.time_unit, zone=reading.time_zone)
        self._prepared = Preparation(reading.strip, reading.map, reading.decimal)
        self._or_received = reading.time_else == "received"

    def values(self, found: list[Any], written: Iterable[Callable[[], str | None]]) -> Column:
        """
        Args:
            found: parts of documents.
            written: for each a function that returns it as its payload writes it.
        """
        if (convert := _CONVERTERS.get(self._type)) is not None:
            return convert([*map(self._prepared.part, found)] if self._prepared else found)
        column = _texts(self._type, found, written)
        if self._prepared and column.texts is not None:
            column = replace(column, texts=[*map(self._prepared.text, column.texts)])
        return column

    def times(self, found: list[Any]) -> tuple[Ints, Outcomes]:
        """Times in microseconds, UNSET where the message's own is taken, and their outcomes."""
        times, outcomes = _times(found, self._bounds)
        if self._or_received:
            without = (outcomes == Outcome.BAD_TIME) | (outcomes == Outcome.MISSING_PATH)
            times[without], outcomes[without] = UNSET, Outcome.KEPT
        return times, outcomes


class JsonReader:
    """Decodes each payload once, and reads the value, the event time, or both."""

    def __init__(self, reading: Reading) -> None:
        self._at = None if reading.at is None else parse_pointer(reading.at)
        self._time_at = None if reading.time_at is None else parse_pointer(reading.time_at)
        wanted = [tokens for tokens in (self._at, self._time_at) if tokens is not None]
        self._picker, self._parts = Picker(wanted), Parts(reading)

    def read(self, payloads: Sequence[bytes]) -> Column:
        parts = self._picker.pick(payloads)
        if self._at is None:
            column = read_json(payloads)
        else:
            written = (partial(as_written, payload, self._at) for payload in payloads)
            column = self._parts.values(parts.pop(0), written)
        if self._time_at is None:
            return column
        times, outcomes = self._parts.times(parts.pop(0))
        # the outcome of the value comes before that of the time
        first = np.where(column.outcomes == Outcome.KEPT, outcomes, column.outcomes)
        return replace(column, outcomes=first, times=times)


def _not_utf8(payloads: Sequence[bytes]) -> list[int]:
    """Rows whose text is invalid UTF-8: the narrow decoder does not check what it skips."""
    try:
        # the line feed keeps the end of one apart from the beginning of the next
        b"\n".join(payloads).decode()
    except UnicodeDecodeError:
        return decode_each(bytes.decode, payloads)[1]
    return []


def _decode_fully(payload: bytes) -> Any:
    """The document, or BROKEN if it is not JSON."""
    try:
        return _decode(payload)
    except NOT_JSON:
        document = decode_slowly(payload)
        return BROKEN if document is MISSING else document


def _narrow(wanted: Sequence[Tokens]) -> type[msgspec.Struct]:
    """A struct of the parts that the (non-empty) pointers name."""
    rests: dict[str, list[Tokens]] = {}
    for head, *rest in wanted:
        rests.setdefault(head, []).append(tuple(rest))
    fields: list[tuple[str, Any, Any]] = []
    for number, (head, below) in enumerate(rests.items()):
        if () in below:  # a pointer ends here: take the whole part
            fields.append((f"f{number}", object, msgspec.field(name=head, default=MISSING)))
        else:
            part = _narrow(below)
            fields.append((f"f{number}", part, msgspec.field(name=head, default_factory=part)))
    return msgspec.defstruct("Part", fields)


def _getter(struct: type[msgspec.Struct] | None, tokens: Tokens) -> Callable[[Any], Any]:
    """A function that reads a pointer's value in a decoded struct, or in a document without one."""
    names: list[str] = []
    for token in tokens:
        if struct is None:
            break
        field = next(f for f in msgspec.structs.fields(struct) if f.encode_name == token)
        names.append(field.name)
        struct = None if field.type is object else field.type
    rest = tokens[len(names) :]
    if not names:
        return lambda document: follow(document, rest)
    get = attrgetter(".".join(names))
    return (lambda document: follow(get(document), rest)) if rest else get


def _numbers(parts: list[Any]) -> Column:
    """JSON values as a column of numbers."""
    if set(map(type, parts)) <= {float, int}:
        try:
            numbers = np.fromiter(map(float, parts), np.float64, len(parts)) + 0.0
        except OverflowError:
            numbers = np.array([math.inf])
        if np.isfinite(numbers).all():
            return Column(np.zeros(len(parts), np.uint8), numbers)
    values, outcomes = _unzip(map(number_of, parts))
    return Column(outcomes, np.array(values, np.float64) + 0.0)


_CONVERTERS: dict[str, Callable[[list[Any]], Column]] = {
    "number": _numbers,
    "integer": integers,
    "boolean": booleans,
}


def _texts(as_type: Type, parts: list[Any], written: Iterable[Callable[[], str | None]]) -> Column:
    """JSON values as a column of texts, numbers and whole parts as their payload writes them."""
    if as_type == "text" and set(map(type, parts)) <= {str} and is_clean("".join(parts)):
        return Column(np.zeros(len(parts), np.uint8), texts=parts)
    convert = text_of if as_type == "text" else json_of
    texts, outcomes = _unzip(map(convert, parts, written))
    return Column(outcomes, texts=texts)


def as_written(payload: bytes, tokens: Tokens) -> str | None:
    """The part of a payload, with no spaces around its own parts.

    Returns:
        None where only the slow decoder can read the payload.
    """
    try:
        raw = payload
        for token in tokens:
            if raw.lstrip()[:1] == b"{":
                raw = bytes(_members(raw)[token])
            else:
                raw = bytes(_items(raw)[int(token)])
        return msgspec.json.format(raw, indent=-1).decode()
    except (*NOT_JSON, LookupError):
        return None


def _unzip(found: Iterable[tuple[Any, int]]) -> tuple[list[Any], Outcomes]:
    pairs = list(found)
    outcomes = np.array([outcome for _, outcome in pairs], np.uint8)
    return [value for value, _ in pairs], outcomes


def _times(parts: list[Any], bounds: Bounds) -> tuple[Ints, Outcomes]:
    """JSON values as times: int64[n] microseconds, and the outcome of each."""
    kinds = set(map(type, parts))
    if kinds in ({float}, {int}) and (times := from_epochs(parts, bounds.unit)) is not None:
        return times, np.zeros(len(parts), np.uint8)
    times_each, outcomes = _unzip(time_of(part, bounds) for part in parts)
    return np.array(times_each, np.int64), outcomes


def number_of(value: Any) -> tuple[float, int]:
    """A JSON number, or a string that holds one."""
    if isinstance(value, Missing):
        return 0.0, absence(value)
    if isinstance(value, str):
        return number_in(value.encode(errors="replace"))
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return 0.0, Outcome.NOT_A_NUMBER
    try:
        number = float(value)
    except OverflowError:
        return 0.0, Outcome.OUT_OF_RANGE
    return (number, Outcome.KEPT) if math.isfinite(number) else (0.0, Outcome.OUT_OF_RANGE)


def text_of(value: Any, written: Callable[[], str | None]) -> tuple[str, int]:
    """A JSON string; numbers and booleans as the payload writes them."""
    if isinstance(value, Missing):
        return "", absence(value)
    if isinstance(value, str):
        return (value, Outcome.KEPT) if is_clean(value) else ("", Outcome.NOT_TEXT)
    if isinstance(value, (bool, int, float)):
        return _written(value, written)
    return "", Outcome.NOT_TEXT


def json_of(value: Any, written: Callable[[], str | None]) -> tuple[str, int]:
    """A part of a document, as the payload writes it."""
    return ("", absence(value)) if isinstance(value, Missing) else _written(value, written)


def _written(value: Any, written: Callable[[], str | None]) -> tuple[str, int]:
    try:
        if (text := written()) is not None and is_clean(text):
            return text, Outcome.KEPT
        text = _dumps(value, ensure_ascii=False)
        # half a surrogate pair has no UTF-8, only its escape
        return (text if is_clean(text) else _dumps(value)), Outcome.KEPT
    except ValueError:  # a number beyond float64
        return "", Outcome.OUT_OF_RANGE
    except RecursionError:
        return "", Outcome.NOT_JSON


def time_of(value: Any, bounds: Bounds) -> tuple[Micros, int]:
    """A number since 1970, or a text."""
    if isinstance(value, Missing):
        return 0, absence(value)
    try:
        return parse_time(value, bounds), Outcome.KEPT
    except ValueError:
        return 0, Outcome.BAD_TIME
