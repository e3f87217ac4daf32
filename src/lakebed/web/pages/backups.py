"""Backups: the one that runs, the last one, those at a place; take another."""

from typing import Annotated, Any

import msgspec
from fastapi import Query, Response

from lakebed.access.actions import Action
from lakebed.api.routes import administration
from lakebed.vocabulary.errors import LakebedError, NotFound, Problem, Unavailable
from lakebed.web.navigation import Page
from lakebed.web.page import REFUSED, FormDep, Pages, View, Viewing, problems_of, whole_number
from lakebed.web.words import mark as _

PAGE = Page("backups", "/backups", _("Backups"), "instance", 15, Action.BACKUPS_READ)
router = Pages()
STATES = {"complete": _("complete"), "damaged": _("damaged")}


@router.get("/backups")
def show(
    view: Annotated[View, Viewing(Action.BACKUPS_READ, PAGE)],
    at: Annotated[str, Query(max_length=4_096)] = "",
) -> Response:
    """What runs, and the backups at a place: that of the last one, unless another is named."""
    return _page(view, at)


@router.post("/backups")
def take(view: Annotated[View, Viewing(Action.BACKUPS_TAKE, PAGE)], form: FormDep) -> Response:
    """Start a backup."""
    wanted: dict[str, Any] = {"to": form.text("to"), "take_over": form.flag("take_over")}
    try:
        if form.text("keep"):
            wanted["keep"] = whole_number(form.text("keep"))
        administration.begin_backup(view.services, msgspec.json.encode(wanted))
    except (*REFUSED, NotFound, Unavailable) as error:
        return _page(view, "", problems_of(error), error.status, form)
    return view.go("/backups", view.word(_("The backup has begun.")), at=form.text("to"))


def _page(
    view: View,
    at: str,
    problems: tuple[Problem, ...] = (),
    status: int = 200,
    form: FormDep | None = None,
) -> Response:
    absent = ""
    state: dict[str, Any] = {"running": None, "last": None}
    found: list[dict[str, Any]] = []
    try:
        state = administration.show_backups(view.services, None)
        at = at or (state["last"] or {}).get("to", "")
        if at:
            found = administration.show_backups(view.services, at)["backups"]
    except NotFound as error:
        absent = str(error)
    except LakebedError as error:
        problems = problems or problems_of(error)
    return view.render(
        "backups.html",
        status,
        absent=absent,
        state=state,
        at=at,
        found=found,
        states=STATES,
        typed={key: form.text(key) if form else "" for key in ("to", "keep")},
        problems=problems,
    )
