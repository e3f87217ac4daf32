"""What the tiles of a board show: each asks the same functions as the API, as its reader may.

    tile ──READERS[kind]──> values of `templates/parts/tiles.html`, or a sentence that says why not

A tile that fails says so, and the others go on.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import Response

from lakebed.access.actions import Action
from lakebed.api.routes import dead_letters, flow, limits, units
from lakebed.boards import tiles
from lakebed.boards.conditions import Condition
from lakebed.kinds import KINDS
from lakebed.ports.catalog.last_values import LastValue
from lakebed.ports.question import Question
from lakebed.queries import reading
from lakebed.queries.points import EXTREMES
from lakebed.vocabulary.errors import Denied, LakebedError
from lakebed.vocabulary.times import SECOND
from lakebed.vocabulary.topics import is_wildcard, matches
from lakebed.web.curves import Curves, curves_of
from lakebed.web.page import View
from lakebed.web.pictures import picture_of
from lakebed.web.points import series_of
from lakebed.web.tile_policies import (
    Range,
    count,
    fields_of,
    is_direct,
    is_raw,
    last_of,
    newest_of,
    policy_of,
    reader_of,
)
from lakebed.web.words import mark as _

MOST_LAST = 200  # values of one tile
POINTS = 30  # of one curve, for each column of the grid that its tile is wide
MOST_CURVES = 50  # of one plot that moves
_WORST = ("broken", "silent", "fine")

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


def shown(
    view: View, document: Mapping[str, Any], over: Range, drawn: Collection[int] = ()
) -> list[Shown]:
    """All tiles of a board in the order in which they are read: by rows.

    Args:
        drawn: tiles that are left out, because the page draws them itself.
    """
    numbered = [(index, tile) for index, tile in enumerate(document["tiles"]) if index not in drawn]
    numbered.sort(key=lambda one: (one[1]["y"], one[1]["x"]))
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
    """Curves as the server draws them, and what a script needs to draw them so that they move."""
    reader = reader_of(view, tile["topics"])
    policy = policy_of(view, reader, tile, over, numbers=True)
    first, *others = tile["topics"]
    services, points = view.services, POINTS * tile["w"]
    fields, beside = fields_of(tile), tuple(others)
    functions = tile.get("functions", ())
    function = "" if set(functions) & EXTREMES else next(iter(functions), "")
    question = Question(
        policy, first, over.start, over.end, beside=beside, points=points, fields=fields,
        function=function,
    )  # fmt: skip
    page = reading.read(services.series, services.catalog, question)
    count(view, first, policy.name, page.rows)
    rows = page.rows.to_pylist()
    topics = sorted({row["topic"] for row in rows})[:MOST_CURVES]
    named = [
        row | {"topic": series_of(row["topic"], "" if fields else row["field"])} for row in rows
    ]
    found: Curves = curves_of(named, over.start, over.end, functions)
    return {
        "curves": found,
        "policy": policy.name,
        "fields": fields,
        "function": page.question.function,
        "topics": topics,
        "seconds": (over.end - over.start) // SECOND,
        "direct": is_direct(view, policy.name),
        "follows": bool(topics) and view.may(Action.MESSAGES_FOLLOW, *topics),
        "plain": bool(functions) and not {"min", "max"} <= set(functions),
    }


def _number(view: View, tile: Mapping[str, Any], over: Range) -> dict[str, Any]:
    (topic,) = tile["topics"]
    reader = reader_of(view, [topic])
    if (found := last_of(view, reader, tile)) and not tile.get("functions"):
        newest = max(found, key=lambda value: value.time)
        live = is_raw(view, newest.policy)
        return {"value": newest.value, "time": newest.time, "live": topic if live else ""}
    policy = policy_of(view, reader, tile, over)
    rows = newest_of(view, policy, [topic], 1, fields_of(tile))
    if not rows:
        return {"value": None, "time": None, "live": ""}
    row, wanted = rows[0], tile.get("functions") or policy.functions or ("value",)
    return {"value": row.get(wanted[0]), "time": row["time"], "live": ""}


def _table(view: View, tile: Mapping[str, Any], over: Range) -> dict[str, Any]:
    reader = reader_of(view, tile["topics"])
    policy = policy_of(view, reader, tile, over)
    rows = newest_of(view, policy, tile["topics"], tile.get("rows", 10), fields_of(tile))
    names = tuple(tile.get("functions") or policy.functions)
    if KINDS[policy.keep].answers != "windows":
        names = ("value",)
    return {"rows": rows, "names": names, "policy": policy.name}


def _last_values(view: View, tile: Mapping[str, Any], over: Range) -> dict[str, Any]:
    found, fields = last_of(view, reader_of(view, tile["topics"]), tile), fields_of(tile)
    rows = [
        {"topic": series_of(value.topic, "" if fields else value.field),
         "value": value.value == 1 if value.type == "boolean" else value.value,
         "time": value.time, "live": value.topic if is_raw(view, value.policy) else ""}
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
    for value in last_of(view, reader_of(view, tile["topics"]), tile):
        name = series_of(value.topic, "" if fields_of(tile) else value.field)
        if name not in newest or value.time > newest[name].time:
            newest[name] = value
    condition = Condition.of(tile)
    states: list[dict[str, Any]] = [
        {"topic": name, "value": value.value, "time": value.time,
         "state": condition.state(value.value, value.time, over.end)}
        for name, value in newest.items()
    ]  # fmt: skip
    if condition.silent is not None:  # one that was named and never heard
        states += [
            {"topic": topic, "value": None, "time": None, "state": "silent"}
            for topic in tile["topics"]
            if not is_wildcard(topic) and topic not in {one.topic for one in newest.values()}
        ]
    counts = Counter(one["state"] for one in states)
    states.sort(key=lambda one: (_WORST.index(one["state"]), one["topic"]))
    shown = {"rows": states[:MOST_LAST], "counts": counts, "all": len(states)}
    return shown | {"condition": condition}


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
