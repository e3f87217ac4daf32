"""The shape of a policy document and the rules between its keys, as Pydantic models.

The allowed values of a key depend on `keep` and `type`. These are read first, and passed to all
rules as `Facts`, so that one pass finds every problem, whatever the order of the keys.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    create_model,
    field_validator,
    model_validator,
)

from lakebed.kinds import KINDS
from lakebed.kinds.tables import TYPES
from lakebed.policies import fields
from lakebed.policies.discrete import GREATEST, LEAST
from lakebed.policies.fields import finite, is_text, listed, one_of
from lakebed.policies.preparing import ENCODINGS
from lakebed.policies.values import is_clean
from lakebed.vocabulary.errors import show
from lakebed.vocabulary.policy import BY_MESSAGE
from lakebed.vocabulary.surroundings import MOST as MOST_SURROUNDINGS
from lakebed.vocabulary.surroundings import check_name as check_surrounding
from lakebed.vocabulary.time_parsing import UNITS, parse_time
from lakebed.vocabulary.times import DAY, SECOND, Micros, to_rfc3339

LATER = {"keep": ("file", "timelapse"), "type": ("image", "binary")}
"""Keys of the document that are reserved for later versions."""

TYPES_OF = {
    "min": ("number", "integer"), "max": ("number", "integer"),
    "allow": ("number", "integer", "text"), "deny": ("number", "integer", "text"),
    "scale": ("number",), "offset": ("number",), "round": ("number",), "slice": ("text",),
    "strip": ("number", "integer", "boolean", "text"),
    "map": ("number", "integer", "boolean", "text"),
    "encoding": ("number", "integer", "text"),
    "decimal": ("number",), "counter_bits": ("number", "integer"),
    "function_at": ("number",), "function_else": ("number",),
}  # fmt: skip
"""Keys that only some types have."""

_MOST_TOPICS = 64
_MOST_VALUES = 10_000
_MOST_COUNT = 1_000_000
_MOST_FUNCTIONS = 16
_MOST_MAPPED = 1_000
MOST_FIELDS = 64
_LONGEST_KEY = 256


def kinds_of(key: str) -> tuple[str, ...]:
    """The kinds that have a key; empty for a key of all policies."""
    return tuple(kind.name for kind in KINDS.values() if key in kind.keys)


@dataclass(frozen=True, slots=True)
class Facts:
    """Values of other keys that the rules of a key need; None if such a value is invalid itself."""

    keep: str | None
    type: str | None
    has_at: bool
    has_time_at: bool
    has_fields: bool
    has_split: bool
    has_function_at: bool

    @property
    def picks(self) -> bool:
        """Whether the value is found inside of a JSON payload."""
        return self.has_at or self.has_fields or self.has_split


_Info = ValidationInfo[Facts]


def facts_of(document: Mapping[str, Any]) -> Facts:
    keep, type = document.get("keep"), document.get("type")
    return Facts(
        keep if isinstance(keep, str) and keep in KINDS else None,
        type if isinstance(type, str) and type in TYPES else None,
        document.get("at") is not None,
        document.get("time_at") is not None,
        document.get("fields") is not None,
        document.get("split") is not None,
        document.get("function_at") is not None,
    )


def _given(check: Callable[[object], object]) -> BeforeValidator:
    """Apply a check of `fields` to a value; None stays None."""
    return BeforeValidator(lambda value: None if value is None else check(value))


def _within(least: Micros, most: Micros) -> BeforeValidator:
    return _given(lambda value: fields.duration_within(value, least, most))


def _constant(value: object, info: _Info) -> object:
    """One value of `allow` or `deny`, of the policy's own type."""
    if info.context.type == "number":
        return finite(value)
    if info.context.type == "integer":
        return fields.whole(value, LEAST, GREATEST)
    if info.context.type == "boolean":
        return fields.flag(value)
    if info.context.type == "text":
        return is_text(value, "a value of type text")
    return value


def _function(value: object, info: _Info) -> object:
    keep, type = info.context.keep, info.context.type
    if type is None or keep is None or type not in KINDS[keep].functions:
        return value
    name = one_of(value, f"function of type {type}", KINDS[keep].functions[type])
    if info.context.has_function_at and name not in BY_MESSAGE:
        raise ValueError(f"messages can choose {listed(BY_MESSAGE)}, not {name}")
    return name


def _encoding(value: object, info: _Info) -> object:
    known = ENCODINGS.get(info.context.type or "")
    if value is None or known is None:
        return value
    if value != "utf-8" and (info.context.picks or info.context.has_time_at):
        raise ValueError("encoding is of a payload that is the value: JSON is always utf-8")
    return one_of(value, f"encoding of type {info.context.type}", known)


def _mapping(value: object, info: _Info) -> object:
    """What stands for each text; a key that is a boolean or a number is its JSON text."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise ValueError("write a mapping of texts to values, such as {ON: 1, OFF: 0}")
    if not 1 <= len(value) <= _MOST_MAPPED:
        raise ValueError(f"a mapping of 1 to {_MOST_MAPPED} texts, not of {len(value)}")
    keys = [key if isinstance(key, str) else json.dumps(key) for key in value]
    if any(len(key) > _LONGEST_KEY for key in keys):
        raise ValueError(f"a text is at most {_LONGEST_KEY} characters long")
    values = [_constant(one, info) for one in value.values()]
    if any(isinstance(one, str) and not is_clean(one) for one in values):
        raise ValueError("a value must be text without the character U+0000")
    return dict(zip(keys, values, strict=True))


def _fields(value: object, info: _Info) -> object:
    """The pointer of each field."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise ValueError("write names with JSON pointers, such as {celsius: /t, humidity: /h}")
    if not 1 <= len(value) <= MOST_FIELDS:
        raise ValueError(f"a mapping of 1 to {MOST_FIELDS} fields, not of {len(value)}")
    if info.context.has_at:
        raise ValueError("`fields` picks several values and `at` one: leave out one of the two")
    return {fields.field_name(name): fields.pointer(one) for name, one in value.items()}


_Values = Annotated[
    list[Annotated[Any, BeforeValidator(_constant)]] | None,
    _given(fields.several("values", _MOST_VALUES)),
]
_Number = Annotated[float | None, _given(finite)]
_Moment = Annotated[Micros | None, _given(parse_time)]


class _Part(BaseModel):
    """A mapping in the document. A key without a value counts as not given."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    @model_validator(mode="before")
    @classmethod
    def _drop_empty(cls, value: object) -> object:
        if not isinstance(value, Mapping):
            raise ValueError(f"write a mapping with keys such as {listed(keys_of(cls)[:4])}")
        known = keys_of(cls)
        return {k: v for k, v in value.items() if v is not None or k not in known}

    @field_validator("*", mode="before")
    @classmethod
    def _belongs(cls, value: object, info: _Info) -> object:
        """Refuse a key that is foreign to the policy's kind or type, whatever its value."""
        if value is None:
            return value
        key = _key(cls, info.field_name)
        kinds, types = kinds_of(key), TYPES_OF.get(key)
        facts = info.context
        if kinds and facts.keep and facts.keep not in kinds:
            raise ValueError(f"`{key}` belongs to keep: {listed(kinds)}, not to {facts.keep}")
        if types and facts.type and facts.type not in types:
            raise ValueError(f"`{key}` belongs to type: {listed(types)}, not to {facts.type}")
        return value


class FilterDocument(_Part):
    max_rate: Annotated[Micros | None, _within(1, fields.LONGEST)] = Field(
        None, description="least event time between two kept messages of a topic"
    )
    unique: Annotated[bool | None, _given(fields.flag)] = Field(
        None, description="drop a value equal to the one kept before it"
    )
    min: _Number = Field(None, description="smallest number kept")
    max: _Number = Field(None, description="largest number kept")
    allow: _Values = Field(None, description="the only values kept")
    deny: _Values = Field(None, description="values never kept")
    max_size: Annotated[int | None, _given(fields.size)] = Field(
        None, description="largest payload in bytes"
    )

    @field_validator("max")
    @classmethod
    def _not_below_min(cls, value: float | None, info: _Info) -> float | None:
        least = info.data.get("min")
        if value is not None and least is not None and value < least:
            raise ValueError(f"max {value:g} is below min {least:g}: nothing could pass")
        return value


class TransformDocument(_Part):
    scale: _Number = Field(None, description="factor")
    offset: _Number = Field(None, description="added after scaling")
    round: Annotated[int | None, _given(lambda value: fields.whole(value, 0, 15))] = Field(
        None, description="digits behind the point"
    )
    slice: Annotated[tuple[int | None, int | None] | None, _given(fields.bounds_of_slice)] = Field(
        None, description="first character kept and the one behind the last"
    )


class LimitsDocument(_Part):
    future: Annotated[Micros | None, _within(0, DAY * 366)] = Field(
        None, description="how far ahead of its arrival an event time may lie"
    )


class ActiveDocument(_Part):
    start: _Moment = Field(None, alias="from", description="first event time it holds for")
    until: _Moment = Field(None, description="first event time it no longer holds for")

    @model_validator(mode="before")
    @classmethod
    def _always(cls, value: object) -> object:
        if isinstance(value, str) and value != "always":
            raise ValueError(f"{show(value)}: write always, or a mapping with from and until")
        return {} if isinstance(value, str) else value

    @field_validator("until")
    @classmethod
    def _after_start(cls, value: Micros | None, info: _Info) -> Micros | None:
        start = info.data.get("start")
        if value is not None and start is not None and value <= start:
            raise ValueError(f"until must lie after from ({to_rfc3339(start)})")
        return value


class Document(_Part):
    """One policy as it is written; the fields' descriptions are its reference."""

    name: Annotated[str, BeforeValidator(fields.name)] = Field(description="unique per owner")
    topics: Annotated[
        list[Annotated[str, BeforeValidator(fields.topic_filter)]],
        BeforeValidator(fields.several("topic filters", _MOST_TOPICS)),
    ] = Field(description="MQTT topic filters; each topic that matches is a series of its own")
    type: str = Field(
        description="number, integer, boolean, text or json: what a value is, once it is picked"
    )
    keep: str = Field(description=f"the kind: {listed(KINDS)}")
    at: Annotated[str | None, _given(fields.pointer)] = Field(
        None, description="JSON pointer to the value inside a JSON payload"
    )
    time_at: Annotated[str | None, _given(fields.pointer)] = Field(
        None, description="JSON pointer to the event time inside a JSON payload"
    )
    several: Annotated[dict[str, str] | None, BeforeValidator(_fields)] = Field(
        None,
        alias="fields",
        description="several values of a payload, a series each: {celsius: /t, humidity: /h}",
    )
    split: Annotated[str | None, _given(fields.pointer)] = Field(
        None, description="JSON pointer to an array whose elements are taken apart"
    )
    around: Annotated[
        list[Annotated[str, BeforeValidator(check_surrounding)]] | None,
        _given(fields.several("names of what surrounds a message", MOST_SURROUNDINGS)),
    ] = Field(
        None,
        alias="with",
        description="kept with each value: client, content_type, qos, retain, properties.NAME, …",
    )
    time_unit: Annotated[str | None, _given(lambda value: one_of(value, "unit", UNITS))] = Field(
        None, description="what a number at `time_at` counts: s, ms, us, ns, or auto by its size"
    )
    time_zone: Annotated[str | None, _given(fields.timezone)] = Field(
        None, description="zone of a text at `time_at` that has none (default: `timezone`)"
    )
    time_else: Annotated[
        str | None, _given(lambda value: one_of(value, "way", ("refuse", "received")))
    ] = Field(None, description="a message without a time at `time_at`: refuse it, or received")
    encoding: Annotated[str | None, BeforeValidator(_encoding)] = Field(
        None, description="how the bytes of a payload become the value (default utf-8)"
    )
    strip: Annotated[bool | None, _given(fields.flag)] = Field(
        None, description="drop blanks and NULs around the value"
    )
    map: Annotated[dict[str, Any] | None, BeforeValidator(_mapping)] = Field(
        None, description="values that stand for texts, such as {ON: 1, OFF: 0}"
    )
    decimal: Annotated[str | None, _given(lambda value: one_of(value, "mark", (".", ",")))] = Field(
        None, description="the decimal mark of numbers that are texts"
    )
    span: Annotated[Micros | None, _within(SECOND, fields.LONGEST)] = Field(
        None, alias="for", description="how long to keep what was kept"
    )
    every: Annotated[Micros | None, _given(fields.width)] = Field(
        None,
        description="aggregate: width of a window, to 7d, 1mo or 1y; "
        "last_value: least time between two writes",
    )
    count: Annotated[int | None, _given(lambda value: fields.whole(value, 1, _MOST_COUNT))] = Field(
        None, description="how many messages a ring holds"
    )
    buffer: Annotated[Micros | None, _within(0, DAY)] = Field(
        None, description="write to the store at most this often (default 1s)"
    )
    functions: Annotated[
        list[Annotated[str, BeforeValidator(_function)]] | None,
        _given(fields.several("functions", _MOST_FUNCTIONS)),
    ] = Field(None, description="what an aggregate answers with")
    function_at: Annotated[str | None, _given(fields.pointer)] = Field(
        None, description="JSON pointer to the name of the function that a message asks for"
    )
    function_else: Annotated[
        str | None, _given(lambda value: one_of(value, "function", BY_MESSAGE))
    ] = Field(None, description="the function of messages that name none; else they are put aside")
    timezone: Annotated[str | None, _given(fields.timezone)] = Field(
        None, description="zone to whose hours and days windows are aligned"
    )
    active: ActiveDocument | None = Field(
        None, description="`always`, or from and until, in event time"
    )
    limits: LimitsDocument | None = Field(None, description="which event times are absurd")
    filter: FilterDocument | None = Field(None, description="which messages pass")
    transform: TransformDocument | None = Field(None, description="what is done to those that did")

    @field_validator("type", "keep", mode="before")
    @classmethod
    def _known(cls, value: object, info: _Info) -> str:
        key = _key(cls, info.field_name)
        if value in LATER[key]:
            raise ValueError(
                f"{key}: {value} is not available in this version; "
                f"available are {listed(tuple(_WORDS[key]))}"
            )
        return one_of(value, _NOUNS[key], tuple(_WORDS[key]))

    @field_validator("keep")
    @classmethod
    def _fits_type(cls, value: str, info: _Info) -> str:
        type = info.context.type
        if type is not None and type not in KINDS[value].types:
            others = [kind.name for kind in KINDS.values() if type in kind.types]
            raise ValueError(
                f"keep: {value} takes type: {listed(KINDS[value].types)}, not {type} ({type} goes "
                f"with {listed(others)}); or pick a value with `at` and say its type"
            )
        return value

    @field_validator("time_at")
    @classmethod
    def _needs_json(cls, value: str | None, info: _Info) -> str | None:
        facts = info.context
        if value is not None and facts.type not in (None, "json") and not facts.picks:
            raise ValueError(
                "time_at reads the time out of a JSON payload: say type: json, or pick the value "
                "with `at` or `fields`"
            )
        return value

    @field_validator("around")
    @classmethod
    def _of_single_messages(cls, value: list[str] | None, info: _Info) -> list[str] | None:
        keep = info.context.keep
        if value is not None and keep is not None and KINDS[keep].answers == "windows":
            raise ValueError(f"with goes with kinds that keep single messages, not with {keep}")
        return value

    @field_validator("function_at")
    @classmethod
    def _chooses_for_one_value(cls, value: str | None, info: _Info) -> str | None:
        facts = info.context
        if value is not None and (facts.has_fields or facts.has_split or not facts.has_at):
            raise ValueError("function_at is beside one value: pick that with `at`")
        return value

    @field_validator("function_else")
    @classmethod
    def _is_allowed(cls, value: str | None, info: _Info) -> str | None:
        if value is None:
            return value
        if not info.context.has_function_at:
            raise ValueError("function_else is for messages without one: give function_at too")
        allowed = info.data.get("functions")
        if allowed and value not in allowed:
            raise ValueError(f"function_else is one of functions: {listed(allowed)}")
        return value

    @field_validator("time_unit", "time_zone", "time_else")
    @classmethod
    def _goes_with_time_at(cls, value: str | None, info: _Info) -> str | None:
        if value is not None and not info.context.has_time_at:
            key = _key(cls, info.field_name)
            raise ValueError(f"{key} says how the time at `time_at` is read: give time_at too")
        return value

    @field_validator("*")
    @classmethod
    def _suits_kind(cls, value: Any, info: _Info) -> Any:
        """Apply the checks of the kind to its keys."""
        key, keep = _key(cls, info.field_name), info.context.keep
        own = KINDS[keep].keys.get(key) if keep is not None else None
        if own is None:
            return value
        if value is None and own.needed:
            raise ValueError(f"keep: {keep} needs `{key}`, such as `{key}: {own.needed}`")
        type = info.context.type
        if value is not None and own.types and type is not None and type not in own.types:
            raise ValueError(f"{key} is of type {listed(own.types)}, not of {type}")
        return value if value is None or own.check is None else own.check(value)


@lru_cache
def document_model(kinds: tuple[str, ...]) -> type[Document]:
    """`Document` with the keys that single kinds have for themselves.

    Args:
        kinds: their names, as `KINDS` has them now.
    """
    own: dict[str, Any] = {
        key: (
            Annotated[Any, _given(declared.accept)],
            Field(None, description=declared.description),
        )
        for name in kinds
        for key, declared in KINDS[name].keys.items()
        if declared.accept is not None
    }
    return create_model("Document", __base__=Document, **own) if own else Document


_WORDS: dict[str, Iterable[str]] = {"type": TYPES, "keep": KINDS}
_NOUNS = {"type": "type", "keep": "kind"}


def _key(model: type[BaseModel], field: str | None) -> str:
    """The name of a field in the document."""
    assert field is not None
    return model.model_fields[field].alias or field


def keys_of(model: type[BaseModel]) -> list[str]:
    return [_key(model, field) for field in model.model_fields]
