"""Routes that read and delete kept data: records, last values, usage."""

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from heapq import nlargest
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from lakebed.access.actions import Action
from lakebed.api import answering, file_parts, formats
from lakebed.api.callers import Caller, InOwner, OnInstance
from lakebed.api.file_parts import FileParts, Made
from lakebed.api.requests import ServicesDep, check_filter_in, moment
from lakebed.api.routes.parked import gaps
from lakebed.api.services import Services
from lakebed.kinds.tables import TYPES
from lakebed.ports.catalog.last_values import LastValue
from lakebed.ports.erasure import Erasure
from lakebed.ports.question import (
    DEFAULT_LIMIT,
    LARGEST_LIMIT,
    LARGEST_POINTS,
    Question,
)
from lakebed.queries import choice, last_values, points
from lakebed.queries import reading as queries
from lakebed.vocabulary.errors import BadRequest
from lakebed.vocabulary.time_parsing import deletable
from lakebed.vocabulary.times import now, to_rfc3339

router = APIRouter(prefix="/api/v1", tags=["reading"])

Reader = Annotated[Caller, InOwner(Action.RECORDS_READ)]
Eraser = Annotated[Caller, OnInstance(Action.RECORDS_DELETE)]
UsageReader = Annotated[Caller, InOwner(Action.USAGE_READ)]

_TIMES = "RFC 3339, or a number since 1970 whose size says what it counts"


class RecordsQuery(BaseModel):
    """The parameters of `/records`; others are refused, so that a typing error is noticed."""

    model_config = ConfigDict(extra="forbid")

    topic: list[str] = Field(
        description="a topic, or an MQTT filter with wildcards; several for an answer about all",
        min_length=1,
    )
    field: list[str] = Field(
        default_factory=list, description="of a policy with fields, only these; several as topic"
    )
    policy: str | None = Field(
        None, description="default: the policy in force whose kind has the lowest rank"
    )
    keep: str | None = Field(None, description="which kind, if the policy has had several")
    start: str | None = Field(None, alias="from", description=f"inclusive; {_TIMES}")
    end: str | None = Field(None, alias="to", description=f"exclusive; {_TIMES}")
    order: Literal["asc", "desc"] = Field("asc", description="oldest or newest first")
    limit: int = Field(DEFAULT_LIMIT, ge=1, le=LARGEST_LIMIT, description="rows to a page")
    offset: int = Field(0, ge=0, description="rows to skip; not together with `cursor`")
    cursor: str = Field("", description="`next_cursor` of the page before")
    points: int | None = Field(
        None,
        ge=1,
        le=LARGEST_POINTS,
        description="reduce the range to so many parts, and answer the extremes of each",
    )
    most_points: int | None = Field(
        None,
        alias="maxDataPoints",
        ge=1,
        le=LARGEST_POINTS,
        description="the same for Grafana: rows of several topics are in the order of time",
    )
    function: str = Field(
        "",
        description="of an aggregate, which function `points` reduces; default: see the reference",
    )
    format: str | None = Field(None, description=f"{', '.join(formats.MEDIA_TYPES)}; or by Accept")
    csv: Literal["exact", "safe"] = Field(
        "exact", description="safe: text that a spreadsheet would run gets a ' in front"
    )
    owner: str | None = Field(None, description="another owner, as whoever may read")


_FORMATS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": (
            "A page. `next_cursor` (in the other formats: header `X-Next-Cursor`) asks for the "
            "next; a page of very long values may hold fewer rows than `limit`."
        ),
        "content": {media.partition(";")[0]: {} for media in formats.MEDIA_TYPES.values()},
    }
}


@router.get("/records", responses=_FORMATS, response_class=Response)
def records(
    request: Request, services: ServicesDep, caller: Reader, query: Annotated[RecordsQuery, Query()]
) -> Response:
    """Read what a policy kept of a topic, or of all topics under a filter, page by page."""
    form = formats.choose(query.format, request.headers.get("accept", ""))
    question = question_of(services, caller, query)
    ask = partial(_ask, services, question, form, query)
    sent = partial(_count, services, caller, question)
    if file_parts.is_in_parts(request):
        kept: FileParts = request.app.state.file_parts
        key = (caller.owner, question.policy.name, question.policy.version, form, request.url.query)
        made = kept.of(request, key, lambda: _made(ask()))
        if made is not None:
            return file_parts.answer(request, made, sent)
    count = answering.uncounted if file_parts.is_head(request) else sent
    return answering.send(request, ask(), count)


def _ask(services: Services, question: Question, form: str, query: RecordsQuery) -> answering.Asked:
    page = queries.read(services.series, services.catalog, question)
    if query.most_points and not question.of_one_topic:
        page = points.by_time(page)  # Grafana makes a curve per topic of a sorted table alone
    headers = {"X-Policy": question.policy.name}
    if query.format is None:
        headers["Vary"] = "Accept"
    if page.next_cursor is not None:
        headers["X-Next-Cursor"] = page.next_cursor
    missing = gaps(services, question.policy.owner, question.topics, question.start, question.end)
    if missing:
        headers["X-Gaps"] = str(len(missing))
    pieces = formats.write(page, form, missing, query.csv == "safe")
    return answering.Asked(pieces, formats.MEDIA_TYPES[form], headers, len(page.rows))


def _made(asked: answering.Asked) -> Made | None:
    body = file_parts.joined(asked.pieces)
    return None if body is None else Made(body, asked.media_type, asked.headers, asked.rows)


def question_of(services: Services, caller: Caller, query: RecordsQuery) -> Question:
    """What is asked, of the policy that answers; refused if the caller may not read it."""
    topics = tuple(dict.fromkeys(query.topic))
    for topic in topics:
        check_filter_in("topic", topic)
    caller.require(*topics)
    if query.policy:
        hide_foreign_policies(services, caller, query.policy)
    fields = tuple(dict.fromkeys(query.field))
    policy = choice.choose(services.catalog, caller.owner, topics, query.policy, query.keep, fields)
    parts = query.points or query.most_points or 0
    if parts and "limit" in query.model_fields_set:
        raise BadRequest("limit", "an answer of `points` is whole: leave it out")
    if query.function and not parts:
        raise BadRequest("function", "it says what `points` reduces: give both, or none")
    return Question(
        policy,
        topics[0],
        moment("from", query.start),
        moment("to", query.end),
        query.order,
        query.limit,
        query.offset,
        query.cursor,
        topics[1:],
        parts,
        fields,
        query.function,
    )


def _count(services: Services, caller: Caller, question: Question, rows: int, size: int) -> None:
    """Count what was sent: of several topics an equal share of each, so that the sum is right."""
    shares = len(question.topics)
    for number, topic in enumerate(question.topics):
        share, bytes_ = (whole // shares + (number < whole % shares) for whole in (rows, size))
        services.sent("api", caller.owner, caller.label, topic, question.policy.name, share, bytes_)


def hide_foreign_policies(services: Services, caller: Caller, name: str) -> None:
    """Hide policies that have no topic in common with the caller's grants, in any version.

    Raises:
        BadRequest: the same as for a policy that does not exist.
    """
    if caller.may_all():
        return
    versions = services.catalog.policy_versions(caller.owner, name)
    if not any(caller.may_some(*stored.document["topics"]) for stored in versions):
        raise BadRequest("policy", f"there is no policy {name!r}")


class EraseQuery(BaseModel):
    """The parameters of `DELETE /records`; others are refused: they would delete too much."""

    model_config = ConfigDict(extra="forbid")

    topic: str = Field(description="a topic, or an MQTT filter with wildcards")
    policy: str | None = Field(None, description="default: all policies, including deleted ones")
    start: str | None = Field(None, alias="from", description="inclusive; RFC 3339 or epoch")
    end: str | None = Field(None, alias="to", description="exclusive; RFC 3339 or epoch")
    owner: str | None = Field(None, description="default: your own")


@router.delete("/records")
def forget(
    request: Request,
    services: ServicesDep,
    caller: Annotated[Caller, OnInstance(Action.RECORDS_DELETE)],
    query: Annotated[EraseQuery, Query()],
) -> dict[str, int]:
    """Delete kept data permanently; messages that arrive from now on are kept as before."""
    check_filter_in("topic", query.topic)
    owner = query.owner or caller.owner
    replace(caller, owner=owner).to(Action.RECORDS_READ).require(query.topic)
    if query.policy is not None and not services.catalog.policy_versions(owner, query.policy):
        raise BadRequest("policy", f"there is no policy {query.policy!r}")
    allowed = deletable(now(), services.settings.limits.future)
    start, end = moment("from", query.start, allowed), moment("to", query.end, allowed)
    if start is not None and end is not None and start >= end:
        raise BadRequest("from", "it must lie before `to`, which is not part of the range")
    deleted = services.erase(Erasure(owner, query.topic, query.policy, start, end))
    request.app.state.file_parts.clear()
    return {"deleted": deleted}


@router.get("/last")
def last(
    services: ServicesDep,
    caller: Reader,
    topic: Annotated[str | None, Query(description="a topic")] = None,
    filter: Annotated[str | None, Query(description="an MQTT filter")] = None,
    policy: Annotated[str | None, Query(description="only of this policy")] = None,
    field: Annotated[list[str] | None, Query(description="only of these fields")] = None,
    start: Annotated[
        str | None, Query(alias="from", description="only values of this time or later")
    ] = None,
) -> Response:
    """Read last values, which policies of kind `last_value` keep."""
    if (topic is None) == (filter is None):
        raise BadRequest("topic", "give `topic` or `filter`, one of the two")
    asked = topic if topic is not None else filter
    assert asked is not None
    check_filter_in("topic" if topic is not None else "filter", asked)
    caller.require(asked)
    since = moment("from", start)
    found = last_values.find(services.catalog, caller.owner, asked, policy, field or ())
    if since is not None:
        found = [value for value in found if value.time >= since]
    body = formats.encode({"records": [_last(value) for value in found]})
    services.sent("api", caller.owner, caller.label, asked, policy or "", len(found), len(body))
    return Response(body, media_type="application/json")


def _last(value: LastValue) -> dict[str, Any]:
    text = "" if isinstance(value.value, float) else str(value.value)
    number = 0.0 if isinstance(value.value, str) else float(value.value)
    shown = {
        "topic": value.topic,
        **({"field": value.field} if value.field else {}),
        "policy": value.policy,
        "time": to_rfc3339(value.time),
        "value": formats.show(TYPES[value.type], number, text),
        "size": value.size,
        "position": f"{value.partition}:{value.offset}",
    }
    if value.id:
        shown["id"] = value.id
    return shown | ({"with": msgspec.Raw(value.around.encode())} if value.around else {})


@router.get("/usage")
def usage(
    services: ServicesDep,
    caller: Annotated[Caller, InOwner(Action.USAGE_READ)],
    limit: Annotated[
        int | None, Query(ge=1, le=LARGEST_LIMIT, description="only the largest so many")
    ] = None,
) -> dict[str, Any]:
    """Show the rows and bytes kept: in total, by policy, and by policy and topic."""
    kept = [
        row
        for row in queries.usage(services.series, services.catalog, caller.owner)
        if caller.may(row["topic"])
    ]
    shown = kept if limit is None else nlargest(limit, kept, key=lambda row: row["bytes"])
    return {
        "rows": sum(row["rows"] for row in kept),
        "bytes": sum(row["bytes"] for row in kept),
        "usage": shown,
        "policies": _by_policy(kept),
    }


def _by_policy(kept: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The sum of each policy over all topics; by kind if a policy has had several kinds."""
    totals: dict[tuple[str, str], dict[str, Any]] = {}
    for row in kept:
        key = row["policy"], row["keep"]
        start = {"policy": row["policy"], "keep": row["keep"], "topics": 0, "rows": 0, "bytes": 0}
        total = totals.setdefault(key, start)
        total["topics"] += 1
        total["rows"] += row["rows"]
        total["bytes"] += row["bytes"]
    return [totals[key] for key in sorted(totals)]
