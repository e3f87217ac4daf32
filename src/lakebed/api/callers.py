"""Callers: the principal, action and owner of a request. Every route names its action here.

    @router.get("/records")
    def records(caller: Annotated[Caller, InOwner(Action.RECORDS_READ)], topic: str) -> ...:
        caller.require(topic)

The dependency refuses callers that may not perform the action in the name space at all. Topics are
checked by the route: `require` refuses the request, `may` filters an answer.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, cast

from fastapi import Depends, Path, Query, Request, Response
from fastapi.security import HTTPBearer

from lakebed.access.actions import Action
from lakebed.access.decision import (
    INSTANCE,
    Resource,
    allow,
    allow_all,
    allow_some,
    require,
)
from lakebed.access.identification import Identification
from lakebed.access.principals import NOBODY, Kind, Principal
from lakebed.api import cookies, origins
from lakebed.api.auditing import Noted, note
from lakebed.http.tokens import is_basic, missing, token_in, unknown
from lakebed.ports.accounts.users import Session
from lakebed.vocabulary.errors import Unauthenticated, Unavailable


@dataclass(frozen=True, slots=True)
class Caller:
    """A principal that requests an action in the name space of an owner."""

    principal: Principal
    action: Action
    owner: str
    noted: Noted = field(default_factory=Noted, repr=False, compare=False)

    def note(self, resource: str) -> None:
        """Name for the audit log what the request is about, where its path does not say it."""
        self.noted.resource = resource

    def changes_nothing(self) -> None:
        """Keep the request out of the audit log, unless it is refused."""
        self.noted.unwritten = True

    @property
    def label(self) -> str:
        """The principal's label; "" for nobody."""
        return "" if self.principal.kind is Kind.NOBODY else self.principal.label

    def may(self, *topics: str) -> bool:
        """Whether the action is allowed on all of these topics and filters."""
        return allow(self.principal, self.action, Resource(self.owner, topics))

    def may_some(self, *topics: str) -> bool:
        """Whether the action is allowed on some topic that these filters match."""
        return allow_some(self.principal, self.action, Resource(self.owner, topics))

    def may_all(self) -> bool:
        """Whether the action is allowed on every topic of the owner."""
        return allow_all(self.principal, self.action, self.owner)

    def require(self, *topics: str) -> None:
        """Raise unless the action is allowed on all of these topics and filters.

        Raises:
            Unauthenticated: the request has no token.
            Denied: names the first topic that the grants do not cover.
        """
        _require(self.principal, self.action, Resource(self.owner, topics))

    def require_owner(self) -> None:
        """Raise unless the action is allowed in the name space of the owner.

        Raises:
            Unauthenticated: the request has no token.
            Denied: it is not.
        """
        _require(self.principal, self.action, Resource(self.owner))

    def to(self, action: Action) -> "Caller":
        """The same caller with another action."""
        return replace(self, action=action)


class Acting:
    """A dependency that names the action of its route."""

    def __init__(self, action: Action) -> None:
        self.action = action

    async def principal_of(self, request: Request) -> Principal:
        """As `principal_of`; the audit log knows of a token that is unknown."""
        note(request, self.action, NOBODY)
        return await principal_of(request)

    async def principal_in(self, request: Request, owner: str | None) -> Principal:
        """As `principal_of`; of nobody with what an owner that is named shows to the public."""
        principal = await self.principal_of(request)
        if principal is NOBODY and owner is not None and self.action in PUBLIC:
            return await _stranger(request, self.action)
        return principal

    def admit(self, request: Request, principal: Principal, resource: Resource) -> Caller:
        """The caller, if the principal may; either way the audit log knows who has asked."""
        owner = resource.owner or principal.owner
        noted = note(request, self.action, principal, resource.owner)
        _require(principal, self.action, resource)
        return Caller(principal, self.action, owner, noted)


class _Public(Acting):
    async def __call__(self, request: Request) -> Caller:
        return self.admit(request, NOBODY, INSTANCE)


_scheme = HTTPBearer(auto_error=False, description="A token; a first start writes one for admin.")
_Scheme = Annotated[Any, Depends(_scheme)]


PUBLIC = frozenset({Action.RECORDS_READ, Action.BOARDS_READ})
"""What is done without signing in to what is shared with the public, where the instance allows
it."""


class _OnInstance(Acting):
    async def __call__(self, request: Request, _: _Scheme) -> Caller:
        return self.admit(request, await self.principal_of(request), INSTANCE)


class _InOwner(Acting):
    async def __call__(
        self,
        request: Request,
        _: _Scheme,
        owner: Annotated[str | None, Query(description="another owner")] = None,
    ) -> Caller:
        principal = await self.principal_in(request, owner)
        owner = principal.owner if owner is None else owner
        return self.admit(request, principal, Resource(owner))


class _OfOwner(Acting):
    async def __call__(
        self, request: Request, _: _Scheme, owner: Annotated[str, Path(description="its name")]
    ) -> Caller:
        return self.admit(request, await self.principal_of(request), Resource(owner))


class _SignedIn(Acting):
    async def __call__(self, request: Request, _: _Scheme) -> Caller:
        principal = await self.principal_of(request)
        _require(principal, Action.ME_READ, INSTANCE)
        noted = note(request, self.action, principal)
        return Caller(principal, self.action, principal.owner, noted)


class _InOwnerOrAll(Acting):
    async def __call__(
        self,
        request: Request,
        _: _Scheme,
        owner: Annotated[str | None, Query(description="whose; of admins, else of all")] = None,
    ) -> Caller:
        principal = await self.principal_of(request)
        asked = principal.owner if owner is None else owner
        caller = self.admit(request, principal, Resource(asked))
        return replace(caller, owner="") if owner is None and principal.admin else caller


class _OfCaller(Acting):
    async def __call__(self, request: Request, _: _Scheme) -> Caller:
        principal = await self.principal_of(request)
        return self.admit(request, principal, Resource(user=principal.name))


class _OfUser(Acting):
    async def __call__(
        self,
        request: Request,
        _: _Scheme,
        name: Annotated[str, Path(description="of the user")],
    ) -> Caller:
        return self.admit(request, await self.principal_of(request), Resource(user=name))


def Public(action: Action) -> Any:  # noqa: N802  (reads as FastAPI's own `Depends`)
    """The caller of a public route; tokens are not looked up."""
    return Depends(_Public(action))


def OnInstance(action: Action) -> Any:  # noqa: N802
    """The caller of a route about the instance."""
    return Depends(_OnInstance(action))


def InOwner(action: Action) -> Any:  # noqa: N802
    """The caller of a route about an owner: the caller's own, or the one in the query string."""
    return Depends(_InOwner(action))


def InOwnerOrAll(action: Action) -> Any:  # noqa: N802
    """As `InOwner`; without an owner, an admin's is "" and means all."""
    return Depends(_InOwnerOrAll(action))


def OfOwner(action: Action) -> Any:  # noqa: N802
    """The caller of a route about the owner `{owner}`."""
    return Depends(_OfOwner(action))


def SignedIn(action: Action) -> Any:  # noqa: N802
    """The caller of a route that asks about each resource by itself, by its own action."""
    return Depends(_SignedIn(action))


def OfCaller(action: Action) -> Any:  # noqa: N802
    """The caller of a route about the caller."""
    return Depends(_OfCaller(action))


def OfUser(action: Action) -> Any:  # noqa: N802
    """The caller of a route about the user `{name}`."""
    return Depends(_OfUser(action))


async def is_still_allowed(request: Request, caller: Caller, *topics: str) -> bool:
    """Whether a long-running request that was admitted is still allowed: its token is looked up.

    True where the catalog does not answer.
    """
    try:
        principal = await identification_of(request).identify(_secret(request))
    except Unavailable:
        return True
    if principal is caller.principal:
        return True  # was admitted, and may what it might then
    return principal is not None and replace(caller, principal=principal).may(*topics)


async def principal_of(request: Request) -> Principal:
    """The principal of a request; `NOBODY` without a token or a session.

    Raises:
        Unauthenticated: the header holds no token, or it or the session is unknown.
        Denied: another site may have sent it with the cookie or the password of its user.
    """
    if "authorization" not in request.headers:
        return await user_of(request) or NOBODY
    if is_basic(request.headers["authorization"].encode("latin-1")):
        origins.check(request, needed=False)  # browsers add it by themselves, like a cookie
    token = _token(request)
    found = await identification_of(request).identify(token)
    if found is None:
        raise unknown(token)
    return found


async def _stranger(request: Request, action: Action) -> Principal:
    """Who has not signed in, with what is shared with the public.

    Raises:
        TooMany: too many requests came from this address.
    """
    services = request.app.state.services
    if not services.settings.auth.public:
        return NOBODY
    found = await identification_of(request).identify_nobody()
    if found is not NOBODY or action is not Action.RECORDS_READ:
        request.app.state.strangers.admit(origins.address_of(request))
    return replace(found, public=True)


async def user_of(request: Request) -> Principal | None:
    """The user of the session that a request's cookie names; None without a cookie.

    Raises:
        Unauthenticated: the session has ended.
        Denied: another site may have sent it with the cookie of its user.
    """
    secret = cookies.secret_in(request)
    if secret is None:
        return None
    origins.check(request)
    found = await identification_of(request).identify(secret)
    if found is None or found.kind is not Kind.USER:
        raise Unauthenticated("the session has ended: sign in again")
    sign_in = request.app.state.services.sign_in
    if sign_in.is_due(found.session):
        with suppress(Unavailable):
            await asyncio.to_thread(sign_in.extend, found.session)
    return found


async def give_session(request: Request, response: Response, session: Session, secret: str) -> None:
    """Set the cookie of a session that has just begun; the one of the request's cookie ends."""
    services = request.app.state.services
    former = cookies.secret_in(request)
    if former is not None:
        found = await identification_of(request).identify(former)
        if found is not None and found.session and found.session != session.id:
            await asyncio.to_thread(services.accounts.end_session, found.name, found.session)
    cookies.give(
        response, request, secret, session.created + services.settings.auth.session_longest
    )


def _token(request: Request) -> str:
    return token_in(request.headers["authorization"].encode("latin-1"))


def _secret(request: Request) -> str:
    """What the caller of a request has proven to be somebody by."""
    if "authorization" in request.headers:
        return _token(request)
    return cookies.secret_in(request) or ""


def identification_of(request: Request) -> Identification:
    """The identification that all callers go through."""
    return cast(Identification, request.app.state.services.identification)


def _require(principal: Principal, action: Action, resource: Resource) -> None:
    if principal.kind is Kind.NOBODY and not allow(principal, action, resource):
        raise missing()
    require(principal, action, resource)
