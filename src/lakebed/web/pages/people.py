"""People of a name space: members with their roles, invitations, and what is shared."""

from typing import Annotated

import msgspec
from fastapi import Response

from lakebed.access.actions import Action
from lakebed.api.preconditions import ANYTHING
from lakebed.api.routes import invitations, owners, shares
from lakebed.vocabulary.errors import Problem
from lakebed.web.navigation import Page
from lakebed.web.page import REFUSED, Form, FormDep, Pages, View, Viewing, problems_of
from lakebed.web.words import mark as _

PAGE = Page("people", "/people", _("People and shares"), "devices", 30, Action.OWNERS_READ)
router = Pages()
ROLES = {
    "viewer": _("viewer: reads"),
    "editor": _("editor: also sends, and changes policies, units, boards"),
    "manager": _("manager: also people, tokens, deletion"),
}
Manager = Annotated[View, Viewing(Action.MEMBERS_WRITE, PAGE)]
Sharer = Annotated[View, Viewing(Action.SHARES_WRITE, PAGE)]


@router.get("/people")
def show(view: Annotated[View, Viewing(Action.OWNERS_READ, PAGE)]) -> Response:
    """All of them on one page."""
    return _page(view)


@router.post("/people/members")
def put_member(view: Manager, form: FormDep) -> Response:
    """Add a member, or change their role."""
    user = form.text("user")
    view.caller.note(f"owners/{view.owner}/members/{user}")
    body = msgspec.json.encode({"role": form.text("role")})
    try:
        owners.put_member(view.services, view.owner, user, body)
    except REFUSED as error:
        return _page(view, problems_of(error), error.status)
    return view.go("/people", view.word(_("Saved.")))


@router.post("/people/members/remove")
def remove_member(view: Manager, form: FormDep) -> Response:
    """Remove a member."""
    user = form.text("user")
    view.caller.note(f"owners/{view.owner}/members/{user}")
    try:
        owners.remove_member(view.services, view.owner, user)
    except REFUSED as error:
        return _page(view, problems_of(error), error.status)
    return view.go("/people", view.word(_("Removed %(name)s."), name=user))


@router.post("/people/invitations")
def invite(
    view: Annotated[View, Viewing(Action.INVITATIONS_WRITE, PAGE)], form: FormDep
) -> Response:
    """Make an invitation; its link is shown this once."""
    wanted = {"owner": view.owner, "role": form.text("role"), "account": form.flag("account")}
    try:
        made = invitations.create_invitation(
            view.request, view.services, view.caller, msgspec.json.encode(wanted)
        )
    except REFUSED as error:
        return _page(view, problems_of(error), error.status)
    return _page(view, link=made["link"])


@router.post("/people/invitations/remove")
def withdraw(
    view: Annotated[View, Viewing(Action.INVITATIONS_WRITE, PAGE)], form: FormDep
) -> Response:
    """Withdraw an invitation."""
    invitations.delete_invitation(view.services, view.caller, form.text("id"))
    return view.go("/people", view.word(_("The invitation works no more.")))


@router.post("/people/shares")
def put_share(view: Sharer, form: FormDep) -> Response:
    """Make a share, or replace the one of this name."""
    name = form.text("name")
    view.caller.note(f"shares/{name}")
    body = msgspec.json.encode(_share(form))
    try:
        shares.put_share(view.services, view.caller, name, body, Response(), ANYTHING)
    except REFUSED as error:
        return _page(view, problems_of(error), error.status, form=form)
    return view.go("/people", view.word(_("Shared.")))


@router.post("/people/shares/remove")
def remove_share(
    view: Annotated[View, Viewing(Action.SHARES_DELETE, PAGE)], form: FormDep
) -> Response:
    """End a share."""
    name = form.text("name")
    view.caller.note(f"shares/{name}")
    shares.delete_share(view.services, view.caller, name, ANYTHING)
    return view.go("/people", view.word(_("The share has ended.")))


def _share(form: Form) -> dict[str, object]:
    return {
        "name": form.text("name"),
        "topics": form.raw("topics").split(),
        "with": form.raw("with").split(),
        "may": form.get("may", []),
    }


def _page(
    view: View,
    problems: tuple[Problem, ...] = (),
    status: int = 200,
    link: str = "",
    form: Form | None = None,
) -> Response:
    services, caller = view.services, view.caller
    invited = []
    if view.may(Action.INVITATIONS_READ):
        reader = caller.to(Action.INVITATIONS_READ)
        invited = invitations.list_invitations(services, reader)["invitations"]
    shared = []
    if view.may(Action.SHARES_READ):
        shared = shares.list_shares(services, caller.to(Action.SHARES_READ))["shares"]
    typed = {key: form.raw(key) if form else "" for key in ("name", "topics", "with")}
    return view.render(
        "people.html",
        status,
        owner=owners.read_owner(services, view.owner, Response()),
        invitations=invited,
        shares=shared,
        problems=problems,
        link=link,
        typed=typed,
        roles=[(role, view.word(title)) for role, title in ROLES.items()],
    )
