"""What routes ask of a request: who sends it, and its document."""

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, cast

import msgspec
from fastapi import Depends, Query, Request
from fastapi.security import HTTPBearer

from lakebed.access.actions import Action
from lakebed.access.decision import Resource, allow, require
from lakebed.access.principals import Principal
from lakebed.api.services import Services
from lakebed.http import bodies
from lakebed.http.tokens import bearer, unknown
from lakebed.vocabulary.errors import BadRequest, Denied, Invalid, Problem
from lakebed.vocabulary.times import YEARS, Bounds, Implausible, Micros, parse_time
from lakebed.vocabulary.topics import FilterTree, check_filter

LARGEST_DOCUMENT = 4 * 2**20  # bytes; a policy file of thousands of policies

_scheme = HTTPBearer(auto_error=False, description="A token; a first start writes one for admin.")


async def services(request: Request) -> Services:
    return cast(Services, request.app.state.services)


Given = Annotated[Services, Depends(services)]


async def identity(
    request: Request, given: Given, _: Annotated[Any, Depends(_scheme)]
) -> Principal:
    """Who asks.

    Raises:
        Unauthenticated: nobody we know.
    """
    token = bearer(request.headers.get("authorization", "").encode("latin-1"))
    found = await given.identification.identify(token)
    if found is None:
        raise unknown(token)
    return found


async def asker(
    found: Annotated[Principal, Depends(identity)],
    owner: Annotated[str | None, Query(description="whose; for admins only")] = None,
) -> Principal:
    """Who asks, in whose name space: their own, or for admins any."""
    if owner is None or owner == found.owner:
        return found
    if not found.admin:
        raise Denied("only an admin may ask for what belongs to others")
    return replace(
        found, owner=owner, grants=tuple(replace(grant, owner=owner) for grant in found.grants)
    )


async def admin(found: Annotated[Principal, Depends(identity)]) -> Principal:
    if not found.admin:
        raise Denied("this is for admins")
    return found


Asker = Annotated[Principal, Depends(asker)]
Admin = Annotated[Principal, Depends(admin)]


def may_read(who: Principal, topic: str) -> bool:
    """Whether the token covers the topic or filter."""
    return allow(who, Action.RECORDS_READ, Resource(who.owner, (topic,)))


def check_read(given: Services, who: Principal, topic: str) -> None:
    """Raises Denied where the token does not cover the topic or filter."""
    require(who, Action.RECORDS_READ, Resource(who.owner, (topic,)))


def check_filter_in(parameter: str, text: str) -> None:
    """Raises BadRequest where a parameter is no MQTT filter."""
    try:
        check_filter(text)
    except ValueError as error:
        raise BadRequest(parameter, str(error)) from None


def policies_by_topic(given: Services, who: Principal) -> FilterTree[str]:
    """The names of the asker's policies, to be matched with topics."""
    tree: FilterTree[str] = FilterTree()
    for stored in given.catalog.policies(who.owner):
        tree.add(stored.name, *stored.document["topics"])
    return tree


def moment(name: str, text: str | None, allowed: Bounds = YEARS) -> Micros | None:
    """A time in a parameter: epoch seconds or RFC 3339.

    Raises:
        Invalid: it is a time, but none that can be meant.
        BadRequest: it is no time.
    """
    if text is None:
        return None
    try:
        return parse_time(text, allowed)
    except Implausible as error:
        raise Invalid(Problem(name, str(error))) from None
    except ValueError as error:
        raise BadRequest(name, str(error)) from None


async def body(request: Request) -> bytes:
    """The body, bounded and decompressed."""
    return await bodies.read(request.receive, dict(request.headers.raw), LARGEST_DOCUMENT)


def document_in(read: bytes, decode: Callable[[bytes], Any] = msgspec.json.decode) -> Any:
    """The JSON value in a body.

    Raises:
        BadRequest: it is not JSON.
    """
    try:
        return decode(read)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise BadRequest("body", f"it is not the JSON that was asked for: {error}") from None


Body = Annotated[bytes, Depends(body)]
