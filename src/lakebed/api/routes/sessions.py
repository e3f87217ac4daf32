"""Routes of sessions: sign in and out, show the caller, list and end a user's sessions."""

import asyncio
from functools import partial
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Request, Response

from lakebed.access.actions import Action
from lakebed.access.principals import Kind, Principal
from lakebed.accounts import passkeys
from lakebed.api import cookies, origins
from lakebed.api.callers import Caller, OfCaller, OfUser, Public, give_session, identification_of
from lakebed.api.requests import Body, ServicesDep, document_in
from lakebed.ports.accounts.users import Session
from lakebed.vocabulary.errors import BadRequest, NotFound, Unauthenticated
from lakebed.vocabulary.times import to_rfc3339

router = APIRouter(prefix="/api/v1", tags=["people"])

_SIGN_IN: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"type": "object"},
                "example": {"user": "ann", "password": "a few words of hers"},
            }
        },
    }
}


class SignInDocument(msgspec.Struct, forbid_unknown_fields=True):
    """Who signs in: by name and password, or by a passkey alone.

    Attributes:
        code: of the second factor, where the user has one.
        passkey: what `navigator.credentials.get` has answered.
    """

    user: str | None = None
    password: str | None = None
    code: str | None = None
    passkey: dict[str, Any] | None = None


_decode = msgspec.json.Decoder(SignInDocument).decode


@router.post("/session", openapi_extra=_SIGN_IN)
async def sign_in(
    request: Request,
    response: Response,
    services: ServicesDep,
    caller: Annotated[Caller, Public(Action.SESSION_BEGIN)],
    body: Body,
) -> dict[str, Any]:
    """Sign in: set the cookie of a session, and answer its user."""
    origins.check(request, needed=False)
    wanted: SignInDocument = document_in(body, _decode)
    address, agent = origins.address_of(request), request.headers.get("user-agent", "")
    if wanted.passkey is not None:
        check = partial(
            passkeys.signed, services.sealer(), services.accounts, services.accounts,
            wanted.passkey, origins.own(request),
        )  # fmt: skip
        work = partial(services.sign_in.begin_by_passkey, check, address, agent)
    elif wanted.user is None or wanted.password is None:
        raise BadRequest("user" if wanted.user is None else "password", "it is needed")
    else:
        if await asyncio.to_thread(services.accounts.user, wanted.user) is not None:
            caller.note(f"users/{wanted.user}")  # others may have typed their password there
        work = partial(
            services.sign_in.begin, wanted.user, wanted.password, wanted.code, address, agent
        )
    session, secret = await services.sign_in.passwords.run(work)
    caller.note(f"users/{session.user}")
    caller.noted.actor = f"user:{session.user}"
    await give_session(request, response, session, secret)
    principal = await identification_of(request).identify(secret)
    if principal is None:
        raise Unauthenticated("the session has ended: sign in again")
    return show_caller(principal)


@router.post("/session/passkey")
def begin_passkey(
    request: Request,
    services: ServicesDep,
    caller: Annotated[Caller, Public(Action.SESSION_BEGIN)],
) -> dict[str, Any]:
    """Make the options for `navigator.credentials.get`, to sign in by a passkey."""
    origins.check(request, needed=False)
    caller.changes_nothing()
    return passkeys.begin_sign_in(services.sealer(), origins.own(request))


@router.delete("/session", status_code=204)
def sign_out(
    request: Request,
    response: Response,
    services: ServicesDep,
    caller: Annotated[Caller, OfCaller(Action.SESSION_END)],
) -> None:
    """Sign out: end the session of the cookie."""
    if not caller.principal.session:
        raise NotFound("a token has no session: revoke it instead")
    services.accounts.end_session(caller.principal.name, caller.principal.session)
    cookies.take_back(response, request)


@router.get("/me")
def me(caller: Annotated[Caller, OfCaller(Action.ME_READ)]) -> dict[str, Any]:
    """Show the caller (a user, a unit or a token) and its permissions."""
    return show_caller(caller.principal)


@router.get("/users/{name}/sessions")
def list_sessions(
    services: ServicesDep, caller: Annotated[Caller, OfUser(Action.USERS_READ)], name: str
) -> dict[str, Any]:
    """List the sessions of a user, the newest first; `current` marks the one of this request."""
    if services.accounts.user(name) is None:
        raise NotFound(f"there is no user {name!r}")
    current = caller.principal.session
    return {"sessions": [_show(found, current) for found in services.accounts.sessions(name)]}


@router.delete(
    "/users/{name}/sessions/{id}", status_code=204, dependencies=[OfUser(Action.USERS_CHANGE)]
)
def end_session(services: ServicesDep, name: str, id: str) -> None:
    """End a session within two seconds."""
    services.accounts.end_session(name, id)


@router.delete("/users/{name}/sessions")
def end_sessions(
    services: ServicesDep, caller: Annotated[Caller, OfUser(Action.USERS_CHANGE)], name: str
) -> dict[str, Any]:
    """End all sessions of a user except the one of this request."""
    keep = caller.principal.session or None
    return {"ended": services.accounts.end_sessions(name, keep=keep)}


def show_caller(principal: Principal) -> dict[str, Any]:
    """The principal as `/me` answers it."""
    return {
        "user": principal.name if principal.kind is Kind.USER else None,
        "unit": principal.name if principal.kind is Kind.UNIT else None,
        "token": principal.name if principal.kind is Kind.TOKEN else None,
        "owner": principal.owner,
        "roles": {grant.owner: grant.role.word for grant in principal.grants},
        "admin": principal.admin,
        "must_add_factor": principal.must_enrol,
    }


def _show(session: Session, current: str) -> dict[str, Any]:
    return {
        "id": session.id,
        "created": to_rfc3339(session.created),
        "used": to_rfc3339(session.used),
        "expires": to_rfc3339(session.expires),
        "address": session.address,
        "agent": session.agent,
        "current": session.id == current,
    }
