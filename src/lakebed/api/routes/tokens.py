"""Routes of tokens: programs that act for an owner, or for the user who made them."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query

from lakebed.access.actions import Action
from lakebed.access.principals import Kind
from lakebed.access.token_making import (
    excess,
    greatest_role,
    maker_of,
    manages,
    own_filters,
)
from lakebed.accounts.fields import MOST_FILTERS, NAME, NO_NAME
from lakebed.api.callers import Caller, InOwner, InOwnerOrAll
from lakebed.api.requests import Body, ServicesDep, document_in, fault_of_owner
from lakebed.api.services import Services
from lakebed.policies.fields import listed
from lakebed.ports.accounts.tokens import StoredToken
from lakebed.vocabulary.errors import Denied, Invalid, NotFound, Problem
from lakebed.vocabulary.roles import TOKENS, Role
from lakebed.vocabulary.time_parsing import YEARS, parse_time
from lakebed.vocabulary.times import Micros, now, parse_duration, to_rfc3339
from lakebed.vocabulary.topics import check_filter

router = APIRouter(prefix="/api/v1/tokens", tags=["administration"])

Reader = Annotated[Caller, InOwnerOrAll(Action.TOKENS_READ)]
Maker = Annotated[Caller, InOwner(Action.TOKENS_CREATE)]
Revoker = Annotated[Caller, InOwner(Action.TOKENS_REVOKE)]

_TOKEN: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"type": "object"},
                "example": {
                    "owner": "plant",
                    "name": "gateway-7",
                    "publish": ["plant/#"],
                    "read": ["plant/#"],
                    "role": "device",
                    "expires": "90d",
                },
            }
        },
    }
}


class TokenDocument(msgspec.Struct, forbid_unknown_fields=True):
    """The fields of a new token; missing ones are those of its creator."""

    name: str
    owner: str | None = None
    publish: tuple[str, ...] | None = None
    read: tuple[str, ...] | None = None
    admin: bool = False
    role: str | None = None
    expires: str | float | None = None


_decode = msgspec.json.Decoder(TokenDocument).decode


@router.post("", status_code=201, openapi_extra=_TOKEN)
def create_token(services: ServicesDep, caller: Maker, body: Body) -> dict[str, Any]:
    """Create a token with at most the caller's permissions. Only this answer shows it."""
    document: TokenDocument = document_in(body, _decode)
    owner = caller.owner if document.owner is None else document.owner
    caller = replace(caller, owner=owner)
    caller.require_owner()
    expires, problems = _expiry(document)
    if problems := [*_problems(services, owner, document), *problems]:
        raise Invalid(*problems)
    mine = own_token(services, caller)
    wanted = _wanted(caller, document, mine, expires)
    caller.noted.owner, caller.noted.resource = owner, f"tokens/{wanted.name}"
    if beyond := list(excess(caller.principal, wanted, mine)):
        raise Denied(f"a token may not more than who makes it: {'; '.join(beyond)}")
    secret = services.accounts.add_token(wanted)
    return {"token": secret, **_show(replace(wanted, created=now()))}


@router.get("")
def list_tokens(services: ServicesDep, caller: Reader) -> dict[str, Any]:
    """List tokens by owner and name, without their secrets: all of owners that the caller manages,
    else the caller's own.
    """
    found = services.accounts.tokens()
    return {
        "tokens": [
            _show(token)
            for token in found
            if (not caller.owner or token.owner == caller.owner) and _handles(caller, token)
        ]
    }


@router.delete("", status_code=204)
def revoke_token(
    services: ServicesDep,
    caller: Revoker,
    name: Annotated[str, Query(description="of the token")],
    force: Annotated[bool, Query(description="the last token of an admin too")] = False,
) -> None:
    """Revoke a token within two seconds. The last token of an admin needs `force`."""
    named = [t for t in services.accounts.tokens() if (t.owner, t.name) == (caller.owner, name)]
    if not named or not _handles(caller, named[0]):
        raise NotFound(f"{caller.owner} has no token named {name!r}")
    if named[0].admin and not caller.principal.admin:
        raise Denied("the token of an admin is ended by admins")
    services.accounts.revoke_token(caller.owner, name, keep_admin=not force)


def _handles(caller: Caller, token: StoredToken) -> bool:
    """Whether a token is one of the caller's."""
    principal = caller.principal
    if manages(principal, token.owner):
        return True
    return principal.kind is Kind.USER and token.maker == principal.name


def own_token(services: Services, caller: Caller) -> StoredToken | None:
    """The token that the caller is."""
    principal = caller.principal
    if principal.kind is not Kind.TOKEN:
        return None
    key = principal.owner, principal.name
    return next((t for t in services.accounts.tokens() if (t.owner, t.name) == key), None)


def _wanted(
    caller: Caller, document: TokenDocument, mine: StoredToken | None, expires: Micros | None
) -> StoredToken:
    principal, owner = caller.principal, caller.owner
    if document.role is None:
        role = min(Role.EDITOR, greatest_role(principal, owner))
    else:
        role = TOKENS[document.role]
    publish, read = (
        own_filters(principal, owner, kind) if given is None else given
        for kind, given in (("publish", document.publish), ("read", document.read))
    )
    if expires is None and mine is not None:
        expires = mine.expires
    return StoredToken(
        owner, document.name, publish, read, document.admin, role, expires,
        maker_of(principal, mine),
    )  # fmt: skip


def _problems(services: Services, owner: str, wanted: TokenDocument) -> Iterator[Problem]:
    if (fault := fault_of_owner(services, owner)) is not None:
        yield Problem("owner", fault)
    if not NAME.fullmatch(wanted.name):
        yield Problem("name", NO_NAME)
    if wanted.role is not None and wanted.role not in TOKENS:
        yield Problem("role", f"{wanted.role!r} is no role: {listed(TOKENS)}")
    for where, filters in (("publish", wanted.publish or ()), ("read", wanted.read or ())):
        if len(filters) > MOST_FILTERS:
            what = f"there are at most {MOST_FILTERS} topic filters, not {len(filters)}"
            yield Problem(where, what)
            continue
        for place, filter in enumerate(filters):
            try:
                check_filter(filter)
            except ValueError as error:
                yield Problem(f"{where}[{place}]", str(error))


def _expiry(wanted: TokenDocument) -> tuple[Micros | None, list[Problem]]:
    """When it ends: a time, or a duration from now."""
    if wanted.expires is None:
        return None, []
    try:
        moment = min(now() + parse_duration(wanted.expires), YEARS.last)
    except ValueError:
        try:
            moment = parse_time(wanted.expires)
        except ValueError:
            return None, [Problem("expires", "write a time (RFC 3339), or a duration such as 90d")]
    if moment <= now():
        return None, [Problem("expires", "it lies in the past")]
    return moment, []


def _show(token: StoredToken) -> dict[str, Any]:
    return {
        "owner": token.owner,
        "name": token.name,
        "publish": list(token.publish),
        "read": list(token.read),
        "admin": token.admin,
        "role": token.role.word,
        "expires": None if token.expires is None else to_rfc3339(token.expires),
        "maker": token.maker,
        "created": to_rfc3339(token.created),
        "last_used": None if token.used is None else to_rfc3339(token.used),
    }
