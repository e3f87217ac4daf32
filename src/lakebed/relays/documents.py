"""The document of a relay.

{"name": "minutes", "from": {"policy": "minute", "what": "finished"},
 "to": {"postgres": "secret:warehouse", "table": "minutes", "key": ["topic", "start"]},
 "retry": {"first": "1s", "most": "5m"}, "hold": "5GiB"}

    document ──check──> problems, all at once, with their paths
             ──spec_of──> Spec, what the engine uses

What a message must be like (`type`, `at`, `filter`, `transform`, …) are the keys of policies: they
are checked, and later applied, as those of a policy.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from lakebed.accounts import fields
from lakebed.documents.sections import DocumentSection, path_text
from lakebed.documents.source import Path
from lakebed.policies import document as policies
from lakebed.policies.fields import duration_within, flag, one_of, size, suggest, whole
from lakebed.policies.fields import name as check_name
from lakebed.ports.catalog.outbox import Gives
from lakebed.ports.catalog.relays import StoredRelay
from lakebed.relays import targets
from lakebed.relays.templates import Template
from lakebed.vocabulary.errors import Invalid, Problem, show
from lakebed.vocabulary.limits import Rate
from lakebed.vocabulary.limits import parse as parse_limits
from lakebed.vocabulary.policy import Policy
from lakebed.vocabulary.times import DAY, HOUR, MINUTE, SECOND, Micros

READS = (
    "type", "at", "time_at", "time_unit", "time_zone", "time_else", "encoding", "strip", "map",
    "decimal", "filter", "transform",
)  # fmt: skip
"""Keys of policies: how a value is read out of a message, and which messages pass."""

PACE = ("batch", "every")
"""Keys that may stand under `to` as well as beside it."""

KEYS = (
    "name", "from", "to", *READS, "template", "retry", "hold", *PACE, "rate", "timeout", "paused",
)  # fmt: skip

WHATS = ("finished", "changed", "kept")
STATUS = "status"
"""A key of what is read, which is ignored when it is written."""

MOST_RELAYS = 100
"""Of one owner."""

FIRST, MOST = SECOND, 5 * MINUTE
HOLD = 2**30
TIMEOUT = 30 * SECOND
EVERY = SECOND // 4
LARGEST_BATCH = 100_000
_MILLISECOND: Final = 1_000


@dataclass(frozen=True, slots=True)
class Spec:
    """A relay as the engine uses it; of one owner.

    Attributes:
        id: the lasting identity, as in `ports.relays.Position`.
        version: of the document; it grows with each order too.
        topics: filters of the messages that it passes on; empty where it reads from a policy.
        policy, gives: what it reads of which policy; "" where it passes on messages.
        reader: of the stream of that policy's outbox, as in `Stream`.
        target, options: the kind of its target, and `to` without the keys of the relay itself.
        reading: how values of messages are read and filtered; None where they pass as they are.
        template: makes the payload; None where there is none.
        first, most: the first pause after a failure, and the longest.
        hold: bytes of the journal that may wait for it.
        batch: records of one delivery at most.
        every: how long records wait for others of their delivery.
        rate: records in an interval; empty for no limit.
        timeout: of one delivery.
    """

    owner: str
    name: str
    id: str
    version: int
    topics: tuple[str, ...]
    policy: str
    gives: Gives
    target: str
    options: Mapping[str, Any]
    reading: Policy | None
    template: Template | None
    first: Micros
    most: Micros
    hold: int
    batch: int
    every: Micros
    rate: tuple[Rate, ...]
    timeout: Micros
    paused: bool
    reader: str = ""


def check(document: object) -> list[tuple[Path, str]]:
    """What is wrong with a document: paths within it, and what is allowed there."""
    if not isinstance(document, Mapping):
        return [((), "a relay is a mapping with the keys name, from, to and others")]
    given = {key: value for key, value in document.items() if key != STATUS}
    return [
        *fields.unknown_keys(given, KEYS),
        *fields.name(given, "relay"),
        *_from(given),
        *_to(given),
        *_reading(given),
        *_template(given),
        *_retry(given),
        *_each(given),
    ]


def parse(document: object, owner: str, maker: str = "") -> StoredRelay:
    """The relay of a document, not stored yet.

    Raises:
        Invalid: names everything that is wrong.
    """
    if problems := check(document):
        raise Invalid(*(Problem(path_text(path), what) for path, what in problems))
    assert isinstance(document, Mapping)
    return relay_of(document, owner, maker)


def relay_of(document: Mapping[str, Any], owner: str, maker: str = "") -> StoredRelay:
    """The relay of a document that was checked."""
    given = {k: v for k, v in document.items() if v is not None and k != STATUS}
    if given.get("paused") is False:
        del given["paused"]
    source = given["from"]
    if "policy" in source:
        given["from"] = {"what": "finished", **source}
    return StoredRelay(owner, document["name"], given, maker)


def spec_of(relay: StoredRelay) -> Spec:
    """What the engine uses of a document that was checked, defaults filled in."""
    document = relay.document
    source, to, retry = document["from"], dict(document["to"]), document.get("retry") or {}
    name = next(key for key in to if key in targets.kinds())
    kind = targets.kind(name)
    pace = {key: to.pop(key, None) or document.get(key) for key in PACE}
    every = document.get("every") if pace["every"] is None else pace["every"]
    template = document.get("template")
    rate = document.get("rate")
    return Spec(
        owner=relay.owner,
        name=relay.name,
        id=relay.id,
        version=relay.version,
        topics=tuple(source.get("topics", ())),
        policy=source.get("policy", ""),
        gives=source.get("what", "finished"),
        target=name,
        options=to,
        reading=_policy(document) if document.get("type") is not None else None,
        template=None if template is None else Template.parse(template),
        first=FIRST if retry.get("first") is None else _first(retry["first"]),
        most=MOST if retry.get("most") is None else _most(retry["most"]),
        hold=HOLD if document.get("hold") is None else _hold(document["hold"]),
        batch=pace["batch"] or kind.batch,
        every=(EVERY if kind.every is None else kind.every) if every is None else _every(every),
        rate=() if rate is None else _rate(rate),
        timeout=TIMEOUT if document.get("timeout") is None else _timeout(document["timeout"]),
        paused=bool(document.get("paused")),
        reader=relay.reader,
    )


def section() -> DocumentSection:
    """Relays in a document: `relays:` with a list."""
    return DocumentSection("relays", "relay", check)


# --- the parts ------------------------------------------------------------------------------------


def _from(document: Mapping[Any, Any]) -> fields.Problems:
    source = document.get("from")
    if not isinstance(source, Mapping) or ("topics" in source) == ("policy" in source):
        yield (
            ("from",),
            "a relay needs what it passes on: {topics: [a/#]}, or {policy: NAME, what: finished}",
        )
        return
    if "topics" in source:
        for path, what in fields.unknown_keys(source, ("topics",)):
            yield ("from", *path), what
        for path, what in fields.filters(source, "topics"):
            yield ("from", *path), what
        if source["topics"] == []:
            yield ("from", "topics"), "write at least one topic filter, such as `#` for all"
        return
    for path, what in fields.unknown_keys(source, ("policy", "what")):
        yield ("from", *path), what
    yield from _checked(("from", "policy"), source["policy"], check_name)
    if source.get("what") is not None:
        yield from _checked(("from", "what"), source["what"], _what)


def _what(value: object) -> str:
    return one_of(value, "such thing: a policy gives what is", WHATS)


def _to(document: Mapping[Any, Any]) -> fields.Problems:
    to, known = document.get("to"), targets.kinds()
    if not isinstance(to, Mapping):
        yield ("to",), f"a relay needs a target: a mapping with one of the keys {', '.join(known)}"
        return
    named = [key for key in to if key in known]
    if len(named) != 1:
        also = f": {suggest(str(next(iter(to))), known)}" if to and not named else ""
        yield ("to",), f"a target has one of the keys {', '.join(known)}, not {len(named)}{also}"
        return
    kind = targets.kind(named[0])
    own = {key: value for key, value in to.items() if key not in PACE}
    for path, what in fields.unknown_keys(to, (named[0], *kind.keys, *PACE)):
        yield ("to", *path), what
    for key in PACE:
        if to.get(key) is not None and document.get(key) is not None:
            yield ("to", key), f"`{key}` stands beside `to` already: leave out one of the two"
    yield from _paces(to, ("to",))
    for path, what in kind.check(own):
        yield ("to", *path), what


def _reading(document: Mapping[Any, Any]) -> fields.Problems:
    given = [key for key in READS if document.get(key) is not None]
    if not given:
        return
    source = document.get("from")
    if isinstance(source, Mapping) and "policy" in source:
        yield (
            (given[0],),
            f"`{given[0]}` is about messages: what a policy gives was filtered and changed there",
        )
        return
    if document.get("type") is None:
        yield (given[0],), f"`{given[0]}` reads values: say their type, such as `type: number`"
        return
    found = policies.checked(_as_policy(document), "relays")
    if not isinstance(found, Policy):
        yield from (p for p in found if p[0] and p[0][0] in READS)


def _as_policy(document: Mapping[Any, Any]) -> dict[str, Any]:
    reads = {key: document[key] for key in READS if document.get(key) is not None}
    return {"name": "relay", "topics": ["#"], "keep": "archive", **reads}


def _policy(document: Mapping[str, Any]) -> Policy:
    found = policies.checked(_as_policy(document), "relays")
    assert isinstance(found, Policy)
    return found


def _template(document: Mapping[Any, Any]) -> fields.Problems:
    if document.get("template") is not None:
        yield from _checked(("template",), document["template"], Template.parse)


def _retry(document: Mapping[Any, Any]) -> fields.Problems:
    retry = document.get("retry")
    if retry is None:
        return
    if not isinstance(retry, Mapping):
        yield ("retry",), "write a mapping such as {first: 1s, most: 5m}"
        return
    for path, what in fields.unknown_keys(retry, ("first", "most")):
        yield ("retry", *path), what
    wrong = False
    for key, read in (("first", _first), ("most", _most)):
        if retry.get(key) is not None:
            for problem in _checked(("retry", key), retry[key], read):
                wrong = True
                yield problem
    if not wrong:
        first = FIRST if retry.get("first") is None else _first(retry["first"])
        most = MOST if retry.get("most") is None else _most(retry["most"])
        if first > most:
            yield ("retry", "first"), "the first pause is longer than the longest (`most`)"


def _each(document: Mapping[Any, Any]) -> fields.Problems:
    yield from _paces(document, ())
    for key, read in _VALUES.items():
        if document.get(key) is not None:
            yield from _checked((key,), document[key], read)


def _paces(document: Mapping[Any, Any], within: Path) -> fields.Problems:
    for key, read in (("batch", _batch), ("every", _every)):
        if document.get(key) is not None:
            yield from _checked((*within, key), document[key], read)


def _checked(path: Path, value: object, read: Callable[[Any], object]) -> fields.Problems:
    try:
        read(value)
    except ValueError as error:
        yield path, str(error)


def _first(value: object) -> Micros:
    return duration_within(value, 10 * _MILLISECOND, HOUR)


def _most(value: object) -> Micros:
    return duration_within(value, 10 * _MILLISECOND, DAY)


def _timeout(value: object) -> Micros:
    return duration_within(value, 100 * _MILLISECOND, 5 * MINUTE)


def _every(value: object) -> Micros:
    return duration_within(value, 0, DAY)


def _batch(value: object) -> int:
    return whole(value, 1, LARGEST_BATCH)


def _hold(value: object) -> int:
    found = size(value)
    if found < 2**20:
        raise ValueError(f"{show(value)} is too little: at least 1MiB")
    return found


def _rate(value: object) -> tuple[Rate, ...]:
    if not isinstance(value, str):
        raise ValueError("write records and their interval, such as 100/1s")
    try:
        found: tuple[Rate, ...] = parse_limits({"messages": value})["messages"]
    except Invalid as error:
        raise ValueError(error.problems[0].what) from None
    return found


_VALUES: Mapping[str, Callable[[Any], object]] = {
    "hold": _hold,
    "rate": _rate,
    "timeout": _timeout,
    "paused": flag,
}
