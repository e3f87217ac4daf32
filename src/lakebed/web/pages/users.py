"""Users and owners of the instance, for admins."""

from typing import Annotated

import msgspec
from fastapi import Response

from lakebed.access.actions import Action
from lakebed.api.routes import factors, owners, users
from lakebed.vocabulary.errors import Problem
from lakebed.web.navigation import Page
from lakebed.web.page import REFUSED, FormDep, Pages, View, Viewing, problems_of
from lakebed.web.words import mark as _

PAGE = Page("users", "/users", _("Users and owners"), "instance", 20, Action.USERS_ADMINISTER)
router = Pages()
Admin = Annotated[View, Viewing(Action.USERS_ADMINISTER, PAGE)]
OwnerAdmin = Annotated[View, Viewing(Action.OWNERS_ADMINISTER, PAGE)]


@router.get("/users")
def show(view: Admin) -> Response:
    """All of both."""
    return _page(view)


@router.post("/users")
def make(view: Admin, form: FormDep) -> Response:
    """Make a user, with a link by which they choose a password."""
    name = form.text("user")
    view.caller.note(f"users/{name}")
    wanted = users.UserDocument(name, None, form.text("title"), form.flag("admin"))
    try:
        users.make_user(view.services, wanted)
    except REFUSED as error:
        return _page(view, problems_of(error), error.status)
    return _linked(view, name)


@router.post("/users/link")
def link(view: Admin, form: FormDep) -> Response:
    """Make a link by which a user chooses a new password, shown this once."""
    view.caller.note(f"users/{form.text('user')}/link")
    return _linked(view, form.text("user"))


@router.post("/users/change")
def change(view: Admin, form: FormDep) -> Response:
    """Block a user or let them in again, make them an admin or not."""
    name = form.text("user")
    view.caller.note(f"users/{name}")
    changes = {key: form.flag(key) for key in ("blocked", "admin") if key in form}
    caller = view.caller.to(Action.USERS_CHANGE)
    try:
        users.change_user(view.services, caller, name, msgspec.json.encode(changes), Response())
    except REFUSED as error:
        return _page(view, problems_of(error), error.status)
    return view.go("/users", view.word(_("Saved.")))


@router.post("/users/factors")
def remove_factors(view: Admin, form: FormDep) -> Response:
    """Remove the second factors of a user who has lost them."""
    name = form.text("user")
    view.caller.note(f"users/{name}/factors")
    caller = view.caller.to(Action.USERS_CHANGE)
    for factor in view.services.accounts.factors(name):
        factors.remove_factor(view.services, caller, name, factor.id)
    return view.go("/users", view.word(_("Removed the second factors of %(name)s."), name=name))


@router.post("/users/delete")
def delete(view: Admin, form: FormDep) -> Response:
    """Delete a user."""
    name = form.text("user")
    view.caller.note(f"users/{name}")
    try:
        users.delete_user(view.services, name)
    except REFUSED as error:
        return _page(view, problems_of(error), error.status)
    return view.go("/users", view.word(_("Deleted %(name)s."), name=name))


@router.post("/users/owners")
def make_owner(view: OwnerAdmin, form: FormDep) -> Response:
    """Make an owner with a first manager."""
    wanted = {"owner": form.text("owner"), "title": form.text("title")}
    if form.text("manager"):
        wanted["manager"] = form.text("manager")
    try:
        owners.create_owner(view.services, view.caller, msgspec.json.encode(wanted))
    except REFUSED as error:
        return _page(view, problems_of(error), error.status)
    return view.go("/users", view.word(_("Saved.")))


@router.post("/users/owners/change")
def change_owner(view: OwnerAdmin, form: FormDep) -> Response:
    """Block an owner or not, and set their limits."""
    name = form.text("name")
    view.caller.note(f"owners/{name}")
    changes: dict[str, object] = {}
    if "blocked" in form:
        changes["blocked"] = form.flag("blocked")
    if "messages" in form:
        keys = ("messages", "bytes", "stored", "units", "policies", "topics", "over")
        given = {key: form.text(key) for key in keys if form.text(key)}
        changes["limits"] = {
            key: int(text) if text.isascii() and text.isdigit() and len(text) < 16 else text
            for key, text in given.items()
        }
    try:
        owners.change_owner(
            view.services, view.caller, name, msgspec.json.encode(changes), Response()
        )
    except REFUSED as error:
        return _page(view, problems_of(error), error.status)
    return view.go("/users", view.word(_("Saved.")))


def _linked(view: View, name: str) -> Response:
    made = users.make_link(view.request, view.services, name)
    return _page(view, link=made["link"], name=name)


def _page(
    view: View,
    problems: tuple[Problem, ...] = (),
    status: int = 200,
    link: str = "",
    name: str = "",
) -> Response:
    services = view.services
    found = [
        owners.read_owner(services, one.name, Response()) for one in services.accounts.owners()
    ]
    return view.render(
        "users.html",
        status,
        users=users.list_users(services)["users"],
        owners=found,
        problems=problems,
        link=link,
        name=name,
    )
