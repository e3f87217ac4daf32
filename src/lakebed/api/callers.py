"""Callers: who asks for what. Every route names its action here, and is refused before it begins.

    @router.get("/records")
    def records(caller: Annotated[Caller, InOwner(Action.RECORDS_READ)], topic: str) -> ...:
        caller.require(topic)

What concerns single topics is decided where they are known: `require` refuses, `may` leaves out.
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
    """A principal that asks for one action in the name space of one owner."""

    principal: Principal
    action: Action
    owner: str

    def may(self, *topics: str) -> bool:
        """Whether it may do so to all of these topics and filters."""
        return allow(self.principal, self.action, Resource(self.owner, topics))

    def may_some(self, *topics: str) -> bool:
        """Whether it may do so to some topic under these filters."""
        return allow_some(self.principal, self.action, Resource(self.owner, topics))

    def may_all(self) -> bool:
        """Whether it may do so to every topic of the owner."""
        return allow_all(self.principal, self.action, self.owner)

    def require(self, *topics: str) -> None:
        """Refuse what it may not do to all of these topics and filters.

        Raises:
            Unauthenticated: nobody asks; a token may be allowed to.
            Denied: names the first topic that is not its own.
        """
        _require(self.principal, self.action, Resource(self.owner, topics))

    def to(self, action: Action) -> "Caller":
        """The same caller, asking for another action."""
        return replace(self, action=action)


class Acting:
    """A dependency of a route that names the action that the route is."""

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
        owner: Annotated[str | None, Query(description="whose; for admins only")] = None,
    ) -> Caller:
        principal = await _identified(request)
        owner = principal.owner if owner is None else owner
        _require(principal, self.action, Resource(owner))
        return Caller(principal, self.action, owner)


def Public(action: Action) -> Any:  # noqa: N802  (reads as FastAPI's own `Depends`)
    """The caller of a route that everybody may use; nobody is identified."""
    return Depends(_Public(action))


def OnInstance(action: Action) -> Any:  # noqa: N802
    """The caller of a route about the instance."""
    return Depends(_OnInstance(action))


def InOwner(action: Action) -> Any:  # noqa: N802
    """The caller of a route about an owner: their own, or the one that `owner` names."""
    return Depends(_InOwner(action))


async def still(request: Request, caller: Caller, *topics: str) -> bool:
    """Whether the one who sent a request may go on; for requests that take long.

    A catalog that does not answer changes nothing.
    """
    try:
        principal = await _identification(request).identify(_token(request))
    except Unavailable:
        return True
    return principal is not None and replace(caller, principal=principal).may(*topics)


async def _identified(request: Request) -> Principal:
    """The principal behind a request.

    Raises:
        Unauthenticated: it sends something that is no token, or one that is not known.
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
