"""Secrets that documents refer to: written and removed here, never shown."""

from typing import Annotated

import msgspec
from fastapi import Response

from lakebed.access.actions import Action
from lakebed.api.routes import secrets
from lakebed.vocabulary.errors import NotFound, Problem
from lakebed.web.navigation import Page
from lakebed.web.page import REFUSED, Form, FormDep, Pages, View, Viewing, problems_of
from lakebed.web.words import mark as _

PAGE = Page("secrets", "/secrets", _("Secrets"), "devices", 30, Action.SECRETS_READ)
router = Pages()
Writer = Annotated[View, Viewing(Action.SECRETS_WRITE, PAGE)]


@router.get("/secrets")
def show(view: Annotated[View, Viewing(Action.SECRETS_READ, PAGE)]) -> Response:
    """The secrets of an owner by name, with what refers to them."""
    return _page(view)


@router.post("/secrets")
def write(view: Writer, form: FormDep) -> Response:
    """Write a secret; one of this name is replaced."""
    name = form.text("name")
    view.caller.note(f"secrets/{name}")
    body = msgspec.json.encode({"value": form.raw("secret")})
    try:
        secrets.put_secret(view.services, view.caller, name, body, Response())
    except REFUSED as error:
        return _page(view, problems_of(error), error.status, form)
    return view.go("/secrets", view.word(_("Written: %(name)s."), name=name))


@router.post("/secrets/remove")
def remove(view: Writer, form: FormDep) -> Response:
    """Remove a secret; one that documents refer to only if that is meant."""
    name = form.text("name")
    view.caller.note(f"secrets/{name}")
    try:
        secrets.delete_secret(view.services, view.caller, name, form.flag("force"))
    except (*REFUSED, NotFound) as error:
        return _page(view, problems_of(error), error.status)
    return view.go("/secrets", view.word(_("Removed %(name)s."), name=name))


def _page(
    view: View, problems: tuple[Problem, ...] = (), status: int = 200, form: Form | None = None
) -> Response:
    caller = view.caller.to(Action.SECRETS_READ)
    return view.render(
        "secrets.html",
        status,
        secrets=secrets.list_secrets(view.services, caller)["secrets"],
        problems=problems,
        name=form.text("name") if form else "",
    )
