"""One's own account: password, second factors, sessions, language and theme."""

from asyncio import to_thread
from typing import Annotated, Any

import msgspec
import segno
from fastapi import Response
from fastapi.responses import RedirectResponse

from lakebed.access.actions import Action
from lakebed.access.principals import Kind
from lakebed.api.routes import factors, sessions, users
from lakebed.vocabulary.errors import Conflict, Denied, Invalid, NotFound, Problem
from lakebed.web import guard
from lakebed.web.navigation import Page
from lakebed.web.page import THEME, FormDep, Pages, View, Viewing
from lakebed.web.words import COOKIE, LANGUAGES
from lakebed.web.words import mark as _

PAGE = Page("account", "/account", _("Your account"))
router = Pages()
Mine = Annotated[View, Viewing(Action.ME_READ, PAGE)]
Changer = Annotated[View, Viewing(Action.USERS_CHANGE, PAGE)]
THEMES = {"": _("as the system"), "light": _("light"), "dark": _("dark")}
_YEAR = 365 * 86_400
Problems = tuple[Problem, ...]


@router.get("/account")
def show(view: Mine) -> Response:
    """All of it on one page."""
    return _page(view)


@router.post("/account/title")
def change_title(view: Changer, form: FormDep) -> Response:
    """Change how the user is called."""
    body = msgspec.json.encode({"title": form.text("title")})
    try:
        users.change_user(view.services, view.caller, _name(view), body, Response())
    except Invalid as error:
        return _page(view, error.problems)
    return view.go("/account", view.word(_("Saved.")))


@router.post("/account/password")
async def change_password(view: Changer, form: FormDep) -> Response:
    """Change the password with the old one; other sessions end."""
    new = form.raw("password")
    if new != form.raw("again"):
        told = view.word(_("the two new passwords differ"))
        return await _later(view, (Problem("password", told),))
    body = msgspec.json.encode({"old": form.raw("old"), "password": new})
    name, request = _name(view), view.request
    try:
        await users.set_password(request, view.services, view.caller, name, body)
    except Invalid as error:
        return await _later(view, error.problems)
    except Denied as error:
        return await _later(view, (Problem("old", str(error)),))
    return view.go("/account", view.word(_("The password is changed, and other sessions ended.")))


@router.post("/account/sessions/end")
def end_sessions(view: Changer, form: FormDep) -> Response:
    """End one session, or all others."""
    if form.text("id"):
        sessions.end_session(view.services, _name(view), form.text("id"))
    else:
        sessions.end_sessions(view.services, view.caller, _name(view))
    return view.go("/account", view.word(_("Ended.")))


@router.post("/account/look")
def choose_look(view: Mine, form: FormDep) -> Response:
    """Remember language and theme in this browser."""
    view.caller.changes_nothing()
    response = RedirectResponse("/account", 303, guard.HEADERS)
    for cookie, value, known in (
        (COOKIE, form.text("language"), LANGUAGES),
        (THEME, form.text("theme"), THEMES),
    ):
        if value in known:
            response.set_cookie(cookie, value, _YEAR, path="/", samesite="lax", httponly=True)
    return response


# --- second factors -------------------------------------------------------------------------------


@router.post("/account/factors/application")
def begin_application(view: Changer, form: FormDep) -> Response:
    """Show the secret of an application, as text and as QR code."""
    try:
        made = factors.begin_totp(view.request, view.services, view.caller, _name(view))
    except (Denied, Conflict) as error:
        return _page(view, (Problem("", str(error)),), error.status)
    return _application(view, made)


@router.post("/account/factors")
def add_factor(view: Changer, form: FormDep) -> Response:
    """Add an application that shows a right code; the first brings recovery codes."""
    secret = form.text("secret")
    wanted = {"secret": secret, "code": form.text("code"), "name": form.text("name")}
    name, body = _name(view), msgspec.json.encode(wanted)
    try:
        made = factors.add_factor(view.request, view.services, view.caller, name, body)
    except Invalid as error:
        return _application(view, {"secret": secret, "uri": form.text("uri")}, error.problems)
    except (Denied, Conflict) as error:
        return _page(view, (Problem("", str(error)),), error.status)
    return _page(view, codes=made.get("recovery_codes") or ())


@router.post("/account/factors/remove")
def remove_factor(view: Changer, form: FormDep) -> Response:
    """Remove a second factor."""
    try:
        factors.remove_factor(view.services, view.caller, _name(view), form.text("id"))
    except Denied as error:
        return _page(view, (Problem("", str(error)),), error.status)
    return view.go("/account", view.word(_("Removed.")))


@router.post("/account/factors/recovery")
def renew_codes(view: Changer, form: FormDep) -> Response:
    """Make new recovery codes, shown this once."""
    try:
        made = factors.renew_recovery_codes(view.services, view.caller, _name(view))
    except (Denied, Conflict) as error:
        return _page(view, (Problem("", str(error)),), error.status)
    return _page(view, codes=made["recovery_codes"])


def _application(view: View, made: dict[str, Any], problems: Problems = ()) -> Response:
    code = segno.make(made["uri"], error="m") if made["uri"] else None
    return view.render(
        "account_application.html",
        422 if problems else 200,
        secret=made["secret"],
        uri=made["uri"],
        path="" if code is None else code.svg_inline(omitsize=True),
        problems=problems,
    )


def _name(view: View) -> str:
    if view.principal.kind is not Kind.USER:
        raise NotFound("a token has no account of a person")
    return view.principal.name


async def _later(view: View, problems: Problems) -> Response:
    return await to_thread(_page, view, problems)


def _page(
    view: View, problems: Problems = (), status: int | None = None, codes: Any = ()
) -> Response:
    values: dict[str, Any] = {"user": None, "sessions": [], "factors": [], "recovery": 0}
    if view.principal.kind is Kind.USER:
        name, reader = view.principal.name, view.caller.to(Action.USERS_READ)
        listed = factors.list_factors(view.services, reader, name)
        values = {
            "user": users.read_user(view.services, name, Response()),
            "sessions": sessions.list_sessions(view.services, reader, name)["sessions"],
            "factors": listed["factors"],
            "recovery": listed["recovery_codes"],
        }
    return view.render(
        "account.html",
        status or (422 if problems else 200),
        problems=problems,
        codes=codes,
        languages=list(LANGUAGES.items()),
        themes=[(name, view.word(title)) for name, title in THEMES.items()],
        **values,
    )
