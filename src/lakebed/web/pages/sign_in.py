"""Sign in, sign out, and choose a language before that."""

from functools import partial
from typing import Annotated

from fastapi import Query, Request, Response
from fastapi.responses import RedirectResponse

from lakebed.access.actions import Action
from lakebed.api import cookies, origins
from lakebed.api.callers import give_session
from lakebed.vocabulary.errors import Denied, FactorNeeded, TooMany, Unauthenticated
from lakebed.web import guard
from lakebed.web.navigation import Page
from lakebed.web.page import FormDep, Pages, View, Viewing
from lakebed.web.words import COOKIE, LANGUAGES
from lakebed.web.words import mark as _

router = Pages()
_PAGE = Page("sign-in", "/sign-in", _("Sign in"))
Stranger = Annotated[View, Viewing(Action.SESSION_BEGIN, _PAGE)]
Next = Annotated[str, Query()]
_YEAR = 365 * 86_400


@router.get("/sign-in")
def show(view: Stranger, next: Next = "/") -> Response:
    """The form."""
    view.caller.changes_nothing()
    return _form(view, next)


@router.post("/sign-in")
async def sign_in(view: Stranger, form: FormDep, next: Next = "/") -> Response:
    """Begin a session, and go where the visitor wanted to go."""
    request, services, user = view.request, view.services, form.text("user")
    try:
        origins.check(request)
    except Denied as error:
        return _form(view, next, str(error), 403, user)
    begin = partial(
        services.sign_in.begin,
        user,
        form.raw("password"),
        form.text("code") or None,
        origins.address_of(request),
        request.headers.get("user-agent", ""),
    )
    try:
        session, secret = await services.sign_in.passwords.run(begin)
    except FactorNeeded:
        return _form(view, next, "", 401, user, code=True)
    except Unauthenticated:
        told = view.word(_("The name, the password or the code is wrong."))
        return _form(view, next, told, 401, user, code="code" in form)
    except TooMany as error:
        told = view.word(_("Too many attempts. Try again in %(n)s s."), n=error.seconds)
        return _form(view, next, told, 429, user)
    view.caller.note(f"users/{session.user}")
    view.caller.noted.actor = f"user:{session.user}"
    response = RedirectResponse(guard.within(next), 303, guard.HEADERS)
    await give_session(request, response, session, secret)
    return response


@router.post("/sign-out")
def sign_out(view: Annotated[View, Viewing(Action.SESSION_END, _PAGE)], form: FormDep) -> Response:
    """End the session of the cookie."""
    response = RedirectResponse("/sign-in", 303, guard.HEADERS)
    if view.principal.session:
        view.services.accounts.end_session(view.principal.name, view.principal.session)
        cookies.take_back(response, view.request)
    return response


@router.get("/language")
def choose_language(view: Stranger, to: str, request: Request) -> Response:
    """Remember a language in this browser."""
    view.caller.changes_nothing()
    response = RedirectResponse("/sign-in", 303, guard.HEADERS)
    if to in LANGUAGES:
        response.set_cookie(COOKIE, to, max_age=_YEAR, path="/", samesite="lax", httponly=True)
    return response


def _form(
    view: View, next: str, wrong: str = "", status: int = 200, user: str = "", code: bool = False
) -> Response:
    return view.render(
        "sign_in.html", status, wrong=wrong, user=user, with_code=code, next=guard.within(next)
    )
