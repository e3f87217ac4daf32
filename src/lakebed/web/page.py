"""Pages: what a handler gets, and how it answers.

    PAGE = Page("units", "/units", _("Units"), "devices", 10, Action.UNITS_READ)
    router = Pages()

    @router.get("/units")
    def show(view: Annotated[View, Viewing(Action.UNITS_READ, PAGE)]) -> Response:
        return view.render("units.html", units=...)

A page is one file in `pages/` with such a `router`, and a template; the shell finds it by itself.
"""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import parse_qs, quote, unquote, urlencode

from fastapi import APIRouter, Depends, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from lakebed.access.actions import RULES, About, Action
from lakebed.access.decision import INSTANCE, Resource, allow
from lakebed.access.principals import NOBODY, Principal
from lakebed.api import cookies
from lakebed.api.callers import Acting, Caller
from lakebed.api.requests import Body
from lakebed.api.services import Services
from lakebed.http import bodies, problems
from lakebed.vocabulary.errors import (
    BadRequest,
    Conflict,
    Denied,
    Invalid,
    LakebedError,
    Problem,
    Unauthenticated,
    show,
)
from lakebed.web import guard, kept_forms, navigation, rendering, sentences
from lakebed.web.navigation import Page
from lakebed.web.words import language_of, translations

THEME = "lakebed-theme"
"""The cookie that chooses light or dark; without it the system's setting counts."""

_SAID = "lakebed-said"
_MOST_FIELDS = 2_000
_WHILE_ENROLLING = ("account", "sign-in")
"""Pages of who has to add a second factor first."""


class Form(dict[str, list[str]]):
    """The fields of a form that was sent; each may have several values."""

    def text(self, name: str, default: str = "") -> str:
        """The first value, without blanks around it."""
        return self.get(name, [default])[0].strip()

    def raw(self, name: str) -> str:
        """The first value as it was typed, such as a password or a document."""
        return self.get(name, [""])[0].replace("\r\n", "\n")

    def flag(self, name: str) -> bool:
        """Whether a box is checked."""
        return self.text(name) not in ("", "0", "false")


@dataclass(frozen=True, slots=True)
class View:
    """One request for a page, by a caller who may see it."""

    request: Request
    page: Page
    caller: Caller

    @property
    def services(self) -> Services:
        services: Services = self.request.app.state.services
        return services

    @property
    def principal(self) -> Principal:
        return self.caller.principal

    @property
    def owner(self) -> str:
        """Whose name space the page shows."""
        return self.caller.owner

    @property
    def spaces(self) -> list[str]:
        """Names of the owners whose topics the caller may see."""
        own = {grant.owner for grant in self.principal.grants} | {self.principal.owner}
        return sorted((own | set(self.principal.shared.owners())) - {""})

    @property
    def language(self) -> str:
        return language_of(self.request)

    def word(self, text: str, **values: object) -> str:
        """A text in the language of the request."""
        found = translations(self.language).gettext(text)
        return found % values if values else found

    def words(self, one: str, many: str, number: int) -> str:
        """A text with a number in it, written `%(num)s`."""
        found = translations(self.language).ngettext(one, many, number)
        return found % {"num": number}

    def may(self, action: Action, *topics: str) -> bool:
        """Whether the caller may do something else, such as what a button would."""
        about = RULES[action].about
        if about is About.INSTANCE:
            return allow(self.principal, action, INSTANCE)
        if about is About.USER:
            return allow(self.principal, action, Resource(user=self.principal.name))
        return allow(self.principal, action, Resource(self.owner, topics or None))

    def url(self, path: str, **query: object) -> str:
        """An address of a page in the same name space."""
        kept = {name: value for name, value in query.items() if value not in (None, "")}
        if self.owner and self.owner != self.principal.owner:
            kept.setdefault("owner", self.owner)
        return f"{path}?{urlencode(kept, doseq=True)}" if kept else path

    def render(self, template: str, status: int = 200, **values: Any) -> Response:
        """The page as HTML."""
        said = guard.unseal(self.request, unquote(self.request.cookies.get(_SAID, "")))
        groups = navigation.visible(self.request.app.state.pages, self.may)
        body = rendering.render(
            template,
            self.language,
            view=self,
            request=self.request,
            navigation=groups,
            said=said,
            theme=theme_of(self.request),
            csrf_token=guard.form_token(self.request, self.principal.name),
            **values,
        )
        response = HTMLResponse(body, status, guard.HEADERS)
        if _SAID in self.request.cookies:
            response.delete_cookie(_SAID, path="/")
        return response

    def go(self, path: str, said: str = "", **query: object) -> Response:
        """Go on to another page after a form; `said` is told there once."""
        response = RedirectResponse(self.url(path, **query), 303, guard.HEADERS)
        if said:
            sealed = guard.seal(self.request, said[:500])
            response.set_cookie(
                _SAID, quote(sealed, safe=""), max_age=60, path="/", httponly=True, samesite="lax"
            )
        return response


class _OfEarlierSession(Denied):
    """A form is of another session than the request, such as one that has ended meanwhile."""

    def __init__(self, told: str, body: bytes) -> None:
        super().__init__(told)
        self.body = body


class _MustEnrol(Denied):
    """The user has to add a second factor before anything else."""


class _Viewing(Acting):
    """A dependency: the caller of a page, refused as the caller of a route would be."""

    def __init__(self, action: Action, page: Page) -> None:
        super().__init__(action)
        self.page = page

    async def __call__(
        self, request: Request, owner: Annotated[str | None, Query()] = None
    ) -> View:
        about = RULES[self.action].about
        if about is About.NOTHING:
            return View(request, self.page, self.admit(request, NOBODY, INSTANCE))
        shown = owner if self.action is Action.BOARDS_READ else None  # else to the way to sign in
        principal = await self.principal_in(request, shown)
        if principal.must_enrol and self.page.name not in _WHILE_ENROLLING:
            raise _MustEnrol("a second factor is demanded here: add one first")
        if about is About.USER:
            resource = Resource(user=request.path_params.get("name", principal.name))
        elif about in (About.INSTANCE, About.SELF):
            resource = INSTANCE
        else:
            resource = Resource(principal.owner if owner is None else owner)
        caller = self.admit(request, principal, resource)
        if not resource.owner and owner:  # goes on in the name space that was looked at before
            caller = Caller(principal, self.action, owner, caller.noted)
        return View(request, self.page, caller)


def Viewing(action: Action, page: Page) -> Any:  # noqa: N802  (reads as FastAPI's own `Depends`)
    """The view of a page. The action's rule says what it is about: an owner, the instance, …"""
    return Depends(_Viewing(action, page))


async def _form(request: Request, body: Body) -> Form:
    try:
        found = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise BadRequest("body", "it is no form") from None
    form = Form(found)
    try:
        guard.check_form(request, form.text(guard.FIELD))
    except Denied as error:
        raise _OfEarlierSession(str(error), body) from None
    form.pop(guard.FIELD, None)
    return form


FormDep = Annotated[Form, Depends(_form)]
"""The fields of a form of ours."""


class _PageRoute(APIRoute):
    """Answers errors as a page.

    Raises:
        TypeError: a handler that changes something takes no `FormDep`, which checks the token of
            the form: another site could send it.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        takes_form = any(one.call is _form for one in self.dependant.dependencies)
        if set(self.methods or ()) - {"GET", "HEAD"} and not takes_form:
            raise TypeError(f"{path}: a page that changes something takes `form: FormDep`")

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except _MustEnrol:
                return RedirectResponse("/account", 303, guard.HEADERS)
            except Unauthenticated as error:
                if "authorization" not in request.headers:
                    if request.method == "GET":
                        return to_sign_in(request)
                    if (nonce := await kept_forms.keep(request)) is not None:
                        return _to_kept(request, nonce)
                return error_page(request, error.status, str(error))
            except _OfEarlierSession as error:
                if (nonce := await kept_forms.keep(request, error.body)) is not None:
                    return _to_kept(request, nonce, "/kept")
                return error_page(request, error.status, str(error))
            except LakebedError as error:
                return error_page(request, error.status, str(error))
            except RequestValidationError as error:
                told = "; ".join(f"{one['loc'][-1]}: {one['msg']}" for one in error.errors())
                return error_page(request, 400, told)
            except (HTTPException, bodies.ClientDisconnected):
                raise
            except Exception as error:
                status, document, _ = problems.of_error(error)  # logs it
                return error_page(request, status, document["detail"])

        return answer


def Pages() -> APIRouter:  # noqa: N802
    """A router of pages."""
    return APIRouter(route_class=_PageRoute, include_in_schema=False)


def to_sign_in(request: Request) -> Response:
    """The way to sign in, and back."""
    back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"/sign-in?{urlencode({'next': back})}", 303, guard.HEADERS)


def _to_kept(request: Request, nonce: str, path: str = "/sign-in?next=%2Fkept") -> Response:
    """The way to the form that was kept, by signing in where that is needed."""
    response = RedirectResponse(path, 303, guard.HEADERS)
    response.set_cookie(
        kept_forms.COOKIE,
        nonce,
        max_age=kept_forms.SECONDS,
        path="/kept",
        secure=cookies.is_secure(request),
        httponly=True,
        samesite="lax",
    )
    return response


def error_page(request: Request, status: int, told: str) -> Response:
    """A page that says what went wrong."""
    body = rendering.render(
        "error.html",
        language_of(request),
        request=request,
        status=status,
        told=told,
        theme=theme_of(request),
    )
    return HTMLResponse(body, status, guard.HEADERS)


def theme_of(request: Request) -> str:
    """`light`, `dark`, or "" for what the system says."""
    chosen = request.cookies.get(THEME, "")
    return chosen if chosen in ("light", "dark") else ""


REFUSED = (Invalid, Conflict, Denied)
"""What a form is shown again for, with what is wrong."""


def problems_of(error: LakebedError) -> tuple[Problem, ...]:
    """What is wrong, by the fields of the form."""
    return error.problems if isinstance(error, Invalid) else (Problem("", str(error)),)


def shown_problems(view: View, problems: Sequence[Problem]) -> list[dict[str, Any]]:
    """Mistakes for a script, in the language of the page."""
    return [
        {"where": one.where, "what": sentences.told(view.language, one.what), "line": one.line}
        for one in problems
    ]


def whole_number(text: str) -> int:
    """A number of a form.

    Raises:
        BadRequest: it is no whole number.
    """
    if not (text.isascii() and text.isdigit()) or len(text) > 18:
        raise BadRequest("", f"{show(text)} is no whole number")
    return int(text)
