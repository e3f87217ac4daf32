"""Dependencies and checks that routes share: services, parameters, the body."""

from collections.abc import Callable
from typing import Annotated, Any, cast

import msgspec
from fastapi import Depends, Request

from lakebed.api.services import Services
from lakebed.http import bodies
from lakebed.vocabulary.errors import BadRequest, Invalid, Problem
from lakebed.vocabulary.owners import NO_SLUG, is_slug
from lakebed.vocabulary.time_parsing import YEARS, Bounds, Implausible, parse_time
from lakebed.vocabulary.times import Micros
from lakebed.vocabulary.topics import FilterTree, check_filter

LARGEST_DOCUMENT = 4 * 2**20  # bytes; a policy file of thousands of policies


async def services(request: Request) -> Services:
    return cast(Services, request.app.state.services)


ServicesDep = Annotated[Services, Depends(services)]


def check_filter_in(parameter: str, text: str) -> None:
    """Raises BadRequest where a parameter is no MQTT filter."""
    try:
        check_filter(text)
    except ValueError as error:
        raise BadRequest(parameter, str(error)) from None


def fault_of_owner(services: Services, owner: str) -> str | None:
    """Why an owner cannot be created: its name is no slug. None for one that exists already."""
    if is_slug(owner) or _exists(services, owner):
        return None
    return NO_SLUG


def _exists(services: Services, owner: str) -> bool:
    """Whether there is such an owner, or a policy or a source of one."""
    if services.accounts.owner(owner) is not None:
        return True
    sources = any(source.owner == owner for source in services.settings.sources)
    return sources or bool(services.catalog.policies(owner))


def policies_by_topic(services: Services, owner: str) -> FilterTree[str]:
    """The names of an owner's policies by their topic filters."""
    tree: FilterTree[str] = FilterTree()
    for stored in services.catalog.policies(owner):
        tree.add(stored.name, *stored.document["topics"])
    return tree


def moment(name: str, text: str | None, allowed: Bounds = YEARS) -> Micros | None:
    """A time in a parameter.

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


def text_in(read: bytes) -> str:
    """The text of a body.

    Raises:
        BadRequest: it is not UTF-8.
    """
    try:
        return read.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadRequest("body", "it is not UTF-8") from None


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
