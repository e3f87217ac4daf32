"""The door of the OpenID provider for browsers: who has signed in goes on, others see a form.

GET  /oidc/authorize?…   signed in ──> back to the client with a code
                         not yet ────> a form, which is sent to the same address
POST /oidc/authorize?…   name and password ──> a session, and back to the client with a code
POST /oidc/authorize     the request itself as a form (OpenID Connect Core, section 3.1.2.1)
"""

from asyncio import to_thread
from functools import partial
from typing import Annotated
from urllib.parse import urlencode, urlsplit

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from lakebed.access.actions import Action
from lakebed.access.decision import ENROL
from lakebed.access.principals import Principal
from lakebed.api import origins, pages
from lakebed.api.callers import Caller, Public, give_session, user_of
from lakebed.api.openid.provider import Answer, Provider, SignedIn
from lakebed.api.requests import ServicesDep
from lakebed.api.routes.openid import Form, ProviderDep, fields_of, response_to
from lakebed.api.services import Services
from lakebed.ports.accounts.users import Session
from lakebed.vocabulary.errors import BadRequest, Denied, FactorNeeded, TooMany, Unauthenticated
from lakebed.vocabulary.times import SECOND, now

router = APIRouter(prefix="/oidc", tags=["sign-in"])

_FIELDS = {
    "user": ("Name", "text", "username"),
    "password": ("Password", "password", "current-password"),
}
_CODE = {"code": ("Code of your application", "text", "one-time-code")}
Browser = Annotated[Caller, Public(Action.OPENID_SIGN_IN)]
Parameters = dict[str, list[str]]


@router.get("/authorize")
async def begin(
    request: Request, services: ServicesDep, provider: ProviderDep, caller: Browser
) -> Response:
    """Redirect a browser to the client with a code; first show a form if it has no session."""
    asked = fields_of(request.url.query)
    caller.note(f"oidc/clients/{_one(asked, 'client_id')}")
    try:
        principal = await user_of(request)
    except (Unauthenticated, Denied):  # an old cookie: the form gives a new one
        principal = None
    if principal is not None:
        caller.noted.actor = principal.label
    answer = await to_thread(_go_on, services, provider, asked, principal)
    if principal is None and answer.status_code < 400:
        caller.changes_nothing()
    return answer


@router.post("/authorize")
async def sign_in(
    request: Request,
    services: ServicesDep,
    provider: ProviderDep,
    caller: Browser,
    form: Form,
) -> Response:
    """Sign in by the form, or accept an authorization request that is sent as a form."""
    if not request.url.query:
        caller.changes_nothing()
        address = f"{provider.issuer}/authorize?{urlencode(form, doseq=True)}"
        return RedirectResponse(address, 303)
    origins.check(request)
    begun = partial(
        services.sign_in.begin,
        _one(form, "user"),
        _one(form, "password"),
        _one(form, "code") or None,
        origins.address_of(request),
        request.headers.get("user-agent", ""),
    )
    asked = fields_of(request.url.query)
    caller.note(f"oidc/clients/{_one(asked, 'client_id')}")
    if (wrong := await to_thread(provider.check, asked)) is not None:
        answer = _refuse(wrong)
        if answer.status_code < 400:
            caller.changes_nothing()
        return answer
    try:
        session, secret = await services.sign_in.passwords.run(begun)
    except (Unauthenticated, TooMany) as error:
        code = isinstance(error, FactorNeeded) or "code" in form
        told, name = str(error), _one(form, "user")
        return await to_thread(_form, services, asked, told, error.status, code, name)
    caller.noted.actor = f"user:{session.user}"
    if await to_thread(_must_enrol, services, session):
        return await to_thread(_form, services, asked, ENROL, 403, False, session.user)
    response = await to_thread(_follow, services, provider, asked, session)
    await give_session(request, response, session, secret)
    return response


def _go_on(
    services: Services, provider: Provider, asked: Parameters, principal: Principal | None
) -> Response:
    """The answer to who has signed in already, or not yet."""
    if (wrong := provider.check(asked)) is not None:
        return _refuse(wrong)
    who = None if principal is None else _signed_in(services, principal)
    prompt = set(_one(asked, "prompt").split())
    if who is not None and is_fresh(who, asked) and not {"login", "select_account"} & prompt:
        return response_to(provider.authorize(asked, who))
    if "none" in prompt:
        return response_to(provider.authorize(asked, None))
    return _form(services, asked)


def _refuse(wrong: Answer) -> Response:
    """A page where the browser cannot be sent back, as its client or address is not known."""
    if any(name.lower() == "location" for name, _ in wrong.headers) or not isinstance(
        wrong.body, dict
    ):
        return response_to(wrong)
    reason = wrong.body.get("error_description") or wrong.body["error"]
    advice = "Tell whoever runs the program that sent you here."
    return pages.say("Signing in does not work", f"{reason} {advice}", wrong.status)


def _must_enrol(services: Services, session: Session) -> bool:
    """Whether the user has to add a second factor first; then the session ends."""
    user = services.accounts.user(session.user)
    if user is None or not services.settings.auth.second_factor.is_missing(user):
        return False
    services.accounts.end_session(session.user, session.id)
    return True


def _follow(
    services: Services, provider: Provider, asked: Parameters, session: Session
) -> Response:
    """Back to the client, with a session that has just begun."""
    user = services.accounts.user(session.user)
    who = None if user is None else SignedIn(user, session)
    return response_to(provider.authorize(asked, who, "access_denied"))


def _signed_in(services: Services, principal: Principal) -> SignedIn | None:
    """The user of a principal and the session by which they have signed in."""
    user = services.accounts.user(principal.name)
    if user is None or principal.suspended or principal.must_enrol:
        return None
    sessions = services.accounts.sessions(principal.name)
    found = (session for session in sessions if session.id == principal.session)
    return next((SignedIn(user, session) for session in found), None)


def is_fresh(who: SignedIn, asked: Parameters) -> bool:
    """Whether somebody has signed in as lately as the client wants.

    Raises:
        BadRequest: `max_age` is no number of seconds.
    """
    age = _one(asked, "max_age")
    if not age:
        return True
    if not (age.isascii() and age.isdigit()) or len(age) > 9:
        raise BadRequest("max_age", "it is a number of seconds")
    return now() - who.session.created <= int(age) * SECOND


def _form(
    services: Services,
    asked: Parameters,
    wrong: str = "",
    status: int = 200,
    code: bool = False,
    name: str = "",
) -> Response:
    client = services.accounts.openid_client(_one(asked, "client_id"))
    title = "" if client is None else client.title or client.id
    back = urlsplit(_one(asked, "redirect_uri"))
    leads_to = "" if client is None else f"{back.scheme}://{back.netloc}"
    return pages.form(
        f"Sign in to {title}" if title else "Sign in",
        "Use the name and the password of your account here.",
        _FIELDS | _CODE if code else _FIELDS,
        "Sign in",
        wrong,
        status,
        given={"user": name},
        leads_to=leads_to,
    )


def _one(fields: Parameters, name: str) -> str:
    values = fields.get(name, [""])
    return values[0]
