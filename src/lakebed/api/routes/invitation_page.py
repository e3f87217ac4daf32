"""The page that an invitation's link opens: join, or make an account."""

from collections.abc import Mapping
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Request, Response

from lakebed.access.actions import Action
from lakebed.api import origins, pages
from lakebed.api.callers import Caller, Public, give_session, user_of
from lakebed.api.requests import Body, ServicesDep
from lakebed.api.routes.invitations import Acceptance, begin_session, join, make_account
from lakebed.ports.accounts.tickets import Purpose, Ticket
from lakebed.vocabulary.errors import Conflict, Invalid, NotFound, Unauthenticated

router = APIRouter(include_in_schema=False)

Guest = Annotated[Caller, Public(Action.INVITATIONS_ACCEPT)]
_INVALID = "This link does not work"
_FIELDS = {
    "user": ("Name, of lower-case letters, digits and hyphens", "text", "username"),
    "password": ("Password, 8 characters at least", "password", "new-password"),
}


@router.get("/invitation/{code}")
async def show_form(request: Request, services: ServicesDep, caller: Guest, code: str) -> Response:
    """The form of the invitation; looking at it does not use it up."""
    caller.changes_nothing()
    try:
        ticket = services.accounts.find_ticket(code, Purpose.INVITATION)
    except NotFound as error:
        return pages.say(_INVALID, str(error), 404)
    try:
        user = await user_of(request)
    except Unauthenticated:  # an old cookie
        user = None
    if user is not None and ticket.owner:
        return pages.form("An invitation", f"Join {_what(ticket)} as {user.name}?", {}, "Join")
    if not ticket.account:
        return pages.say(
            "Sign in first", "This invitation is for users: sign in, and open it again."
        )
    return _form(ticket)


@router.post("/invitation/{code}")
async def send_form(
    request: Request, services: ServicesDep, caller: Guest, code: str, body: Body
) -> Response:
    """What the form sends."""
    origins.check(request, needed=False)
    fields, run = pages.fields_of(body), services.sign_in.passwords.run
    try:
        if "user" not in fields:
            user = await user_of(request)
            if user is None:
                return pages.say("Sign in first", "Sign in, and open the invitation again.", 401)
            joined = _what(services.accounts.find_ticket(code, Purpose.INVITATION))
            await run(partial(join, services, caller, code, user))
            return pages.say("You have joined", f"{user.name} is now in {joined}.")
        wanted = Acceptance(fields["user"], fields.get("password", ""))
        made = await run(partial(make_account, services, caller, code, wanted))
    except NotFound as error:
        return pages.say(_INVALID, str(error), 404)
    except (Conflict, Invalid) as error:
        ticket = services.accounts.find_ticket(code, Purpose.INVITATION)
        return _form(ticket, str(error), error.status, fields)
    response = pages.say(f"Welcome, {made.name}", "The account is made, and you have signed in.")
    session, secret = await run(partial(begin_session, services, request, made))
    await give_session(request, response, session, secret)
    return response


def _form(
    ticket: Ticket, wrong: str = "", status: int = 200, given: Mapping[str, str] | None = None
) -> Response:
    says = f"An account here lets you join {_what(ticket)}. If you have one, sign in first."
    if not ticket.owner:
        says = "You are invited to make an account here."
    return pages.form(
        "Make an account", says, _FIELDS, "Make the account", wrong, status, given=given
    )


def _what(ticket: Ticket) -> str:
    return f"{ticket.owner} ({ticket.role.word})" if ticket.owner and ticket.role else "Lakebed"
