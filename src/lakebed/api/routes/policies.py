"""Routes of policies: written only if they are valid in full, and read back as documents."""

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from lakebed.access.actions import Action
from lakebed.api import sections, stock
from lakebed.api.callers import Caller, InOwner
from lakebed.api.formats import encode, rows
from lakebed.api.preconditions import ANYTHING, ExpectedDep
from lakebed.api.requests import Body, ServicesDep, document_in, fault_of_owner, text_in
from lakebed.api.routes.flow import show_example
from lakebed.api.services import Services
from lakebed.documents.sections import find_warnings, path_text, read_entries
from lakebed.http import problems
from lakebed.policies.document import Surroundings, collecting, parse, to_document, warnings_of
from lakebed.policies.fields import LONGEST, duration_within
from lakebed.ports.catalog.policies import StoredPolicy
from lakebed.ports.question import Page, Question
from lakebed.vocabulary.errors import BadRequest, Denied, Invalid, NotFound, Problem
from lakebed.vocabulary.policy import Policy
from lakebed.vocabulary.times import SECOND, Micros, now

if TYPE_CHECKING:
    from lakebed.keeper.preview import Preview

router = APIRouter(prefix="/api/v1/policies", tags=["policies"])

_YAML = ("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml")
_DOCUMENT: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "One policy.",
        "content": {
            "application/json": {
                "schema": {"type": "object"},
                "example": {
                    "name": "raw-day",
                    "topics": ["plant/+/temperature"],
                    "type": "number",
                    "keep": "window",
                    "for": "24h",
                },
            }
        },
    }
}


Reader = Annotated[Caller, InOwner(Action.POLICIES_READ)]
Previewer = Annotated[Caller, InOwner(Action.POLICIES_PREVIEW)]
Writer = Annotated[Caller, InOwner(Action.POLICIES_WRITE)]
Deleter = Annotated[Caller, InOwner(Action.POLICIES_DELETE)]

MOST_POINTS = 1_000
"""Parts of a plot that a preview shows."""


@router.get("")
def list_policies(services: ServicesDep, caller: Reader) -> dict[str, Any]:
    """List the policies in force, in the format that `lakebed apply` accepts."""
    found = services.catalog.policies(caller.owner)
    return {"policies": [stored.document for stored in found if caller.may(*topics_of(stored))]}


@router.post("", status_code=201, openapi_extra=_DOCUMENT)
def create_policy(
    services: ServicesDep,
    caller: Writer,
    body: Body,
    response: Response,
    expected: ExpectedDep = ANYTHING,
) -> dict[str, Any]:
    """Create a policy; 409 if its name is taken. It takes effect within two seconds."""
    document = _posted(services, caller, document_in(body))
    with expected.creating(), services.accounts.transaction():
        ((stored, _),) = services.catalog.put_policies(caller.owner, [document], create=True)
        stock.check_policies(services, caller.owner)
    services.policies_changed()
    response.headers["Location"] = f"/api/v1/policies/{stored.name}"
    return _show(stored, response)


@router.post("/check", openapi_extra=_DOCUMENT)
def check_policies(services: ServicesDep, caller: Writer, body: Body, request: Request) -> Response:
    """Check a policy, or a whole file of them (JSON or YAML), and change nothing.

    `warnings` are no mistakes: what is hardly meant, such as a topic that nothing can match.
    """
    try:
        found = _check(services, caller, body, request.headers.get("content-type", ""))
    except BadRequest:
        raise
    except Invalid as error:
        document = problems.document(422, str(error), error.problems, ok=False)
        return JSONResponse(document, 422, media_type=problems.MEDIA_TYPE)
    shown = [{"where": one.where, "what": one.what, "line": one.line} for one in found]
    return JSONResponse({"ok": True} | ({"warnings": shown} if shown else {}))


def _check(services: Services, caller: Caller, body: bytes, media: str) -> list[Problem]:
    zone = services.settings.keeper.timezone
    if media.partition(";")[0].strip().lower() not in _YAML:
        document = document_in(body)
        is_file = isinstance(document, list) or (
            isinstance(document, dict) and "policies" in document
        )
        if not is_file:
            _posted(services, caller, document)
            policy = _parsed(services, caller, document)
            return [
                Problem(path_text(path), what)
                for path, what in warnings_of(policy, surroundings(services, caller))
            ]
    policies: list[Policy] = []
    sections = [collecting(policies, caller.owner, zone, surroundings(services, caller))]
    read_entries(text_in(body), sections)
    for policy in policies:
        caller.require(*policy.topics)
    return find_warnings(text_in(body), sections)


def surroundings(services: Services, caller: Caller) -> Surroundings:
    """What warnings about the caller's policies depend on: never policies that it may not read."""
    stored = services.catalog.policies(caller.owner)
    readable = [one.document for one in stored if caller.may(*topics_of(one))]
    systems = [
        filter
        for source in services.settings.brokers
        if source.owner == caller.owner
        for filter in source.filters()
        if filter.startswith("$")
    ]
    return Surroundings(readable, services.settings.limits.topic, systems)


@router.post("/preview", openapi_extra=_DOCUMENT)
def preview_policy(
    services: ServicesDep,
    caller: Previewer,
    body: Body,
    of: Annotated[str | None, Query(description="of this last time, such as 1h")] = None,
    points: Annotated[int, Query(ge=0, le=MOST_POINTS)] = 0,
) -> Response:
    """Show what this policy would have kept of the messages in the journal, in rows and bytes."""
    found = previewed(services, caller, document_in(body), of, points)
    answer = found.to_dict() | {"examples": [show_example(one) for one in found.examples]}
    if (page := points_of(found)) is not None:
        answer["points"] = list(rows(page))
    return Response(encode(answer), media_type="application/json")


def points_of(found: "Preview") -> Page | None:
    """The points of a preview as an answer; None where there is nothing to be plotted."""
    table, policy = found.points, found.policy
    return None if table is None else Page(Question(policy, policy.topics[0]), table, None)


def previewed(
    services: Services, caller: Caller, document: Any, of: str | None, points: int
) -> "Preview":
    """Preview a document.

    Args:
        of: how far to look back, as a duration; None for all that the journal holds.
        points: parts of a plot, 0 for none.

    Raises:
        Invalid: it is no policy.
        BadRequest: `of` is no duration.
    """
    from lakebed.keeper.preview import Bounds

    since = back(of) if of else None
    policy = _parsed(services, caller, document)
    return services.preview(policy, Bounds(since, points))


def back(of: str) -> Micros:
    """The moment so long ago.

    Raises:
        BadRequest: it is no duration.
    """
    try:
        return now() - duration_within(of, SECOND, LONGEST)
    except ValueError as error:
        raise BadRequest("of", str(error)) from None


@router.get("/{name}")
def read_policy(
    services: ServicesDep, caller: Reader, name: str, response: Response
) -> dict[str, Any]:
    """Show one policy as its document; its version is the ETag."""
    for stored in services.catalog.policies(caller.owner):
        if stored.name == name and caller.may(*topics_of(stored)):
            return _show(stored, response)
    raise missing(name)


@router.put("/{name}", openapi_extra=_DOCUMENT, responses={201: {"description": "Created"}})
def put_policy(
    services: ServicesDep,
    caller: Writer,
    name: str,
    body: Body,
    response: Response,
    expected: ExpectedDep,
) -> dict[str, Any]:
    """Create or replace a policy. What an earlier version kept stays readable."""
    document = sections.named(document_in(body), name)
    document = _posted(services, caller, document)

    def check(current: StoredPolicy) -> None:
        if not caller.may(*topics_of(current)):
            raise Denied(f"the policy {name!r} that is in force is about topics that are not yours")
        expected.check(current.version)

    with services.accounts.transaction():
        ((stored, created),) = services.catalog.put_policies(caller.owner, [document], check=check)
        if created:
            expected.check(None)
            stock.check_policies(services, caller.owner)
    services.policies_changed()
    if created:
        response.status_code = 201
    return _show(stored, response)


@router.delete("/{name}", status_code=204)
def delete_policy(services: ServicesDep, caller: Deleter, name: str, expected: ExpectedDep) -> None:
    """Delete a policy. What it kept stays readable under its name."""

    def check(current: StoredPolicy) -> None:
        topics = topics_of(current)
        if not caller.to(Action.POLICIES_READ).may(*topics):
            raise missing(name)
        caller.require(*topics)
        expected.check(current.version)

    services.catalog.delete_policy(caller.owner, name, check)
    services.policies_changed()


def _parsed(services: Services, caller: Caller, document: Any) -> Policy:
    """Parse a document into a policy and check its topics against the caller's grants.

    Raises:
        Invalid: it is no policy; names everything that is wrong.
        Denied: names the first topic that the grants do not cover.
    """
    zone = services.settings.keeper.timezone
    policy = parse(document, caller.owner, default_timezone=zone)
    caller.require(*policy.topics)
    return policy


def _posted(services: Services, caller: Caller, document: Any) -> dict[str, Any]:
    """Parse a policy to be written; return the document to store.

    Raises:
        BadRequest: the owner does not exist and its name is no slug.
    """
    if (fault := fault_of_owner(services, caller.owner)) is not None:
        raise BadRequest("owner", fault)
    written = to_document(_parsed(services, caller, document))
    services.accounts.ensure_owner(caller.owner)
    return written


def topics_of(stored: StoredPolicy) -> tuple[str, ...]:
    return tuple(stored.document["topics"])


def missing(name: str) -> NotFound:
    """The error for a policy that does not exist, or that the caller may not read."""
    return NotFound(f"there is no policy {name!r}")


def _show(stored: StoredPolicy, response: Response) -> dict[str, Any]:
    response.headers["ETag"] = f'"{stored.version}"'
    return stored.document
