"""The draft of a policy: one document, shown as fields of a form and as YAML.

    fields ──into──> document <──read── YAML text        the document is the truth
      ^                  │  └──written──> YAML text
      └──────of──────────┘

What the fields do not show (filters, transforms) stays in the document as the YAML has it.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, cast

import yaml
from pydantic import BaseModel

from lakebed.documents.sections import path_text
from lakebed.documents.source import Path, read_source
from lakebed.kinds import KINDS
from lakebed.kinds.tables import TYPES
from lakebed.policies.document import PARTS
from lakebed.policies.preparing import ENCODINGS
from lakebed.policies.schema import document_model, keys_of
from lakebed.vocabulary.errors import Invalid, Problem
from lakebed.vocabulary.policy import BY_MESSAGE
from lakebed.vocabulary.surroundings import NAMES as SURROUNDINGS
from lakebed.vocabulary.surroundings import PROPERTY
from lakebed.vocabulary.time_parsing import UNITS
from lakebed.web.page import Form

TEXTS = (
    "name", "type", "keep", "at", "time_at", "for", "every", "count", "buffer", "timezone",
    "counter_bits", "split", "encoding", "decimal", "strip", "time_unit", "time_zone", "time_else",
    "function_at", "function_else",
)  # fmt: skip
"""Keys of a document that are one text or number in the form."""

_WORDS = (
    "name", "type", "keep", "at", "time_at", "timezone", "split", "encoding", "decimal",
    "time_unit", "time_zone", "time_else", "function_at", "function_else",
)  # fmt: skip
"""Those of them that are never numbers."""

PAIRS = {"pointers": "fields", "map": "map"}
"""Keys that are lines of YAML in the form, `name: value`, by the name that they have there."""

LISTS = ("topics", "functions")
BOUNDS = ("from", "until")  # of `active`
LIMITS = ("future",)
FILTERS = ("min", "max", "max_rate")
TRANSFORMS = ("scale", "offset", "round")
_PARTS = {"active": BOUNDS, "limits": LIMITS, "filter": FILTERS, "transform": TRANSFORMS}
_NEW = {"type": "number", "keep": "window", "for": "30d"}


def begun(topic: str) -> dict[str, Any]:
    """A draft for a topic, with what most people begin with."""
    name = "-".join(part for part in topic.split("/") if part.strip("+#$")) or "readings"
    name = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in name)
    return {
        "name": name.strip(".-_")[:64] or "readings",
        "topics": [topic] if topic else [],
        **_NEW,
    }


def written(document: Mapping[str, Any]) -> str:
    """A document as YAML."""
    text: str = yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True, width=88)
    return text


def read(text: str) -> dict[str, Any]:
    """The document in a YAML text: one policy, also where it stands in a list or a section.

    Raises:
        Invalid: it is no YAML, or no single policy.
    """
    found = read_source(text).value if text.strip() else {}
    if isinstance(found, dict) and set(found) == {"policies"}:
        found = found["policies"]
    if isinstance(found, list) and len(found) == 1:
        found = found[0]
    if not isinstance(found, dict):
        raise Invalid(Problem("", "write one policy here: a mapping with name, topics and others"))
    return found


def fields_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """What the fields show of a document, as texts and lists of texts."""
    shown: dict[str, Any] = {key: _text(document.get(key)) for key in TEXTS}
    for key in LISTS:
        value = document.get(key)
        shown[key] = [_text(one) for one in value] if isinstance(value, list) else []
    for name, key in PAIRS.items():
        value = document.get(key)
        shown[name] = written(value).strip() if isinstance(value, dict) else _text(value)
    beside = document.get("with")
    shown["with"] = ", ".join(map(_text, beside)) if isinstance(beside, list) else ""
    for part, keys in _PARTS.items():
        value = document.get(part)
        inside = value if isinstance(value, dict) else {}
        shown |= {f"{part}.{key}": _text(inside.get(key)) for key in keys}
    return shown


def into(document: Mapping[str, Any], form: Form) -> dict[str, Any]:
    """The document with what the fields say."""
    changed = dict(document)
    for key in TEXTS:
        if key in form:
            text = form.text(key)
            _set(changed, key, text if key in _WORDS else _value(text, document.get(key)))
    for name, key in PAIRS.items():
        if name in form:
            _set(changed, key, _pairs(form.raw(name)))
    if "topics" in form:
        _set(
            changed,
            "topics",
            [one.strip() for one in form.raw("topics").split("\n") if one.strip()],
        )
    if "with" in form:
        _set(changed, "with", [one.strip() for one in form.raw("with").split(",") if one.strip()])
    if "fields" in form:  # boxes that are not checked are not sent
        _set(changed, "functions", form.get("functions", []))
    for part, keys in _PARTS.items():
        given = [key for key in keys if f"{part}.{key}" in form]
        if not given:
            continue
        value = changed.get(part)
        inside = dict(value) if isinstance(value, dict) else {}
        for key in given:
            _set(inside, key, _value(form.text(f"{part}.{key}"), inside.get(key)))
        if inside or isinstance(value, dict) or value is None:
            _set(changed, part, inside)
    kind = KINDS.get(str(changed.get("keep")))
    if kind is not None and "fields" in form:
        foreign = {key for other in KINDS.values() for key in other.keys} - set(kind.keys)
        for key in foreign:
            changed.pop(key, None)
    return changed


def located(
    text: str, problems: Sequence[Problem], section: str = "policies"
) -> tuple[Problem, ...]:
    """Problems of the document in a text, with the lines that they are about.

    Args:
        section: in which the document may stand, as its only entry.
    """
    try:
        source = read_source(text)
    except Invalid:
        return tuple(problems)
    value, prefix = source.value, cast(Path, ())
    if isinstance(value, dict) and set(value) == {section}:
        value, prefix = value[section], (section,)
    if isinstance(value, list):
        prefix = (*prefix, 0)
    depth = len(prefix)
    inside = (path for path in source.lines if path[:depth] == prefix)
    lines = {path_text(path[depth:]): source.lines[path] for path in inside}
    return tuple(
        one if one.line is not None else Problem(one.where, one.what, _line_of(lines, one.where))
        for one in problems
    )


def _line_of(lines: Mapping[str, int], where: str) -> int:
    """The line of a value; if it is missing, of the nearest value around it."""
    while where and where not in lines:
        where = where[: max(where.rfind("."), where.rfind("["), 0)]
    return lines.get(where, 1)


@cache
def completions() -> dict[str, Any]:
    """What an editor of the YAML offers.

    Returns `keys`, with their descriptions, by the key that they stand under; `values` by key; and
    `kinds`, the keys that only some kinds have, by kind.
    """
    model = document_model(tuple(KINDS))
    functions = [one for kind in KINDS.values() for all in kind.functions.values() for one in all]
    return {
        "keys": {name: _described(part) for name, part in {"": model, **PARTS}.items()},
        "values": {
            "type": list(TYPES),
            "keep": list(KINDS),
            "functions": list(dict.fromkeys(functions)),
            "function_else": list(BY_MESSAGE),
            "unique": ["true", "false"],
            "strip": ["true", "false"],
            "encoding": list(dict.fromkeys(one for all in ENCODINGS.values() for one in all)),
            "decimal": [".", ","],
            "time_unit": list(UNITS),
            "time_else": ["refuse", "received"],
            "active": ["always"],
            "with": [*SURROUNDINGS, PROPERTY],
        },
        "kinds": keys_by_kind(),
    }


def _described(model: type[BaseModel]) -> dict[str, str]:
    fields = zip(keys_of(model), model.model_fields.values(), strict=True)
    return {key: field.description or "" for key, field in fields}


def keys_by_kind() -> dict[str, list[str]]:
    """For each kind the keys that it has and others have not."""
    return {name: sorted(kind.keys) for name, kind in KINDS.items()}


def _set(document: dict[str, Any], key: str, value: Any) -> None:
    if value in ("", [], {}):
        document.pop(key, None)
    else:
        document[key] = value


def _pairs(text: str) -> Any:
    """Lines of YAML as a mapping; the text as it is where it is none, which the check tells."""
    try:
        return read_source(text).value if text.strip() else {}
    except Invalid:
        return text.strip()


def _value(text: str, before: Any) -> Any:
    """A text of the form as YAML would read it, if that is a number; unchanged where it is."""
    if not text or _text(before) == text:
        return before if text else ""
    if text in ("true", "false"):
        return text == "true"
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
