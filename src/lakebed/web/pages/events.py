"""Events: a filter, counts over time and by name, and a table with both times of each."""

from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from fastapi import Query, Response

from lakebed.access.actions import Action
from lakebed.api import event_formats
from lakebed.api.formats import MEDIA_TYPES
from lakebed.api.routes import events as api
from lakebed.ports.events import CountQuestion, EventQuestion, Function
from lakebed.vocabulary.conditions import OPERATORS
from lakebed.vocabulary.errors import BadRequest, Invalid, NotFound, Problem
from lakebed.vocabulary.event_fields import BUILT_IN, Field
from lakebed.vocabulary.time_parsing import parse_time
from lakebed.vocabulary.times import DAY, HOUR, MINUTE, SECOND, Micros, now, to_rfc3339
from lakebed.vocabulary.widths import WEEK
from lakebed.vocabulary.windows import Alignment
from lakebed.web.navigation import Page
from lakebed.web.page import Pages, View, Viewing, problems_of
from lakebed.web.words import mark as _

PAGE = Page("events", "/events", _("Events"), "data", 20, Action.RECORDS_READ)
router = Pages()

SPANS = {
    "15m": _("15 minutes"),
    "1h": _("an hour"),
    "24h": _("a day"),
    "7d": _("a week"),
    "30d": _("30 days"),
}
"""How far the page looks back."""

WORDS = {
    "eq": _("is"),
    "ne": _("is not"),
    "lt": _("is less than"),
    "le": _("is at most"),
    "gt": _("is greater than"),
    "ge": _("is at least"),
    "in": _("is one of"),
    "prefix": _("begins with"),
    "contains": _("contains"),
    "exists": _("is there"),
}
"""Operators in words."""

_BACK = {"15m": 15 * MINUTE, "1h": HOUR, "24h": DAY, "7d": WEEK, "30d": 30 * DAY}
_WIDTHS = (
    SECOND, 5 * SECOND, 15 * SECOND, MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 6 * HOUR, DAY, WEEK,
)  # fmt: skip
_BARS = 100  # in a plot, at most
_LIMIT = 50
_NAMES = 50
_EXPORT = 100_000
_LONGEST = 300  # characters of an event in a table
_LAG = Field("lag")
_LAGS = (Function("p50", _LAG), Function("p99", _LAG), Function("max", _LAG))
WIDTH, HEIGHT = 600.0, 120.0


class Bar(NamedTuple):
    """A window of the plot, in units of its picture."""

    x: str
    y: str
    width: str
    height: str
    start: str
    end: str
    events: int


@router.get("/events")
def show(
    view: Annotated[View, Viewing(Action.RECORDS_READ, PAGE)],
    name: Annotated[str, Query(max_length=300)] = "",
    where: Annotated[list[str] | None, Query(max_length=20)] = None,
    field: Annotated[str, Query(max_length=200)] = "",
    operator: Annotated[str, Query(max_length=20)] = "eq",
    value: Annotated[str, Query(max_length=1000)] = "",
    span: Annotated[Literal["15m", "1h", "24h", "7d", "30d"], Query()] = "24h",
    start: Annotated[str, Query(alias="from", max_length=40)] = "",
    end: Annotated[str, Query(alias="to", max_length=40)] = "",
    policy: Annotated[str, Query(max_length=64)] = "",
    cursor: Annotated[str, Query(max_length=2000)] = "",
) -> Response:
    """Events of a time, the newest first; the last day, where nothing is said."""
    conditions = [one for one in where or () if one]
    if field:
        value = "true" if operator == "exists" and value != "false" else value
        conditions = [*dict.fromkeys([*conditions, f"{field}:{operator}:{value}"])]
    asked = {"name": name, "where": conditions, "span": span, "from": start, "to": end}
    asked |= {"policy": policy}
    found: dict[str, Any] = {}
    status, problems = 200, tuple[Problem, ...]()
    try:
        found = _found(view, asked, cursor)
    except NotFound:
        pass  # the page says which policy keeps events
    except Invalid as error:
        status, problems = error.status, problems_of(error)
    return view.render(
        "events.html",
        status,
        found=found,
        problems=problems,
        asked=asked,
        spans=SPANS,
        operators=[(name, view.word(WORDS[name])) for name in OPERATORS],
        words=WORDS,
        conditions=[(one, one.split(":", 2)) for one in conditions if one.count(":") > 1],
        formats=MEDIA_TYPES,
        export=_EXPORT,
    )


def _found(view: View, asked: dict[str, Any], cursor: str) -> dict[str, Any]:
    query = api.EventsQuery.model_validate(
        {
            "name": [asked["name"]] if asked["name"] else [],
            "where": asked["where"],
            "policy": asked["policy"] or None,
        }
    )
    since, until = _range(asked)
    question = api.question_of(view.services, view.caller, query, "desc", _LIMIT, cursor)
    question = _between(question, since, until)
    series = view.services.series
    page = series.events(question)
    shown = [_row(row) for row in event_formats.rows(page)]
    every = next((w for w in _WIDTHS if (until - since) / w <= _BARS), _WIDTHS[-1])
    counts = series.count_events(CountQuestion(question, (), every, limit=10_000)).rows.to_pylist()
    names = series.count_events(
        CountQuestion(question, (Field("name"),), functions=_LAGS, limit=_NAMES)
    )
    whole = series.count_events(CountQuestion(question, functions=_LAGS)).rows.to_pylist()
    size = len(shown)
    view.services.sent(
        "api", view.owner, view.caller.label, question.topics[0], question.policy.name, size, 0
    )
    return {
        "policy": question.policy,
        "fields": [*BUILT_IN, *(question.policy.options.get("index") or ())],
        "rows": shown,
        "next": page.next_cursor,
        "names": names.rows.to_pylist(),
        "more_names": names.more,
        "total": whole[0] if whole else {"count": 0},
        "bars": _bars(counts, since, until, every),
        "most": max((row["count"] for row in counts), default=0),
        "from": to_rfc3339(since),
        "to": to_rfc3339(until),
    }


def _between(question: EventQuestion, since: Micros, until: Micros) -> EventQuestion:
    return EventQuestion(
        question.policy, question.topics, since, until, question.where, question.order,
        question.limit, question.cursor,
    )  # fmt: skip


def _range(asked: dict[str, Any]) -> tuple[Micros, Micros]:
    """The time that is shown: as it was asked for, or back from now.

    Its end is a whole minute, so that the pages of one table are of the same time.

    Raises:
        BadRequest: a time is none, or the range is empty.
    """
    try:
        until = parse_time(asked["to"]) if asked["to"] else (now() // MINUTE + 1) * MINUTE
        back = _BACK[asked["span"]]
        since = parse_time(asked["from"]) if asked["from"] else until - back
    except ValueError as error:
        raise BadRequest("from", str(error)) from None
    if since >= until:
        raise BadRequest("from", "it must lie before `to`, which is not part of the range")
    return since, until


def _row(row: dict[str, Any]) -> dict[str, Any]:
    """An event for the table: its own fields as one text."""
    rest = {key: value for key, value in row.items() if key not in event_formats.OWN}
    text = msgspec.json.encode(rest).decode()
    lag = None
    if row["accepted"] and row["stored"]:
        lag = (parse_time(row["stored"]) - parse_time(row["accepted"])) / SECOND
    more = len(text) - _LONGEST
    return {**{key: row.get(key) for key in event_formats.OWN}, "lag": lag} | {
        "text": text[:_LONGEST],
        "more": max(more, 0),
    }


def _bars(counts: list[dict[str, Any]], since: Micros, until: Micros, every: Micros) -> list[Bar]:
    most = max((row["count"] for row in counts), default=1)
    begin = int(_floor(since, every))
    length = max(until - begin, 1)
    bars = []
    for row in counts:
        height = max(row["count"] / most * (HEIGHT - 2), 1)
        bars.append(
            Bar(
                f"{(row['start'] - begin) / length * WIDTH:.2f}",
                f"{HEIGHT - height:.2f}",
                f"{max(every / length * WIDTH - 0.6, 0.4):.2f}",
                f"{height:.2f}",
                to_rfc3339(row["start"]),
                to_rfc3339(row["end"]),
                row["count"],
            )
        )
    return bars


def _floor(moment: Micros, every: Micros) -> Micros:
    import numpy as np

    start, _ = Alignment(every, "UTC").bounds(np.array([moment], np.int64))
    return int(start[0])
