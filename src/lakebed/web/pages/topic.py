"""One topic: its plot, its records, its policies, and what was not kept and why.

Several topics, or a filter, are shown in one plot; what is below is about the first of them.
"""

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from fastapi import Query, Response

from lakebed.access.actions import Action
from lakebed.api import formats
from lakebed.api.requests import check_filter_in
from lakebed.api.routes import dead_letters, flow, parked
from lakebed.api.routes.reading import RecordsQuery, question_of
from lakebed.kinds import KINDS
from lakebed.kinds.tables import NUMERIC
from lakebed.ports.question import Order
from lakebed.queries import points, reading
from lakebed.queries.choice import to_policy
from lakebed.queries.functions import plotted
from lakebed.vocabulary.errors import BadRequest, LakebedError, NotFound
from lakebed.vocabulary.time_parsing import from_rfc3339
from lakebed.vocabulary.times import SECOND, now
from lakebed.vocabulary.topics import is_wildcard, overlaps
from lakebed.web.navigation import Page
from lakebed.web.page import Pages, View, Viewing
from lakebed.web.pages.policies import KEEPS, TYPES_SHOWN
from lakebed.web.reasons import GAPS, WHY
from lakebed.web.tile_policies import CHANGED
from lakebed.web.words import mark as _

PAGE = Page("topics", "/topic", _("Topic"))
router = Pages()

_ROWS = 50
_SPANS = (3600, 21_600, 86_400, 604_800, 2_592_000)  # seconds; those of the plot's buttons
_MOST_SHOWN = 2_000  # characters of a value
_MOST_TOPICS = 50
_LETTERS = 20
_EXPORT = 100_000  # rows
_NO_FUNCTIONS = ("topic", "field", "cut", "late")  # columns of windows that have their own place


@router.get("/topic")
def show(
    view: Annotated[View, Viewing(Action.RECORDS_READ, PAGE)],
    topic: Annotated[list[str], Query(min_length=1)],
    policy: str = "",
    start: Annotated[str, Query(alias="from")] = "",
    end: Annotated[str, Query(alias="to")] = "",
    order: Order = "desc",
    cursor: str = "",
    plot: Annotated[str, Query(description="range of the plot, epoch milliseconds")] = "",
    function: Annotated[str, Query(description="that the plot shows, of windows")] = "",
) -> Response:
    """All about a topic."""
    asked = [one.strip() for one in topic if one.strip()][:_MOST_TOPICS]
    if not asked:
        raise BadRequest("topic", "name a topic, such as /topic?topic=room/1")
    for one in asked:
        check_filter_in("topic", one)
    view.caller.require(*asked)
    heard_topics = _expanded(view, asked)
    topics = heard_topics[:_MOST_TOPICS]
    policies = _policies(view, topics)
    wanted: dict[str, Any] = {"topic": topics[:1], "order": order, "limit": _ROWS, "cursor": cursor}
    wanted |= {"policy": policy or None, "from": start or None, "to": end or None}
    found, wrong = _records(view, wanted)
    first = topics[0]
    shown = _flow(view, first)
    chosen = found["policy"] if found else policy
    return view.render(
        "topic.html",
        asked=asked,
        topics=topics,
        more_topics=len(heard_topics) > len(topics),
        topic=first,
        policies=policies,
        keeps=KEEPS,
        types=TYPES_SHOWN,
        chosen=chosen,
        plotted=_plotted(policies, chosen, function),
        found=found,
        wrong=wrong,
        start=start,
        end=end,
        order=order,
        range=_range(plot),
        span=_span(shown["flow"]),
        formats=list(formats.MEDIA_TYPES),
        export=_EXPORT,
        gaps=parked.gaps(view.services, view.owner, [first], None, None),
        gap_words=GAPS,
        why=WHY,
        **shown,
    )


def _range(text: str) -> tuple[str, str]:
    found = re.fullmatch(r"(\d{1,14})-(\d{1,14})", text, re.ASCII)
    return (found[1], found[2]) if found else ("", "")


def _span(counted: Mapping[str, Any] | None) -> int:
    """Seconds that the plot shows at first, so that the last message is among them."""
    last = counted and counted["last_seen"]
    age = (now() - from_rfc3339(last)) / SECOND if last else 0
    return next((span for span in _SPANS if span >= 2 * age), _SPANS[-1])


def _expanded(view: View, asked: list[str]) -> list[str]:
    """The topics that are asked for; those under a filter as far as they have been heard.

    Of more than are shown one more is among them, or several.
    """
    found: dict[str, None] = {}
    caller = view.caller.to(Action.TOPICS_READ)
    for one in asked:
        if not is_wildcard(one):
            found[one] = None
        elif view.may(Action.TOPICS_READ, one):
            heard = flow.topics(view.services, caller, one, _MOST_TOPICS + 1)["topics"]
            found |= dict.fromkeys(row["topic"] for row in heard)
    if not found:
        raise NotFound(f"nothing has been heard under {', '.join(map(repr, asked))}")
    return list(found)


def _policies(view: View, topics: list[str]) -> list[dict[str, Any]]:
    """Policies that keep the first topic; `all` says whether all topics."""
    stored = [
        {**one.document, "stored": one}
        for one in view.services.catalog.policies(view.owner)
        if any(overlaps(topics[0], own) for own in one.document["topics"])
    ]
    stored.sort(key=lambda one: (KINDS[one["keep"]].rank, one["name"]))
    return [{**one, "all": all(_keeps(one, topic) for topic in topics)} for one in stored]


def _keeps(document: Mapping[str, Any], topic: str) -> bool:
    return any(overlaps(topic, own) for own in document["topics"])


def _plotted(policies: list[dict[str, Any]], chosen: str, function: str) -> dict[str, Any] | None:
    """The policy that the plot shows: the chosen one, if it keeps numbers over time.

    Of windows also the function that it shows, and all that it could.
    """
    able = [
        one
        for one in policies
        if one["all"] and one["type"] in NUMERIC and KINDS[one["keep"]].answers != "values"
    ]
    named = [one for one in able if one["name"] == chosen]
    if named:
        one = named[0]
    elif able and chosen in ("", *(each["name"] for each in policies if each not in able)):
        one = able[0]
    else:
        return None
    direct = KINDS[one["keep"]].answers != "windows" and not CHANGED & one.keys()
    possible = plotted(to_policy(one["stored"]))
    others = [name for name in possible if name not in points.EXTREMES]
    functions = [*([""] if len(others) < len(possible) else []), *others]
    shown = function if function in functions else next(iter(functions), "")
    return {"name": one["name"], "direct": direct, "functions": functions, "function": shown}


def _records(
    view: View, wanted: dict[str, Any]
) -> tuple[dict[str, Any] | None, LakebedError | None]:
    """A page of records, or why there is none."""
    try:
        question = question_of(view.services, view.caller, RecordsQuery.model_validate(wanted))
        page = reading.read(view.services.series, view.services.catalog, question)
    except (BadRequest, NotFound) as error:
        return None, error
    rows = [_shown(row) for row in formats.rows(page)]
    names = [name for name in page.rows.column_names if name not in _NO_FUNCTIONS]
    policy = question.policy
    size = sum(len(str(row)) for row in rows)
    view.services.sent(
        "page", view.owner, view.caller.label, question.topic, policy.name, len(rows), size
    )
    return {
        "policy": policy.name,
        "keep": policy.keep,
        "type": policy.type,
        "rows": rows,
        "windows": "start" in names,
        "fields": bool(rows) and "field" in rows[0],
        "around": any("with" in row for row in rows),
        "functions": [name for name in names if name not in ("start", "end", "complete")],
        "next": page.next_cursor,
    }, None


def _shown(row: Any) -> dict[str, Any]:
    """A record with its value as a text of bounded length."""
    if isinstance(row, msgspec.Struct):
        return {name: getattr(row, name) for name in row.__struct_fields__}
    value = row["value"]
    if isinstance(value, msgspec.Raw):
        value = _indented(bytes(value))
    text = value if isinstance(value, str) else json.dumps(value)
    more = len(text) - _MOST_SHOWN
    if "with" in row:
        beside = msgspec.json.decode(row["with"])
        told = "; ".join(f"{name}: {_plain(found)}" for name, found in beside.items())
        row["with"] = told[:_MOST_SHOWN]
    return {**row, "value": text[:_MOST_SHOWN], "more": max(more, 0)}


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _indented(text: bytes) -> str:
    if len(text) > 2 * _MOST_SHOWN:
        return text[: 8 * _MOST_SHOWN].decode("utf-8", "replace")
    return msgspec.json.format(text, indent=2).decode()


def _flow(view: View, topic: str) -> dict[str, Any]:
    """What became of the topic's messages, as far as the caller may see it."""
    values: dict[str, Any] = {"flow": None, "examples": [], "letters": []}
    if view.may(Action.FLOW_READ, topic):
        caller = view.caller.to(Action.FLOW_READ)
        values["flow"] = flow.of_topic(view.services, view.owner, topic)
        examples = flow.examples_of(view.services, caller)
        values["examples"] = [one for one in examples if one["topic"] == topic]
    if view.may(Action.DEAD_LETTERS_READ, topic):
        reader = view.caller.to(Action.DEAD_LETTERS_READ)
        listed = dead_letters.list_letters(view.services, reader, _LETTERS, topic)
        values["letters"] = listed["dead_letters"]
    return values
