"""Parked: messages that were over a limit; release them, or drop them."""

from typing import Annotated, Literal

from fastapi import Query, Response

from lakebed.access.actions import Action
from lakebed.api.routes import parked
from lakebed.web.navigation import Page
from lakebed.web.page import FormDep, Pages, View, Viewing
from lakebed.web.words import mark as _

PAGE = Page("parked", "/parked", _("Parked"), "accounts", 40, Action.PARKED_READ)
router = Pages()
STATES = {
    "parked": _("parked"),
    "releasing": _("is being released"),
    "dropping": _("is being dropped"),
    "dropped": _("dropped"),
    "expired": _("expired"),
}


@router.get("/parked")
def show(
    view: Annotated[View, Viewing(Action.PARKED_READ, PAGE)],
    start: Annotated[str, Query(alias="from", max_length=40)] = "",
    end: Annotated[str, Query(alias="to", max_length=40)] = "",
) -> Response:
    """All stretches, the oldest first."""
    found = parked.list_parked(view.services, view.caller, start or None, end or None)
    return view.render("parked.html", found=found, start=start, end=end, states=STATES)


@router.post("/parked/settle")
def settle(view: Annotated[View, Viewing(Action.PARKED_SETTLE, PAGE)], form: FormDep) -> Response:
    """Release stretches, or drop them."""
    wish: Literal["release", "drop"] = "drop" if form.text("wish") == "drop" else "release"
    ids = form.get("id")
    if wish == "drop" and not form.flag("sure"):
        view.caller.changes_nothing()
        reader = view.caller.to(Action.PARKED_READ)
        rows = parked.list_parked(view.services, reader)["parked"]
        chosen = [r for r in rows if r["state"] == "parked" and (ids is None or r["id"] in ids)]
        return view.render("parked_drop.html", chosen=chosen, ids=ids or ())
    asked = parked.Asked(action=wish, ids=ids, all=ids is None)
    made = parked.settle_parked(view.services, view.caller, asked)
    number = made["messages"]
    told = (
        view.words(
            "%(num)s message is being released.", "%(num)s messages are being released.", number
        )
        if wish == "release"
        else view.words(
            "%(num)s message is being dropped.", "%(num)s messages are being dropped.", number
        )
    )
    return view.go("/parked", told)
