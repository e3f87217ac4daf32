"""Callers: the principal, action and owner of a request. Every route names its action here.

    @router.get("/records")
    def records(caller: Annotated[Caller, InOwner(Action.RECORDS_READ)], topic: str) -> ...:
        caller.require(topic)

The dependency refuses callers that may not perform the action in the name space at all. Topics are
checked by the route: `require` refuses the request, `may` filters an answer.
"""

from dataclasses import dataclass, replace
from typing import Annotated, Any, cast

from fastapi import Depends, Query, Request
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
from lakebed.http.tokens import bearer, missing, unknown
from lakebed.vocabulary.errors import Unavailable


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
        principal = await _identified(request)
        _require(principal, self.action, INSTANCE)
        return Caller(principal, self.action, principal.owner)


class _InOwner(Acting):
    async def __call__(
        self,
        request: Request,
        _: _Scheme,
        owner: Annotated[str | None, Query(description="another owner; for admins only")] = None,
    ) -> Caller:
        principal = await _identified(request)
        owner = principal.owner if owner is None else owner
        _require(principal, self.action, Resource(owner))
        return Caller(principal, self.action, owner)


def Public(action: Action) -> Any:  # noqa: N802  (reads as FastAPI's own `Depends`)
    """The caller of a public route; tokens are not looked up."""
    return Depends(_Public(action))


def OnInstance(action: Action) -> Any:  # noqa: N802
    """The caller of a route about the instance."""
    return Depends(_OnInstance(action))


def InOwner(action: Action) -> Any:  # noqa: N802
    """The caller of a route about an owner: the caller's own, or the one in the query string."""
    return Depends(_InOwner(action))


async def is_still_allowed(request: Request, caller: Caller, *topics: str) -> bool:
    """Whether a long-running request is still allowed: its token is looked up again.

    True where the catalog does not answer.
    """
    try:
        principal = await _identification(request).identify(_token(request))
    except Unavailable:
        return True
    return principal is not None and replace(caller, principal=principal).may(*topics)


async def _identified(request: Request) -> Principal:
    """The principal of a request; `NOBODY` without a token.

    Raises:
        Unauthenticated: the header holds no bearer token, or an unknown one.
    """
    if "authorization" not in request.headers:
        return NOBODY
    token = _token(request)
    found = await _identification(request).identify(token)
    if found is None:
        raise unknown(token)
    return found


def _token(request: Request) -> str:
    return bearer(request.headers["authorization"].encode("latin-1"))


def _identification(request: Request) -> Identification:
    return cast(Identification, request.app.state.services.identification)


def _require(principal: Principal, action: Action, resource: Resource) -> None:
    if principal.kind is Kind.NOBODY and not allow(principal, action, resource):
        raise missing()
    require(principal, action, resource)
