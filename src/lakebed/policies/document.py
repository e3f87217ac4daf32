"""Parses, validates and formats policy documents.

    file text ──read_file──> mappings ──parse──> Policy ──to_document──> mapping

All problems are found at once. Each says its path, what is wrong and what is allowed, and in a file
its line.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

from lakebed.documents.sections import DocumentSection, Entry, path_text, read_entries
from lakebed.documents.source import Path
from lakebed.kinds import KINDS, Kind
from lakebed.kinds.tables import TYPES
from lakebed.policies import schema
from lakebed.policies.fields import listed, suggest
from lakebed.policies.fields import timezone as check_timezone
from lakebed.policies.schema import Document, facts_of, keys_of
from lakebed.policies.warnings import LONGEST_TOPIC, Repeated, warnings
from lakebed.vocabulary.errors import Invalid, Problem, show
from lakebed.vocabulary.policy import CHOSEN, Filter, Policy, Transform
from lakebed.vocabulary.sizes import format_size
from lakebed.vocabulary.times import HOUR, Micros, format_duration, now, to_rfc3339
from lakebed.vocabulary.widths import format_width

_MISSING = {
    "name": "a policy needs a name, such as `name: raw-day`",
    "topics": "a policy needs topics, such as `topics: [plant/+/temperature]`",
    "type": f"a policy needs a type: {listed(TYPES)}",
    "keep": f"a policy needs to say what to keep: {listed(KINDS)}",
}
PARTS: dict[str, type[BaseModel]] = {
    "filter": schema.FilterDocument,
    "transform": schema.TransformDocument,
    "active": schema.ActiveDocument,
    "limits": schema.LimitsDocument,
}
"""Mappings inside a document."""


class PolicyFile(NamedTuple):
    """The policies of a file: each as written, with its lines, and as parsed."""

    entries: list[Entry]
    policies: list[Policy]

    @property
    def documents(self) -> list[dict[str, Any]]:
        """Each as it was written, as plain JSON values."""
        return [entry.value for entry in self.entries]


def parse(
    document: Mapping[str, Any], owner: str, version: int = 0, default_timezone: str = "UTC"
) -> Policy:
    """Validate a document, and convert it to the policy that the keeper uses.

    Args:
        document: decoded JSON or YAML.
        owner: owner of the policy.
        version: version of the policy.
        default_timezone: time zone of an aggregate's windows if the document names none.

    Raises:
        Invalid: it has all problems.
    """
    policy = checked(document, owner, version, default_timezone)
    if isinstance(policy, Policy):
        return policy
    raise Invalid(*(Problem(path_text(path), what) for path, what in policy))


def checked(
    document: object, owner: str, version: int = 0, default_timezone: str = "UTC"
) -> Policy | list[tuple[Path, str]]:
    """The policy of a document, or what is wrong with it: paths within it, and what is allowed."""
    if not isinstance(document, Mapping):
        return [((), "a policy is a mapping with the keys name, topics, type, keep and others")]
    try:
        model = schema.document_model(tuple(KINDS))
        checked = model.model_validate(document, context=facts_of(document))
        if "timezone" in KINDS[checked.keep].keys:
            check_timezone(checked.timezone or default_timezone)
    except ValidationError as error:
        return [_explain(entry) for entry in error.errors(include_url=False)]
    except ValueError as error:  # the default of the settings is no zone
        return [(("timezone",), str(error))]
    return _policy(checked, owner, version, default_timezone)


def _explain(entry: Any) -> tuple[Path, str]:
    """Convert an error of Pydantic."""
    # for a missing field Pydantic gives the name of the field, not its alias
    path = tuple(
        {"span": "for", "start": "from", "around": "with"}.get(step, step) for step in entry["loc"]
    )
    key = str(path[-1]) if path else ""
    if entry["type"] == "extra_forbidden":
        return path, _unknown(key, path[:-1])
    if entry["type"] == "missing":
        return path, _MISSING[key]
    if entry["type"] == "invalid_key":
        return path[:-1], f"a key is text, not {show(key)}"
    return path, str(entry["msg"]).removeprefix("Value error, ")


def _unknown(key: str, within: Path) -> str:
    """The problem of an unknown key, which may belong to another section or be misspelt."""
    section = str(within[0]) if within else ""
    elsewhere = [name for name, part in PARTS.items() if key in keys_of(part) and name != section]
    if elsewhere:
        return f"there is no key `{key}` here: it belongs under `{elsewhere[0]}`"
    if section and key in keys_of(Document):
        return f"there is no key `{key}` under `{section}`: it belongs to the policy itself"
    known = keys_of(PARTS.get(section, Document))
    return f"there is no key `{key}`: {suggest(key, known)}"


def _policy(doc: Document, owner: str, version: int, default_timezone: str) -> Policy:
    kind = KINDS[doc.keep]

    def chosen(key: str, value: Any) -> Any:
        """The value in the document, else the kind's default."""
        return kind.keys[key].default if value is None and key in kind.keys else value

    functions = tuple(doc.functions or kind.default_functions.get(doc.type, ()))
    several = tuple((doc.several or {}).items())
    if doc.function_at is not None:  # each function is a series of its own
        several, functions = tuple((name, doc.at or "") for name in functions), (CHOSEN,)
    own = {key: chosen(key, getattr(doc, key)) for key in _own_keys(kind)}
    active = doc.active or schema.ActiveDocument()
    zone = doc.timezone or default_timezone
    return Policy(
        owner=owner,
        name=doc.name,
        topics=tuple(doc.topics),
        type=doc.type,  # type: ignore[arg-type]  # checked to be one of them
        keep=doc.keep,
        version=version,
        at=doc.at,
        time_at=doc.time_at,
        fields=several,
        split=doc.split,
        around=tuple(doc.around or ()),
        time_unit=doc.time_unit or "auto",  # type: ignore[arg-type]  # checked to be one of them
        time_zone="UTC" if doc.time_at is None else doc.time_zone or zone,
        time_else=doc.time_else or "refuse",  # type: ignore[arg-type]
        encoding=doc.encoding or "utf-8",
        strip=bool(doc.strip),
        map=tuple(sorted((doc.map or {}).items())),
        decimal=doc.decimal or ".",
        span=doc.span,
        every=chosen("every", doc.every),
        count=doc.count,
        buffer=chosen("buffer", doc.buffer) or 0,
        functions=functions,
        function_at=doc.function_at,
        function_else=doc.function_else,
        timezone=zone if "timezone" in kind.keys else "UTC",
        options=own,
        active_from=active.start,
        active_until=active.until,
        future=None if doc.limits is None else doc.limits.future,
        filter=_filter(doc.filter),
        transform=_transform(doc.transform),
    )


def _own_keys(kind: Kind) -> list[str]:
    """Keys that only this kind has."""
    return [key for key, declared in kind.keys.items() if declared.accept is not None]


def _filter(doc: schema.FilterDocument | None) -> Filter:
    if doc is None:
        return Filter()
    return Filter(
        max_rate=doc.max_rate,
        unique=bool(doc.unique),
        min=doc.min,
        max=doc.max,
        allow=None if doc.allow is None else frozenset(doc.allow),
        deny=None if doc.deny is None else frozenset(doc.deny),
        max_size=doc.max_size,
    )


def _transform(doc: schema.TransformDocument | None) -> Transform:
    if doc is None:
        return Transform()
    return Transform(
        scale=1.0 if doc.scale is None else doc.scale,
        offset=0.0 if doc.offset is None else doc.offset,
        round=doc.round,
        slice=doc.slice,
    )


def to_document(policy: Policy) -> dict[str, Any]:
    """The document of a policy, defaults filled in: `parse` of it gives an equal policy."""
    document: dict[str, Any] = {
        "name": policy.name,
        "topics": list(policy.topics),
        "type": policy.type,
        "at": policy.at,
        "fields": (dict(policy.fields) or None) if policy.function_at is None else None,
        "split": policy.split,
        "with": list(policy.around) or None,
        "time_at": policy.time_at,
        **_times(policy),
        "encoding": policy.encoding if policy.encoding != "utf-8" else None,
        "strip": True if policy.strip else None,
        "map": {key: _plain(value) for key, value in policy.map} or None,
        "decimal": policy.decimal if policy.decimal != "." else None,
        "keep": policy.keep,
        "for": _duration(policy.span),
        "every": None if policy.every is None else format_width(policy.every),
        "count": policy.count,
        "functions": list(policy.functions) or None,
        **_chosen_functions(policy),
    }
    kind = KINDS[policy.keep]
    if "timezone" in kind.keys:
        document["timezone"] = policy.timezone
    if "buffer" in kind.keys:
        document["buffer"] = _duration(policy.buffer)
    for key in _own_keys(kind):
        write, value = kind.keys[key].write, policy.options[key]
        document[key] = write(value) if write is not None and value is not None else value
    document |= {
        "active": _given({"from": _time(policy.active_from), "until": _time(policy.active_until)}),
        "limits": _given({"future": _duration(policy.future)}),
        "filter": _given(_filter_document(policy.filter)),
        "transform": _given(_transform_document(policy.transform)),
    }
    return _given(document) or {}


def _chosen_functions(policy: Policy) -> dict[str, Any]:
    """Which functions messages choose from; nothing where they choose none."""
    if policy.function_at is None:
        return {}
    return {
        "functions": list(policy.field_names),
        "function_at": policy.function_at,
        "function_else": policy.function_else,
    }


def _times(policy: Policy) -> dict[str, Any]:
    """How times of the payload are read; nothing where none is."""
    if policy.time_at is None:
        return {}
    return {
        "time_unit": policy.time_unit if policy.time_unit != "auto" else None,
        "time_zone": policy.time_zone,
        "time_else": policy.time_else if policy.time_else != "refuse" else None,
    }


def _given(document: dict[str, Any]) -> dict[str, Any] | None:
    return {key: value for key, value in document.items() if value is not None} or None


def _filter_document(filter: Filter) -> dict[str, Any]:
    return {
        "max_rate": _duration(filter.max_rate),
        "unique": True if filter.unique else None,
        "min": _number(filter.min),
        "max": _number(filter.max),
        "allow": _values(filter.allow),
        "deny": _values(filter.deny),
        "max_size": _size(filter.max_size),
    }


def _transform_document(transform: Transform) -> dict[str, Any]:
    return {
        "scale": _number(transform.scale) if transform.scale != 1 else None,
        "offset": _number(transform.offset) if transform.offset != 0 else None,
        "round": transform.round,
        "slice": None if transform.slice is None else list(transform.slice),
    }


def _duration(micros: Micros | None) -> str | None:
    if micros is None:
        return None
    # a day is written as 24h, not 1d; a retention of whole weeks in weeks
    return "24h" if micros == 24 * HOUR else format_duration(micros)


def _time(micros: Micros | None) -> str | None:
    return None if micros is None else to_rfc3339(micros)


def _number(value: float | None) -> float | int | None:
    return int(value) if value is not None and value.is_integer() and abs(value) < 1e15 else value


def _values(values: frozenset[float] | frozenset[str] | None) -> list[Any] | None:
    if values is None:
        return None
    return [_plain(value) for value in sorted(values)]


def _plain(value: Any) -> Any:
    return _number(value) if isinstance(value, float) else value


def _size(size: int | None) -> str | int | None:
    if size is None:
        return None
    return format_size(size)


def section(owner: str, default_timezone: str = "UTC") -> DocumentSection:
    """Policies in a document: `policies:` with a list."""
    return collecting([], owner, default_timezone)


class Surroundings(NamedTuple):
    """What warnings depend on besides the policies of a document.

    Attributes:
        documents: policies in force, as `to_document` writes them.
        longest: see `warnings.warnings`, as `systems`.
    """

    documents: Sequence[Mapping[str, Any]] = ()
    longest: int = LONGEST_TOPIC
    systems: Sequence[str] = ()


def warnings_of(policy: Policy, around: Surroundings) -> list[tuple[Path, str]]:
    """What is hardly meant in a policy, by itself and beside those in force."""
    return _warnings_of(policy, around, Repeated(around.documents))


def _warnings_of(policy: Policy, around: Surroundings, others: Repeated) -> list[tuple[Path, str]]:
    found = warnings(policy, now(), around.longest, around.systems)
    return found + others.warnings(to_document(policy))


def collecting(
    found: list[Policy],
    owner: str,
    default_timezone: str,
    around: Surroundings = Surroundings(),  # noqa: B008  # it is immutable
) -> DocumentSection:
    """The section; its check adds each valid policy to `found`."""

    def check(document: object) -> list[tuple[Path, str]]:
        result = checked(document, owner, 0, default_timezone)
        if not isinstance(result, Policy):
            return result
        found.append(result)
        return []

    def warn(document: object) -> list[tuple[Path, str]]:
        result = checked(document, owner, 0, default_timezone)
        return _warnings_of(result, around, others()) if isinstance(result, Policy) else []

    @cache
    def others() -> Repeated:
        """The policies found, and those in force whose names they leave."""
        names = {policy.name for policy in found}
        left = (one for one in around.documents if one["name"] not in names)
        return Repeated([*map(to_document, found), *left])

    return DocumentSection("policies", "policy", check, warn)


def read_file(text: str, owner: str, default_timezone: str = "UTC") -> PolicyFile:
    """Read a YAML (or JSON) file: `policies:` with a list, a bare list, or a single policy.

    Raises:
        Invalid: it has the problems of all policies, with their lines.
    """
    policies: list[Policy] = []
    entries = read_entries(text, [collecting(policies, owner, default_timezone)])["policies"]
    return PolicyFile(entries, policies)
