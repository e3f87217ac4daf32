"""How a tile of a board chooses the policy that it shows, and asks it as its reader.

    topics, policy, functions, range ──policy_of──> a series     ──newest_of──> its newest rows
                             └───────last_of──> last values

What is answered is counted for the byte ledger.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lakebed.access.actions import Action
from lakebed.api.callers import Caller
from lakebed.kinds import KINDS
from lakebed.kinds.tables import NUMERIC, TYPES
from lakebed.policies.document import parse
from lakebed.ports.catalog.last_values import LastValue
from lakebed.ports.catalog.policies import StoredPolicy
from lakebed.ports.question import Question
from lakebed.queries import choice, last_values, reading
from lakebed.vocabulary.errors import BadRequest, NotFound
from lakebed.vocabulary.policy import Policy
from lakebed.vocabulary.times import Micros, now, parse_duration
from lakebed.vocabulary.topics import overlaps
from lakebed.web.page import View
from lakebed.web.points import series_of


@dataclass(frozen=True, slots=True)
class Range:
    """The time that a board looks back.

    Attributes:
        text: as it is written, such as `24h`.
    """

    text: str
    start: Micros
    end: Micros

    @classmethod
    def until_now(cls, text: str) -> "Range":
        end = now()
        return cls(text, end - parse_duration(text), end)


def reader_of(view: View, topics: list[str]) -> Caller:
    """The reader of the board, who may read these topics.

    Raises:
        Denied: they may not.
    """
    caller = view.caller.to(Action.RECORDS_READ)
    caller.require(*topics)
    return caller


def last_of(view: View, reader: Caller, tile: Mapping[str, Any]) -> list[LastValue]:
    """Last values of all topics under the filters of a tile, each once."""
    catalog, policy = view.services.catalog, tile.get("policy")
    found = {
        (value.topic, value.policy, value.field): value
        for topic in tile["topics"]
        for value in last_values.find(catalog, view.owner, topic, policy, fields_of(tile))
    }
    values = [value for _, value in sorted(found.items())]
    size = sum(value.size for value in values)
    view.services.sent(
        "page", view.owner, reader.label, tile["topics"][0], policy or "", len(values), size
    )
    return values


def fields_of(tile: Mapping[str, Any]) -> tuple[str, ...]:
    """The one field that a tile is about; none for all."""
    return (tile["field"],) if "field" in tile else ()


CHANGED = frozenset(
    (
        "at", "fields", "split", "time_at", "encoding", "strip", "map", "decimal", "filter",
        "transform", "limits",
    )
)  # fmt: skip
"""Keys with which a policy keeps something else than each payload at the time it came with."""


def is_raw(view: View, policy: str) -> bool:
    """Whether a policy keeps payloads as they come, so that live ones may be shown for it."""
    document = _document(view, policy)
    return document is not None and not CHANGED & document.keys()


def is_direct(view: View, policy: str) -> bool:
    """Whether a policy keeps each message at its time, so that live ones continue its curve."""
    document = _document(view, policy)
    if document is None or KINDS[document["keep"]].answers == "windows":
        return False
    return not CHANGED & document.keys()


def _document(view: View, policy: str) -> Mapping[str, Any] | None:
    found = (
        one.document for one in view.services.catalog.policies(view.owner) if one.name == policy
    )
    return next(found, None)


def policy_of(
    view: View, reader: Caller, tile: Mapping[str, Any], over: Range, numbers: bool = False
) -> Policy:
    """The policy that shows a range best: its own one, else one that keeps all of it, finely.

    Raises:
        NotFound: none keeps the topics.
        BadRequest: there is none of this name.
    """
    catalog = view.services.catalog
    if name := tile.get("policy"):
        known = [one for one in catalog.policies(view.owner) if one.name == name]
        if known and (reader.may_all() or reader.may_some(*known[0].document["topics"])):
            return choice.to_policy(known[0])
        raise BadRequest("policy", f"there is no policy {name!r}")
    fitting = [
        parse(stored.document, stored.owner, stored.version)
        for stored in catalog.policies(view.owner)
        if _fits(stored, tile["topics"], numbers)
        and set(fields_of(tile)) <= (stored.document.get("fields") or {}).keys()
    ]
    if not fitting:
        asked = ", ".join(tile["topics"])
        raise NotFound(f"no policy keeps a series of {asked} yet")
    span = over.end - over.start
    return min(
        fitting,
        key=lambda policy: (
            bool(tile.get("functions")) is not (KINDS[policy.keep].answers == "windows"),
            policy.span is not None and policy.span < span,
            policy.keep == "last_n",
            policy.every or 0,
            policy.name,
        ),
    )


def _fits(stored: StoredPolicy, topics: list[str], numbers: bool) -> bool:
    document = stored.document
    if KINDS[document["keep"]].answers == "values" or (numbers and document["type"] not in NUMERIC):
        return False
    return any(overlaps(own, topic) for own in document["topics"] for topic in topics)


def newest_of(
    view: View, policy: Policy, topics: list[str], most: int, fields: tuple[str, ...] = ()
) -> list[dict[str, Any]]:
    """The newest rows of a policy, each with `topic`, `time` in microseconds, and its values.

    Args:
        fields: which fields; none for all. `topic` names the field then.
    """
    services = view.services
    first, *others = topics
    beside = tuple(others)
    question = Question(policy, first, order="desc", limit=most, beside=beside, fields=fields)
    table = reading.read(services.series, services.catalog, question).rows
    count(view, first, policy.name, table)
    rows = [
        row | {"topic": series_of(row["topic"], "" if fields else row["field"])}
        for row in table.to_pylist()
    ]
    if KINDS[policy.keep].answers == "windows":
        return [row | {"time": row["start"]} for row in rows]
    return [row | {"value": show(row["type"], row["number"], row["text"])} for row in rows]


def show(type: int, number: float, text: str) -> Any:
    """The value of a record; JSON as its text."""
    if type == TYPES["integer"]:
        return int(text)
    if type == TYPES["boolean"]:
        return number == 1
    return number if type == TYPES["number"] else text


def count(view: View, topic: str, policy: str, rows: Any) -> None:
    """Count for the byte ledger what a tile was given, as it is in memory."""
    label = view.caller.label
    view.services.sent("page", view.owner, label, topic, policy, len(rows), rows.nbytes)
