"""Programs in which people sign in with their account here: the clients of the OpenID provider."""

from typing import Annotated, Any

import msgspec
from fastapi import Response

from lakebed.access.actions import Action
from lakebed.api.routes import openid_clients
from lakebed.vocabulary.errors import NotFound, Problem
from lakebed.web.navigation import Page
from lakebed.web.page import REFUSED, Form, FormDep, Pages, View, Viewing, problems_of
from lakebed.web.words import mark as _

PAGE = Page("clients", "/clients", _("Programs"), "instance", 30, Action.OPENID_CLIENTS_READ)
router = Pages()
Writer = Annotated[View, Viewing(Action.OPENID_CLIENTS_WRITE, PAGE)]


@router.get("/clients")
def show(view: Annotated[View, Viewing(Action.OPENID_CLIENTS_READ, PAGE)]) -> Response:
    """All of them, with their addresses."""
    return _page(view)


@router.post("/clients")
def register(view: Writer, form: FormDep) -> Response:
    """Register a program; its secret is shown this once."""
    name = form.text("id")
    view.caller.note(f"oidc/clients/{name}")
    wanted = {"id": name, "title": form.text("title"), "redirects": form.raw("redirects").split()}
    try:
        made = openid_clients.register_client(view.services, msgspec.json.encode(wanted))
    except REFUSED as error:
        return _page(view, problems_of(error), error.status, form)
    return _page(view, made=made)


@router.post("/clients/change")
def change(view: Writer, form: FormDep) -> Response:
    """Change the title and the addresses of a program."""
    name = form.text("id")
    view.caller.note(f"oidc/clients/{name}")
    wanted = {"title": form.text("title"), "redirects": form.raw("redirects").split()}
    try:
        openid_clients.change_client(view.services, name, msgspec.json.encode(wanted), Response())
    except (*REFUSED, NotFound) as error:
        return _page(view, problems_of(error), error.status, changed=form)
    return view.go("/clients", view.word(_("Saved.")))


@router.post("/clients/secret")
def replace_secret(view: Writer, form: FormDep) -> Response:
    """Replace the secret of a program; the new one is shown this once."""
    name = form.text("id")
    view.caller.note(f"oidc/clients/{name}/secret")
    try:
        made = openid_clients.replace_secret(view.services, name)
    except (*REFUSED, NotFound) as error:
        return _page(view, problems_of(error), error.status)
    return _page(view, made=made)


@router.post("/clients/remove")
def remove(view: Writer, form: FormDep) -> Response:
    """Remove a program: nobody signs in there with an account of this instance any more."""
    name = form.text("id")
    view.caller.note(f"oidc/clients/{name}")
    try:
        openid_clients.remove_client(view.services, name)
    except (*REFUSED, NotFound) as error:
        return _page(view, problems_of(error), error.status)
    return view.go("/clients", view.word(_("Removed %(name)s."), name=name))


def _page(
    view: View,
    problems: tuple[Problem, ...] = (),
    status: int = 200,
    form: Form | None = None,
    changed: Form | None = None,
    made: dict[str, Any] | None = None,
) -> Response:
    clients = openid_clients.list_clients(view.services)["clients"]
    for client in clients:  # what was typed and refused stays
        client["typed"] = "\n".join(client["redirects"])
        if changed is not None and changed.text("id") == client["id"]:
            client |= {"typed": changed.raw("redirects"), "title": changed.text("title")}
    provider = view.services.openid
    return view.render(
        "openid_clients.html",
        status,
        clients=clients,
        issuer=provider.issuer if provider else "",
        made=made,
        open=changed.text("id") if changed else "",
        typed={key: form.raw(key) if form else "" for key in ("id", "title", "redirects")},
        problems=problems,
    )
