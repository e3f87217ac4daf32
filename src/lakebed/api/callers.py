"""Callers: the principal, action and owner of a request. Every route names its action here.

    @router.get("/records")
    def records(caller: Annotated[Caller, InOwner(Action.RECORDS_READ)], topic: str) -> ...:
        caller.require(topic)

The dependency refuses callers that may not perform the action in the name space at all. Topics are
checked by the route: `require` refuses the request, `may` filters an answer.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Annotated, Any, cast

from fastapi import Depends, Path, Query, Request
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
from lakebed.http.tokens import bearer, missing, unknown
from lakebed.vocabulary.errors import Unauthenticated, Unavailable


@dataclass(frozen=True, slots=True)
class Caller:
    """A principal that requests an action in the name space of an owner."""

    principal: Principal
    action: Action
    owner: str

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

    def to(self, action: Action) -> "Caller":
        """The same caller with another action."""
        return replace(self, action=action)


class Acting:
    """A dependency that names the action of its route."""

    def __init__(self, action: Action) -> None:
        self.action = action


class _Public(Acting):
    async def __call__(self) -> Caller:
        _require(NOBODY, self.action, INSTANCE)
        return Caller(NOBODY, self.action, "")


_scheme = HTTPBearer(auto_error=False, description="A token; a first start writes one for admin.")
_Scheme = Annotated[Any, Depends(_scheme)]


class _OnInstance(Acting):
    async def __call__(self, request: Request, _: _Scheme) -> Caller:
        principal = await principal_of(request)
        _require(principal, self.action, INSTANCE)
        return Caller(principal, self.action, principal.owner)


class _InOwner(Acting):
    async def __call__(
        self,
        request: Request,
        _: _Scheme,
        owner: Annotated[str | None, Query(description="another owner; for admins only")] = None,
    ) -> Caller:
        principal = await principal_of(request)
        owner = principal.owner if owner is None else owner
        _require(principal, self.action, Resource(owner))
        return Caller(principal, self.action, owner)


class _OfCaller(Acting):
    async def __call__(self, request: Request, _: _Scheme) -> Caller:
        principal = await principal_of(request)
        _require(principal, self.action, Resource(user=principal.name))
        return Caller(principal, self.action, principal.owner)


class _OfUser(Acting):
    async def __call__(
        self,
        request: Request,
        _: _Scheme,
        name: Annotated[str, Path(description="of the user")],
    ) -> Caller:
        principal = await principal_of(request)
        _require(principal, self.action, Resource(user=name))
        return Caller(principal, self.action, principal.owner)


def Public(action: Action) -> Any:  # noqa: N802  (reads as FastAPI's own `Depends`)
    """The caller of a public route; tokens are not looked up."""
    return Depends(_Public(action))


def OnInstance(action: Action) -> Any:  # noqa: N802
    """The caller of a route about the instance."""
    return Depends(_OnInstance(action))


def InOwner(action: Action) -> Any:  # noqa: N802
    """The caller of a route about an owner: the caller's own, or the one in the query string."""
    return Depends(_InOwner(action))


def OfCaller(action: Action) -> Any:  # noqa: N802
    """The caller of a route about the caller."""
    return Depends(_OfCaller(action))


def OfUser(action: Action) -> Any:  # noqa: N802
    """The caller of a route about the user `{name}`."""
    return Depends(_OfUser(action))


async def is_still_allowed(request: Request, caller: Caller, *topics: str) -> bool:
    """Whether a long-running request is still allowed: its token is looked up again.

    True where the catalog does not answer.
    """
    try:
        principal = await identification_of(request).identify(_secret(request))
    except Unavailable:
        return True
    return principal is not None and replace(caller, principal=principal).may(*topics)


async def principal_of(request: Request) -> Principal:
    """The principal of a request; `NOBODY` without a token or a session.

    Raises:
        Unauthenticated: the header holds no bearer token, or it or the session is unknown.
        Denied: another site may have sent it with the cookie of its user.
    """
    if "authorization" not in request.headers:
        return await user_of(request) or NOBODY
    token = _bearer(request)
    found = await identification_of(request).identify(token)
    if found is None:
        raise unknown(token)
    return found


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


def _bearer(request: Request) -> str:
    return bearer(request.headers["authorization"].encode("latin-1"))


def _secret(request: Request) -> str:
    """What the caller of a request has proven to be somebody by."""
    if "authorization" in request.headers:
        return _bearer(request)
    return cookies.secret_in(request) or ""


def identification_of(request: Request) -> Identification:
    """The identification that all callers go through."""
    return cast(Identification, request.app.state.services.identification)


def _require(principal: Principal, action: Action, resource: Resource) -> None:
    if principal.kind is Kind.NOBODY and not allow(principal, action, resource):
        raise missing()
    require(principal, action, resource)
