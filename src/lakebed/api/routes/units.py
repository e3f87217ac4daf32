"""Routes of units: devices and programs with credentials of their own."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Response

from lakebed.access.actions import Action
from lakebed.access.decision import Resource, allow
from lakebed.accounts import units as documents
from lakebed.api import sections, stock
from lakebed.api.callers import Caller, InOwner
from lakebed.api.preconditions import ANYTHING, ExpectedDep, etag
from lakebed.api.requests import Body, ServicesDep, document_in, fault_of_owner, moment
from lakebed.api.services import Services
from lakebed.api.showing import seen_by_members, seen_by_others
from lakebed.documents.sections import Entry
from lakebed.ports.accounts.units import Unit, UnitStatus, Visibility
from lakebed.vocabulary.credentials import new_secret
from lakebed.vocabulary.errors import BadRequest, Conflict, Denied, Invalid, NotFound, Problem
from lakebed.vocabulary.times import DAY, Micros, parse_duration, to_rfc3339

router = APIRouter(prefix="/api/v1/units", tags=["units"])

Reader = Annotated[Caller, InOwner(Action.UNITS_READ)]
Writer = Annotated[Caller, InOwner(Action.UNITS_WRITE)]
Deleter = Annotated[Caller, InOwner(Action.UNITS_DELETE)]
Rotator = Annotated[Caller, InOwner(Action.UNITS_ROTATE)]
LogReader = Annotated[Caller, InOwner(Action.UNITS_LOG)]

LONGEST_GRACE: Micros = 30 * DAY
_PAGE = 1_000  # units read at one time while a page is filled
_DOCUMENT: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "One unit.",
        "content": {
            "application/json": {
                "schema": {"type": "object"},
                "example": {
                    "name": "greenhouse-1",
                    "publish": ["greenhouse/1/#"],
                    "read": ["greenhouse/1/set/#"],
                    "tags": ["north"],
                    "visibility": "private",
                },
            }
        },
    }
}


class TokenWanted(msgspec.Struct, forbid_unknown_fields=True):
    """A new token of a unit; the old one works for `grace` more."""

    grace: str | int = 0


_decode_wanted = msgspec.json.Decoder(TokenWanted).decode


@router.get("")
def list_units(
    services: ServicesDep,
    caller: Reader,
    tag: Annotated[str | None, Query(description="only those with this tag")] = None,
    limit: Annotated[int, Query(ge=1, le=10_000, description="units to a page")] = 1_000,
    cursor: Annotated[str, Query(description="`next_cursor` of the page before")] = "",
) -> dict[str, Any]:
    """List the units of an owner by name, with their latest state."""
    found: list[Unit] = []
    for unit in _behind(services, caller.owner, cursor):
        if (tag is None or tag in unit.tags) and _sees(caller, unit):
            found.append(unit)
            if len(found) > limit:
                break
    more = len(found) > limit
    shown = _show_all(services, caller, found[:limit])
    return {"units": shown, "next_cursor": found[limit - 1].name if more else None}


@router.post("", status_code=201, openapi_extra=_DOCUMENT)
def create_unit(
    services: ServicesDep,
    caller: Writer,
    body: Body,
    response: Response,
    expected: ExpectedDep = ANYTHING,
) -> dict[str, Any]:
    """Create a unit; 409 if its name is taken. `POST …/token` then creates its token."""
    unit = _posted(services, caller, document_in(body))
    with expected.creating(), services.accounts.transaction():
        ((made, _),) = services.accounts.put_units([unit], create=True)
        stock.check_units(services, caller.owner)
    response.headers["Location"] = f"/api/v1/units/{made.name}"
    return _show(services, caller, made, response)


@router.post("/check", openapi_extra=_DOCUMENT)
def check_units(caller: Writer, body: Body) -> Response:
    """Check a unit, or a whole document of them (JSON or YAML), and change nothing."""

    def require(entry: Entry) -> None:
        _require(caller, documents.unit_of(entry.value, caller.owner))

    return sections.check(body, documents.section(), require)


@router.get("/{unit}")
def read_unit(
    services: ServicesDep, caller: Reader, unit: str, response: Response
) -> dict[str, Any]:
    """Show one unit, by name or uuid; its revision is the ETag."""
    # the revision is that of the document: what the unit reported since changes more than that
    response.headers["Cache-Control"] = "no-store"
    return _show(services, caller, _found(services, caller, unit), response)


@router.put("/{unit}", openapi_extra=_DOCUMENT, responses={201: {"description": "Made"}})
def put_unit(
    services: ServicesDep,
    caller: Writer,
    unit: str,
    body: Body,
    response: Response,
    expected: ExpectedDep,
) -> dict[str, Any]:
    """Create or replace a unit. Its uuid, its tokens and `blocked` stay."""
    there = services.accounts.unit(caller.owner, unit)
    document = sections.named(document_in(body), unit if there is None else there.name)
    return _put(services, caller, _posted(services, caller, document, there), response, expected)


@router.patch("/{unit}", openapi_extra=_DOCUMENT)
def change_unit(
    services: ServicesDep,
    caller: Writer,
    unit: str,
    body: Body,
    response: Response,
    expected: ExpectedDep,
) -> dict[str, Any]:
    """Change the given fields, also `blocked`: a blocked unit is refused until it is unblocked."""
    there = _found(services, caller, unit)
    changes = document_in(body)
    if not isinstance(changes, dict):
        raise Invalid(Problem("", 'write what to change as a mapping, such as {"tags": []}'))
    blocked = changes.pop("blocked", None)
    if blocked is not None and not isinstance(blocked, bool):
        raise Invalid(Problem("blocked", "it is true or false"))
    if changes.get("name", there.name) != there.name:
        raise BadRequest("name", "a unit keeps its name: make another one")
    expected.check(there.revision)
    changed = _posted(services, caller, documents.to_document(there) | changes, there)

    def unmoved(current: Unit) -> None:
        _require(caller, current)
        if current.revision != there.revision:
            raise Conflict(f"the unit {there.name!r} was changed meanwhile: try again")

    with services.accounts.transaction():
        ((written, _),) = services.accounts.put_units([changed], check=unmoved)
        if blocked is not None:
            written = services.accounts.block_unit(written.uuid, blocked)
    return _show(services, caller, written, response)


@router.delete("/{unit}", status_code=204)
def delete_unit(services: ServicesDep, caller: Deleter, unit: str, expected: ExpectedDep) -> None:
    """Delete a unit with its tokens and its log. Messages that it sent stay."""
    there = _found(services, caller, unit)

    def check(current: Unit) -> None:
        _require(caller, current)
        expected.check(current.revision)

    services.accounts.delete_unit(there.uuid, check)


@router.post("/{unit}/token", status_code=201)
def rotate_token(services: ServicesDep, caller: Rotator, unit: str, body: Body) -> dict[str, Any]:
    """Create a new token of a unit. Only this answer shows it."""
    there = _found(services, caller, unit)
    _require(caller, there)
    grace = _grace(document_in(body, _decode_wanted) if body.strip() else TokenWanted())
    secret = new_secret()
    services.accounts.add_unit_token(there.uuid, secret, grace)
    return {"token": secret, "uuid": there.uuid, "name": there.name}


@router.get("/{unit}/log")
def read_log(
    services: ServicesDep,
    caller: LogReader,
    unit: str,
    start: Annotated[str | None, Query(alias="from", description="not before")] = None,
    end: Annotated[str | None, Query(alias="to", description="before")] = None,
    level: Annotated[str | None, Query(description="only entries of this level")] = None,
    limit: Annotated[int, Query(ge=1, le=10_000, description="entries at most")] = 100,
) -> dict[str, Any]:
    """Show the log of a unit, the newest entry first."""
    since, until = moment("from", start), moment("to", end)
    there = _found(services, caller, unit)
    entries = services.accounts.unit_logs(there.uuid, since, until, 10_000 if level else limit)
    chosen = [entry for entry in entries if level is None or entry.level == level]
    return {
        "entries": [
            {"time": to_rfc3339(entry.time), "level": entry.level, "text": entry.text}
            for entry in chosen[:limit]
        ]
    }


# --- what a caller sees ---------------------------------------------------------------------------


def _behind(services: Services, owner: str, name: str) -> Iterator[Unit]:
    """All units of an owner behind a name."""
    while True:
        page = services.accounts.units(owner, (owner, name), _PAGE)
        yield from page
        if len(page) < _PAGE:
            return
        name = page[-1].name


def _is_members(caller: Caller, unit: Unit) -> bool:
    return caller.may(*_topics(unit))


def _sees(caller: Caller, unit: Unit) -> bool:
    shown_to = "" if unit.visibility is Visibility.PRIVATE else unit.visibility.value
    resource = Resource(caller.owner, _topics(unit), shown_to)
    return allow(caller.principal, caller.action, resource)


def _topics(unit: Unit) -> tuple[str, ...]:
    """The topics that someone must have who has to do with a unit."""
    return documents.all_topics(unit) or ("#",)


def _found(services: Services, caller: Caller, key: str) -> Unit:
    """Raises:
    NotFound: there is no such unit, or the caller does not see it.
    """
    found = services.accounts.unit(caller.owner, key)
    reader = caller if caller.action is Action.UNITS_LOG else caller.to(Action.UNITS_READ)
    if found is None or not _sees(reader, found):
        raise NotFound(f"there is no unit {key!r}")
    return found


def _show_all(services: Services, caller: Caller, units: Sequence[Unit]) -> list[dict[str, Any]]:
    uuids = [unit.uuid for unit in units]
    told = services.accounts.unit_statuses(uuids)
    online = services.accounts.online_units(uuids)
    reader = caller.to(Action.UNITS_READ)
    return [
        (seen_by_members if _is_members(reader, unit) else seen_by_others)(
            unit, told.get(unit.uuid, UnitStatus(unit.uuid)), unit.uuid in online
        )
        for unit in units
    ]


def _show(services: Services, caller: Caller, unit: Unit, response: Response) -> dict[str, Any]:
    response.headers["ETag"] = etag(unit.revision)
    (shown,) = _show_all(services, caller, [unit])
    return shown


# --- what a caller writes -------------------------------------------------------------------------


def _require(caller: Caller, unit: Unit) -> None:
    """Raise unless the caller has all topics that a unit has: nobody makes one that may more."""
    caller.require(*_topics(unit))


def _posted(services: Services, caller: Caller, document: Any, there: Unit | None = None) -> Unit:
    """The unit of a document to be written, in place of the one that is there.

    Raises:
        BadRequest: the owner does not exist and its name is no slug.
    """
    if (fault := fault_of_owner(services, caller.owner)) is not None:
        raise BadRequest("owner", fault)
    unit = documents.parse(document, caller.owner, None if there is None else there.uuid)
    _require(caller, unit)
    return unit


def _put(
    services: Services, caller: Caller, unit: Unit, response: Response, expected: ExpectedDep
) -> dict[str, Any]:
    def check(current: Unit) -> None:
        if not _is_members(caller, current):
            raise Denied(f"the unit {unit.name!r} that is there has topics that are not yours")
        expected.check(current.revision)

    with services.accounts.transaction():
        ((written, created),) = services.accounts.put_units([unit], check=check)
        if created:
            expected.check(None)
            stock.check_units(services, caller.owner)
    if created:
        response.status_code = 201
    return _show(services, caller, written, response)


def _grace(wanted: TokenWanted) -> Micros:
    try:
        grace = parse_duration(wanted.grace, 1_000_000)
    except ValueError as error:
        raise Invalid(Problem("grace", str(error))) from None
    if not 0 <= grace <= LONGEST_GRACE:
        raise Invalid(Problem("grace", "it is at most 30d"))
    return grace
