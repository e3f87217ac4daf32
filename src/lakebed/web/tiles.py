"""What the tiles of a board show: each asks the same functions as the API, as its reader may.

    tile ──READERS[kind]──> values of `templates/parts/tiles.html`, or a sentence that says why not

A tile that fails says so, and the others go on.
"""

from base64 import b64decode
from binascii import Error as NotBase64
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import Response

from lakebed.access.actions import Action
from lakebed.api.callers import Caller
from lakebed.api.routes import dead_letters, flow, limits, units
from lakebed.boards import tiles
from lakebed.kinds import KINDS
from lakebed.policies.document import parse
from lakebed.ports.catalog.last_values import LastValue
from lakebed.ports.catalog.policies import StoredPolicy
from lakebed.ports.question import Question
from lakebed.queries import choice, last_values, reading
from lakebed.vocabulary.errors import BadRequest, Denied, LakebedError, NotFound
from lakebed.vocabulary.policy import Policy
from lakebed.vocabulary.times import Micros, now, parse_duration
from lakebed.vocabulary.topics import matches, overlaps
from lakebed.web.curves import Curves, curves_of
from lakebed.web.page import View
from lakebed.web.words import mark as _

MOST_LAST = 200  # values of one tile
POINTS = 300  # of one curve

OUTCOMES = {
    "received": _("received"),
    "kept": _("kept"),
    "skipped": _("without a policy"),
    "filtered": _("filtered"),
    "late": _("late"),
    "over_quota": _("over a limit"),
    "dead_letter": _("dead letters"),
    "duplicates": _("duplicates"),
    "lost": _("lost"),
    "in_flight": _("in flight"),
}


@dataclass(frozen=True, slots=True)
class Shown:
    """A tile with what it shows.

    Attributes:
        index: its place in the document.
        problem: why it shows nothing; "" where it does.
        values: what the template of its kind needs.
    """

    index: int
    tile: Mapping[str, Any]
    problem: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)


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


def shown(view: View, document: Mapping[str, Any], over: Range) -> list[Shown]:
    """All tiles of a board in the order in which they are read: by rows."""
    numbered = sorted(enumerate(document["tiles"]), key=lambda one: (one[1]["y"], one[1]["x"]))
    return [_shown(view, index, tile, over) for index, tile in numbered]


def _shown(view: View, index: int, tile: Mapping[str, Any], over: Range) -> Shown:
    try:
        return Shown(index, tile, values=_READERS[tile["kind"]](view, tile, over))
    except Denied:
        told = _("You may not read the topics of this tile.")
        return Shown(index, tile, view.word(told))
    except LakebedError as error:
        return Shown(index, tile, str(error))


# --- kinds ----------------------------------------------------------------------------------------


def _plot(view: View, tile: Mapping[str, Any], over: Range) -> dict[str, Any]:
    reader = _reader(view, tile["topics"])
    policy = _series_policy(view, reader, tile, over, numbers=True)
    first, *others = tile["topics"]
    services = view.services
    question = Question(policy, first, over.start, over.end, beside=tuple(others), points=POINTS)
    page = reading.read(services.series, services.catalog, question)
    _count(view, first, policy.name, page.rows)
    found: Curves = curves_of(
        page.rows.to_pylist(), over.start, over.end, tile.get("functions", ())
    )
    return {"curves": found, "policy": policy.name}


def _number(view: View, tile: Mapping[str, Any], over: Range) -> dict[str, Any]:
    (topic,) = tile["topics"]
    reader = _reader(view, [topic])
    if (found := _last(view, reader, tile)) and not tile.get("functions"):
        newest = max(found, key=lambda value: value.time)
        live = _is_raw(view, newest.policy)
        return {"value": newest.value, "time": newest.time, "live": topic if live else ""}
    policy = _series_policy(view, reader, tile, over)
    rows = _newest(view, policy, [topic], 1)
    if not rows:
        return {"value": None, "time": None, "live": ""}
    row, wanted = rows[0], tile.get("functions") or policy.functions or ("value",)
    return {"value": row.get(wanted[0]), "time": row["time"], "live": ""}


def _table(view: View, tile: Mapping[str, Any], over: Range) -> dict[str, Any]:
    reader = _reader(view, tile["topics"])
    policy = _series_policy(view, reader, tile, over)
    rows = _newest(view, policy, tile["topics"], tile.get("rows", 10))
    names = tuple(tile.get("functions") or policy.functions)
    if KINDS[policy.keep].answers != "windows":
        names = ("value",)
    return {"rows": rows, "names": names, "policy": policy.name}


def _last_values(view: View, tile: Mapping[str, Any], over: Range) -> dict[str, Any]:
    found = _last(view, _reader(view, tile["topics"]), tile)
    rows = [
        {"topic": value.topic, "value": value.value, "time": value.time,
         "live": value.topic if _is_raw(view, value.policy) else ""}
        for value in found[:MOST_LAST]
    ]  # fmt: skip
    return {"rows": rows, "more": len(found) - len(rows)}


def _text(view: View, tile: Mapping[str, Any], over: Range) -> dict[str, Any]:
    return {}


def _image(view: View, tile: Mapping[str, Any], over: Range) -> dict[str, Any]:
    picture = picture_of(view, tile)
    return {"time": None if picture is None else picture.time, "there": picture is not None}


def _alert(view: View, tile: Mapping[str, Any], over: Range) -> dict[str, Any]:
    newest: dict[str, LastValue] = {}
    for value in _last(view, _reader(view, tile["topics"]), tile):
        if value.topic not in newest or value.time > newest[value.topic].time:
            newest[value.topic] = value
    rows = [
        {"topic": value.topic, "value": value.value, "time": value.time,
         "state": state_of(value.value, value.time, tile, over.end)}
        for value in newest.values()
    ]  # fmt: skip
    wrong = [row for row in rows if row["state"] != "good"]
    return {"rows": wrong[:MOST_LAST], "wrong": len(wrong), "all": len(rows)}


def state_of(value: float | str, time: Micros, tile: Mapping[str, Any], moment: Micros) -> str:
    """`good`, or what is wrong with a last value: `silent`, `text`, `low` or `high`."""
    silent = tile.get("silent")
    if silent is not None and moment - time > parse_duration(silent):
        return "silent"
    least, most = tile.get("min"), tile.get("max")
    if least is None and most is None:
        return "good"
    if isinstance(value, str):
        return "text"
    if least is not None and value < least:
        return "low"
    return "high" if most is not None and value > most else "good"


def _flow(view: View, tile: Mapping[str, Any], over: Range) -> dict[str, Any]:
    caller = view.caller.to(Action.FLOW_READ)
    caller.require_owner()
    topics = tile.get("topics", ())
    if not topics or "#" in topics:
        found = flow.flow(view.services, caller)
        rows = [found]
    else:
        caller.require(*topics)
        by_topic = flow.flow(view.services, caller, "topic")["topics"]
        rows = [row for row in by_topic if any(matches(one, row["topic"]) for one in topics)]
    total: Counter[str] = Counter()
    for row in rows:
        for name in OUTCOMES:
            value = row[name]
            total[name] += sum(value.values()) if isinstance(value, dict) else value
    return {"rows": [(name, OUTCOMES[name], total[name]) for name in OUTCOMES]}


def _load(view: View, tile: Mapping[str, Any], over: Range) -> dict[str, Any]:
    caller = view.caller.to(Action.LOAD_READ)
    caller.require_owner()
    found = limits.load(view.services, caller, "topic", "1m", tile.get("rows", 10))
    return {"rows": found["load"]}


def _errors(view: View, tile: Mapping[str, Any], over: Range) -> dict[str, Any]:
    topics = tile.get("topics") or ["#"]
    caller = view.caller.to(Action.FLOW_READ)
    caller.require_owner()
    examples = flow.flow(view.services, caller, examples=True)["examples"]
    letters = dead_letters.list_letters(
        view.services, view.caller.to(Action.DEAD_LETTERS_READ), limit=1000
    )
    rows = [
        {"topic": one["topic"], "time": one["received"], "reason": one["reason"],
         "policy": one["policy"]}
        for one in [*examples, *({"reason": "dead_letter"} | x for x in letters["dead_letters"])]
        if any(one_filter == "#" or matches(one_filter, one["topic"]) for one_filter in topics)
    ]  # fmt: skip
    rows.sort(key=lambda row: row["time"], reverse=True)
    return {"rows": rows[: tile.get("rows", 10)], "waiting": letters["waiting"]}


def _units(view: View, tile: Mapping[str, Any], over: Range) -> dict[str, Any]:
    caller = view.caller.to(Action.UNITS_READ)
    caller.require_owner()
    most = tile.get("rows", 10)
    if name := tile.get("unit"):
        return {"rows": [units.read_unit(view.services, caller, name, Response())], "more": False}
    found = units.list_units(view.services, caller, tag=tile.get("tag"), limit=most, cursor="")
    return {"rows": found["units"], "more": found["next_cursor"] is not None}


_READERS: dict[str, Callable[[View, Mapping[str, Any], Range], dict[str, Any]]] = {
    "plot": _plot,
    "number": _number,
    "table": _table,
    "last": _last_values,
    "text": _text,
    "image": _image,
    "alert": _alert,
    "flow": _flow,
    "load": _load,
    "errors": _errors,
    "units": _units,
}
assert _READERS.keys() == tiles.KINDS.keys()


# --- pictures -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Picture:
    """Attributes:
    media: one of `_MAGIC`; never what the sender says.
    """

    media: str
    data: bytes
    time: Micros


_MAGIC = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}


def picture_of(view: View, tile: Mapping[str, Any]) -> Picture | None:
    """The newest picture of a tile; None where nothing was kept yet.

    Raises:
        BadRequest: the newest value is no picture.
        Denied: the reader may not read its topic.
    """
    (topic,) = tile["topics"]
    reader = _reader(view, [topic])
    if found := _last(view, reader, tile):
        newest = max(found, key=lambda value: value.time)
        return _decoded(newest.value, newest.time)
    policy = _series_policy(view, reader, tile, Range("1h", 0, now()))
    rows = _newest(view, policy, [topic], 1)
    return _decoded(rows[0].get("value"), rows[0]["time"]) if rows else None


def _decoded(value: object, time: Micros) -> Picture:
    text = value.strip().strip('"') if isinstance(value, str) else ""
    if text.startswith("data:image/"):
        text = text.partition(";base64,")[2]
    try:
        data = b64decode(text, validate=True)
    except (NotBase64, ValueError):
        data = b""
    media = next((kind for start, kind in _MAGIC.items() if data.startswith(start)), "")
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        media = "image/webp"
    if not media:
        raise BadRequest("topics", "the newest value is no PNG, JPEG, GIF or WebP as Base64")
    return Picture(media, data, time)


# --- what is asked --------------------------------------------------------------------------------


def _reader(view: View, topics: list[str]) -> Caller:
    """The reader of the board, who may read these topics.

    Raises:
        Denied: they may not.
    """
    caller = view.caller.to(Action.RECORDS_READ)
    caller.require(*topics)
    return caller


def _last(view: View, reader: Caller, tile: Mapping[str, Any]) -> list[LastValue]:
    """Last values of all topics under the filters of a tile, each once."""
    catalog, policy = view.services.catalog, tile.get("policy")
    found = {
        (value.topic, value.policy): value
        for topic in tile["topics"]
        for value in last_values.find(catalog, view.owner, topic, policy)
    }
    values = [value for _, value in sorted(found.items())]
    size = sum(value.size for value in values)
    view.services.sent(
        "page", view.owner, reader.label, tile["topics"][0], policy or "", len(values), size
    )
    return values


def _is_raw(view: View, policy: str) -> bool:
    """Whether a policy keeps payloads as they come, so that live ones may be shown for it."""
    for stored in view.services.catalog.policies(view.owner):
        if stored.name == policy:
            return not {"at", "transform"} & stored.document.keys()
    return False


def _series_policy(
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
    if KINDS[document["keep"]].answers == "values" or (numbers and document["type"] != "number"):
        return False
    return any(overlaps(own, topic) for own in document["topics"] for topic in topics)


def _newest(view: View, policy: Policy, topics: list[str], most: int) -> list[dict[str, Any]]:
    """The newest rows of a policy, each with `topic`, `time` in microseconds, and its values."""
    services = view.services
    first, *others = topics
    question = Question(policy, first, order="desc", limit=most, beside=tuple(others))
    table = reading.read(services.series, services.catalog, question).rows
    _count(view, first, policy.name, table)
    rows = table.to_pylist()
    if KINDS[policy.keep].answers == "windows":
        return [row | {"time": row["start"]} for row in rows]
    return [row | {"value": row["text"] or row["number"]} for row in rows]


def _count(view: View, topic: str, policy: str, rows: Any) -> None:
    """Count for the byte ledger what a tile was given, as it is in memory."""
    label = view.caller.label
    view.services.sent("page", view.owner, label, topic, policy, len(rows), rows.nbytes)
