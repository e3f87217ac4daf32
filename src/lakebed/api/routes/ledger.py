"""The byte ledger: who sent, kept, stored and read how much, by hour.

Bills are made of it alone.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from itertools import islice
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from lakebed.access.actions import Action
from lakebed.access.decision import Resource, allow, allow_all
from lakebed.access.principals import Kind
from lakebed.api.callers import Caller, InOwner
from lakebed.api.requests import ServicesDep, moment
from lakebed.api.services import Services
from lakebed.queries.ledger import BY, Key, LedgerQuestion, Sums, answer, end_of
from lakebed.vocabulary.errors import BadRequest
from lakebed.vocabulary.times import (
    HOUR,
    Micros,
    from_datetime,
    now,
    to_datetime,
    to_rfc3339,
)

router = APIRouter(prefix="/api/v1", tags=["accounting"])

_PAGE = 10_000
_FEW = 50  # units that are looked up one by one
_UNIT = f"{Kind.UNIT}:"


class LedgerQuery(BaseModel):
    """The parameters of `/ledger`; others are refused, so that a typing error is noticed."""

    model_config = ConfigDict(extra="forbid")

    by: list[str] = Field([], description="owner, unit, topic, policy; several by commas")
    start: str | None = Field(
        None, alias="from", description="rounded down to the hour; default: this month"
    )
    end: str | None = Field(None, alias="to", description="rounded up to the hour; default: now")
    every: Literal["1h", "1d", "7d", "1mo", "1y"] | None = Field(
        None, description="a row for each of these, in UTC; default: one for the whole time"
    )
    limit: int = Field(_PAGE, ge=1, le=100_000, description="rows to a page")
    cursor: str = Field("", description="`next_cursor` of the page before")
    owner: str | None = Field(None, description="whose; of a member, or an admin")


@router.get("/ledger")
def ledger(
    services: ServicesDep,
    caller: Annotated[Caller, InOwner(Action.LEDGER_READ)],
    query: Annotated[LedgerQuery, Query()],
) -> dict[str, Any]:
    """Messages and bytes in, kept, stored and out, by hour, owner, unit, topic and policy.

    By owner, without `owner=`, it is of every owner of whom the caller may read something.
    """
    question, groups = answer(services.catalog, _question(caller, query))
    after = _key_in(query.cursor, question)
    found = ((at, sums) for at, sums in groups.rows() if after is None or at > after)
    page = list(islice(found, query.limit))
    more = next(found, None) is not None
    messages, size = groups.rest
    rows = [_row(question, at, sums) for at, sums in page]
    if "unit" in question.by:
        _add_names(services, None if question.all_owners else caller.owner, rows)
    return {
        "from": to_rfc3339(question.start),
        "to": to_rfc3339(question.end),
        "rows": rows,
        "totals": groups.total._asdict(),
        "rest": {"in_messages": messages, "in_bytes": size},
        "sampled_hours": services.catalog.sampled_hours(question.start, question.end),
        "next_cursor": _cursor(*page[-1][0], question) if more else None,
    }


def _question(caller: Caller, query: LedgerQuery) -> LedgerQuestion:
    by = _by(query.by)
    at = now()
    end = moment("to", query.end)
    start = moment("from", query.start)
    end = -(-(at if end is None else end) // HOUR) * HOUR
    start = _month(end - HOUR) if start is None else start // HOUR * HOUR
    if start >= end:
        raise BadRequest("from", "it must lie before `to`, which is not part of the range")
    one = None if "owner" in by and query.owner is None else caller.owner

    def whole(owner: str) -> bool:
        return one in (None, owner) and allow_all(caller.principal, caller.action, owner)

    def part(owner: str, topic: str) -> bool:
        resource = Resource(owner, (topic,))
        return one in (None, owner) and allow(caller.principal, caller.action, resource)

    return LedgerQuestion(start, end, query.every, by, whole, part, all_owners=one is None)


def _by(given: list[str]) -> tuple[str, ...]:
    names = {name.strip() for text in given for name in text.split(",") if name.strip()}
    if unknown := sorted(names - set(BY)):
        raise BadRequest("by", f"{unknown[0]!r} is none of {', '.join(BY)}")
    return tuple(name for name in BY if name in names)


def _month(time: Micros) -> Micros:
    return from_datetime(
        to_datetime(time).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    )


def _row(question: LedgerQuestion, at: tuple[Micros, Key], sums: Sums) -> dict[str, Any]:
    begin, key = at
    return {
        "start": to_rfc3339(begin),
        "end": to_rfc3339(end_of(begin, question)),
        **{name: text or None for name, text in zip(question.by, key, strict=True)},
        **sums._asdict(),
    }


def _add_names(services: Services, owner: str | None, rows: list[dict[str, Any]]) -> None:
    """Give rows the names of their units; None of other principals, and of units that are gone."""
    uuids = {label[len(_UNIT) :] for row in rows if (label := row["unit"] or "").startswith(_UNIT)}
    if len(uuids) > _FEW:
        found = services.accounts.units(owner)
    else:
        few = (services.accounts.unit_by_uuid(uuid) for uuid in sorted(uuids))
        found = [unit for unit in few if unit is not None]
    names = {_UNIT + unit.uuid: unit.name for unit in found}
    for row in rows:
        row["unit_name"] = names.get(row["unit"])


def _cursor(begin: Micros, key: Key, question: LedgerQuestion) -> str:
    packed = msgspec.msgpack.encode((begin, key, question.merged))
    return urlsafe_b64encode(packed).rstrip(b"=").decode()


def _key_in(cursor: str, question: LedgerQuestion) -> tuple[Micros, Key] | None:
    if not cursor:
        return None
    try:
        raw = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        begin, key, merged = msgspec.msgpack.decode(raw, type=tuple[int, tuple[str, ...], int])
    except (ValueError, msgspec.DecodeError):
        key = None
    if key is None or len(key) != len(question.by):
        what = "it is damaged, or comes from another query: repeat the query that gave it unchanged"
        raise BadRequest("cursor", what)
    if question.start < question.merged != merged:
        raise BadRequest("cursor", "hours were merged into days since: begin with the first page")
    return begin, key
