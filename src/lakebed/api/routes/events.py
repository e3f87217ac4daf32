"""Routes that read events and count them. They are sent by `POST /api/v1/events`, to ingest."""

from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from lakebed.access.actions import Action
from lakebed.api import answering, event_formats, file_parts, formats
from lakebed.api.callers import Caller, InOwner
from lakebed.api.requests import ServicesDep, check_filter_in, moment
from lakebed.api.routes.parked import gaps
from lakebed.api.routes.reading import hide_foreign_policies
from lakebed.api.services import Services
from lakebed.ports.events import CountQuestion, EventQuestion, Function
from lakebed.ports.question import LARGEST_LIMIT
from lakebed.queries import events as choice
from lakebed.vocabulary.conditions import (
    MOST_CONDITIONS,
    OPERATORS,
    Condition,
    parse_condition,
)
from lakebed.vocabulary.errors import BadRequest, Invalid, Problem
from lakebed.vocabulary.event_fields import BUILT_IN, parse_field
from lakebed.vocabulary.times import Micros
from lakebed.vocabulary.widths import check_width, parse_width

router = APIRouter(prefix="/api/v1/events", tags=["reading"])

Reader = Annotated[Caller, InOwner(Action.RECORDS_READ)]

FUNCTIONS = ("sum", "avg", "min", "max", "unique", "p50", "p90", "p95", "p99")
_TIMES = "RFC 3339, or a number since 1970 whose size says what it counts"
_MOST_NAMES = 100
_MOST_BY = 3
_MOST_FUNCTIONS = 20
_MOST_ROWS = 10_000
_DEFAULT = 100


class _Query(BaseModel):
    """The parameters of both routes; others are refused, so that a typing error is noticed."""

    model_config = ConfigDict(extra="forbid")

    name: list[str] = Field(
        default_factory=list,
        description="events of this name, or under this MQTT filter; several for any of them",
        max_length=_MOST_NAMES,
    )
    start: str | None = Field(None, alias="from", description=f"inclusive; {_TIMES}")
    end: str | None = Field(None, alias="to", description=f"exclusive; {_TIMES}")
    where: list[str] = Field(
        default_factory=list,
        description=f"FIELD:OPERATOR:VALUE, with {', '.join(OPERATORS)}; several, and all are true",
        max_length=MOST_CONDITIONS,
    )
    policy: str | None = Field(None, description="which policy, if several keep these events")
    format: str | None = Field(None, description=f"{', '.join(formats.MEDIA_TYPES)}; or by Accept")
    csv: Literal["exact", "safe"] = Field(
        "exact", description="safe: text that a spreadsheet would run gets a ' in front"
    )
    owner: str | None = Field(None, description="another owner, as whoever may read")


class EventsQuery(_Query):
    order: Literal["asc", "desc"] = Field("asc", description="oldest or newest first")
    limit: int = Field(_DEFAULT, ge=1, le=LARGEST_LIMIT, description="events to a page")
    cursor: str = Field("", description="`next_cursor` of the page before")


class StatsQuery(_Query):
    by: list[str] = Field(
        default_factory=list,
        description=f"count by the values of a field, or of {', '.join(BUILT_IN)}; several, or a"
        " list with commas",
    )
    every: str | None = Field(None, description="count by windows of this width, such as 1h")
    functions: list[str] = Field(
        default_factory=list,
        description=f"count, or FUNCTION:FIELD with {', '.join(FUNCTIONS)}; several, or a list",
    )
    limit: int = Field(1_000, ge=1, le=_MOST_ROWS, description="rows at most")


_MEDIA: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "In formats besides JSON the header `X-Next-Cursor` asks for the next page.",
        "content": {media.partition(";")[0]: {} for media in formats.MEDIA_TYPES.values()},
    }
}


@router.get("", responses=_MEDIA, response_class=Response)
def events(
    request: Request, services: ServicesDep, caller: Reader, query: Annotated[EventsQuery, Query()]
) -> Response:
    """Read events that a policy kept, with the times at which they were accepted and stored."""
    form = formats.choose(query.format, request.headers.get("accept", ""))
    question = question_of(services, caller, query, query.order, query.limit, query.cursor)
    page = services.series.events(question)
    missing = gaps(services, question.policy.owner, question.topics, question.start, question.end)
    headers = _headers(question, query)
    if page.next_cursor is not None:
        headers["X-Next-Cursor"] = page.next_cursor
    if missing:
        headers["X-Gaps"] = str(len(missing))
    pieces = event_formats.write_events(page, form, missing, query.csv == "safe")
    asked = answering.Asked(pieces, formats.MEDIA_TYPES[form], headers, len(page.rows))
    return answering.send(request, asked, _counted(request, services, caller, question))


@router.get("/stats", responses=_MEDIA, response_class=Response)
def stats(
    request: Request, services: ServicesDep, caller: Reader, query: Annotated[StatsQuery, Query()]
) -> Response:
    """Count events by the values of fields and by windows of time."""
    form = formats.choose(query.format, request.headers.get("accept", ""))
    counting = count_question_of(services, caller, query)
    counts = services.series.count_events(counting)
    pieces = event_formats.write_counts(counts, form, query.csv == "safe")
    headers = _headers(counting.events, query)
    if counts.more:
        headers["X-More"] = "true"
    asked = answering.Asked(pieces, formats.MEDIA_TYPES[form], headers, len(counts.rows))
    return answering.send(request, asked, _counted(request, services, caller, counting.events))


def question_of(
    services: Services,
    caller: Caller,
    query: _Query,
    order: Literal["asc", "desc"] = "asc",
    limit: int = _DEFAULT,
    cursor: str = "",
) -> EventQuestion:
    """What is asked, of the policy that answers; refused if the caller may not read it."""
    topics = choice.topics_of(query.name)
    for topic in topics:
        check_filter_in("name", topic)
    caller.require(*topics)
    where = _conditions(query.where)
    start, end = moment("from", query.start), moment("to", query.end)
    if start is not None and end is not None and start >= end:
        raise BadRequest("from", "it must lie before `to`, which is not part of the range")
    if query.policy:
        hide_foreign_policies(services, caller, query.policy)
    policy = choice.choose(services.catalog, caller.owner, topics, query.policy)
    return EventQuestion(policy, topics, start, end, where, order, limit, cursor)


def count_question_of(services: Services, caller: Caller, query: StatsQuery) -> CountQuestion:
    """What is to be counted; every mistake of the parameters is named."""
    problems: list[Problem] = []
    by = [_read(problems, "by", parse_field, name) for name in _listed(query.by)]
    functions = [
        _read(problems, "functions", _function, text)
        for text in _listed(query.functions)
        if text != "count"  # it is in each row
    ]
    every = None if query.every is None else _read(problems, "every", _width, query.every)
    for name, found, most in (("by", by, _MOST_BY), ("functions", functions, _MOST_FUNCTIONS)):
        if len(set(found)) < len(found):
            problems.append(Problem(name, "the same is named twice"))
        if len(found) > most:
            problems.append(Problem(name, f"{most} at most"))
    if any(field is not None and field.name == "count" for field in by):
        problems.append(Problem("by", "`count` is the number of events: write /count"))
    if problems:
        raise _bad(problems)
    question = question_of(services, caller, query)
    return CountQuestion(
        question,
        tuple(field for field in by if field is not None),
        every,
        tuple(function for function in functions if function is not None),
        query.limit,
    )


def _conditions(texts: list[str]) -> tuple[Condition, ...]:
    problems: list[Problem] = []
    found = [_read(problems, "where", parse_condition, text) for text in texts]
    if problems:
        raise _bad(problems)
    return tuple(condition for condition in found if condition is not None)


def _read(problems: list[Problem], where: str, parse: Any, text: str) -> Any:
    """What a text says; None, and a problem more, where it says nothing."""
    try:
        return parse(text)
    except ValueError as error:
        problems.append(Problem(where, str(error)))
        return None


def _bad(problems: list[Problem]) -> Invalid:
    error = BadRequest("", "")
    Invalid.__init__(error, *problems)
    return error


def _listed(texts: list[str]) -> list[str]:
    return [part.strip() for text in texts for part in text.split(",") if part.strip()]


def _function(text: str) -> Function:
    name, colon, field = text.partition(":")
    if name not in FUNCTIONS or not colon:
        allowed = ", ".join(f"{each}:FIELD" for each in FUNCTIONS)
        raise ValueError(f"{text!r} is no function: allowed are count, {allowed}")
    return Function(name, parse_field(field))


def _width(text: str) -> Micros:
    return check_width(parse_width(text))


def _headers(question: EventQuestion, query: _Query) -> dict[str, str]:
    headers = {"X-Policy": question.policy.name}
    if query.format is None:
        headers["Vary"] = "Accept"
    return headers


def _counted(request: Request, services: Services, caller: Caller, question: EventQuestion) -> Any:
    if file_parts.is_head(request):
        return answering.uncounted
    return partial(
        services.sent,
        "api",
        caller.owner,
        caller.label,
        question.topics[0],
        question.policy.name,
    )
