"""Tokens: programs that act for an owner, or for the user who made them."""

from typing import Annotated

import msgspec
from fastapi import Response

from lakebed.access.actions import Action
from lakebed.api.routes import tokens
from lakebed.vocabulary.errors import Problem
from lakebed.web.navigation import Page
from lakebed.web.page import REFUSED, FormDep, Pages, View, Viewing, problems_of
from lakebed.web.words import mark as _

PAGE = Page("tokens", "/tokens", _("Tokens"), "devices", 20, Action.TOKENS_READ)
router = Pages()
ROLES = {
    "": _("as much as its topics say"),
    "device": _("device: sends and reads"),
    "viewer": _("viewer: reads, and sees policies and counts"),
    "editor": _("editor: also changes policies, units, boards"),
    "manager": _("manager: also people, tokens, deletion"),
}


@router.get("/tokens")
def show(view: Annotated[View, Viewing(Action.TOKENS_READ, PAGE)]) -> Response:
    """The tokens that the caller made, or all as a manager."""
    return _page(view)


@router.post("/tokens")
def make(view: Annotated[View, Viewing(Action.TOKENS_CREATE, PAGE)], form: FormDep) -> Response:
    """Make a token, shown this once."""
    wanted: dict[str, object] = {"name": form.text("name")}
    for key in ("publish", "read"):
        wanted[key] = form.raw(key).split()
    for key in ("role", "expires"):
        if form.text(key):
            wanted[key] = form.text(key)
    try:
        made = tokens.create_token(view.services, view.caller, msgspec.json.encode(wanted))
    except REFUSED as error:
        return _page(view, problems_of(error), error.status, form)
    return _page(view, token=made["token"], name=made["name"])


@router.post("/tokens/revoke")
def revoke(view: Annotated[View, Viewing(Action.TOKENS_REVOKE, PAGE)], form: FormDep) -> Response:
    """Revoke a token; the last one of an admin only if that is meant."""
    name = form.text("name")
    view.caller.note(f"tokens/{name}")
    try:
        tokens.revoke_token(view.services, view.caller, name, form.flag("force"))
    except REFUSED as error:
        return _page(view, problems_of(error), error.status)
    return view.go("/tokens", view.word(_("Revoked %(name)s."), name=name))


def _page(
    view: View,
    problems: tuple[Problem, ...] = (),
    status: int = 200,
    form: FormDep | None = None,
    token: str = "",
    name: str = "",
) -> Response:
    found = tokens.list_tokens(view.services, view.caller.to(Action.TOKENS_READ))["tokens"]
    typed = {key: form.raw(key) if form else "" for key in ("name", "publish", "read", "expires")}
    return view.render(
        "tokens.html",
        status,
        tokens=found,
        problems=problems,
        typed=typed,
        roles=[(role, view.word(title)) for role, title in ROLES.items()],
        token=token,
        name=name,
    )
