"""The one-time link that sets a password: a route for programs, and a page for people."""

from functools import partial
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from lakebed.access.actions import Action
from lakebed.api import origins, pages
from lakebed.api.callers import Caller, Public, give_session
from lakebed.api.requests import Body, ServicesDep, document_in
from lakebed.api.routes.users import hash_of
from lakebed.api.services import Services
from lakebed.ports.accounts.tickets import Purpose
from lakebed.ports.accounts.users import User
from lakebed.vocabulary.errors import Invalid, NotFound

router = APIRouter(tags=["people"])

Holder = Annotated[Caller, Public(Action.USERS_RECOVER)]
_FIELDS = {"password": ("New password", "password", "new-password")}
_INVALID = "This link does not work"
_EXAMPLE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"type": "object"}, "example": {"password": "…"}}
        },
    }
}


class NewPassword(msgspec.Struct, forbid_unknown_fields=True):
    """The password to be set."""

    password: str


_decode = msgspec.json.Decoder(NewPassword).decode


@router.post("/api/v1/password/{code}", status_code=204, openapi_extra=_EXAMPLE)
async def use_link(
    request: Request, services: ServicesDep, caller: Holder, code: str, body: Body
) -> None:
    """Set a password by a one-time link, which works once."""
    origins.check(request, needed=False)
    wanted: NewPassword = document_in(body, _decode)
    await services.sign_in.passwords.run(partial(_set, services, caller, code, wanted.password))


@router.get("/password/{code}", include_in_schema=False)
def show_form(services: ServicesDep, caller: Holder, code: str) -> Response:
    """Show the form of a link; this does not use the link up."""
    caller.changes_nothing()
    try:
        user = services.accounts.find_ticket(code, Purpose.PASSWORD).user
    except NotFound as error:
        return pages.say(_INVALID, str(error), 404)
    return _form(user)


@router.post("/password/{code}", include_in_schema=False)
async def send_form(
    request: Request, services: ServicesDep, caller: Holder, code: str, body: Body
) -> Response:
    """Set a password by the form of a link."""
    origins.check(request, needed=False)
    password, run = pages.fields_of(body).get("password", ""), services.sign_in.passwords.run
    try:
        user, first = await run(partial(_set, services, caller, code, password))
    except NotFound as error:
        return pages.say(_INVALID, str(error), 404)
    except Invalid as error:
        name = services.accounts.find_ticket(code, Purpose.PASSWORD).user
        return _form(name, "; ".join(p.what for p in error.problems), 422)
    if user.second_factor:
        return pages.say("The password is set", "Sign in with it. The link is used up.")
    address, agent = origins.address_of(request), request.headers.get("user-agent", "")
    session, secret = await run(partial(services.sign_in.open, user, address, agent))
    response = RedirectResponse("/first-steps" if first else "/", 303)
    await give_session(request, response, session, secret)
    return response


def _set(services: Services, caller: Caller, code: str, password: str) -> tuple[User, bool]:
    """The user whose password is set, and whether it is their first one."""
    name = services.accounts.find_ticket(code, Purpose.PASSWORD).user
    caller.note(f"users/{name}")
    hash = hash_of(services, name, password)
    with services.accounts.transaction():
        first = services.accounts.password_hash(name) is None
        services.accounts.use_ticket(code, Purpose.PASSWORD)
        services.accounts.set_password(name, hash)
        user = services.accounts.user(name)
    if user is None:
        raise NotFound(f"there is no user {name!r}")
    return user, first


def _form(user: str, wrong: str = "", status: int = 200) -> Response:
    says = f"It is for the user {user}: 8 characters at least, a few words are best."
    return pages.form("Choose a password", says, _FIELDS, "Set the password", wrong, status)
