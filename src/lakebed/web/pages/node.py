"""The node: health of its parts, the journal and who reads it, sources, backups, settings."""

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from fastapi import Response
from pydantic import BaseModel

from lakebed import __version__
from lakebed.access.actions import Action
from lakebed.api.routes import administration, journal, sources
from lakebed.vocabulary.errors import BadRequest, LakebedError, NotFound, Problem
from lakebed.vocabulary.errors import show as show_text
from lakebed.web import in_force
from lakebed.web.navigation import Page
from lakebed.web.page import REFUSED, FormDep, Pages, View, Viewing, problems_of
from lakebed.web.words import mark as _

PAGE = Page("node", "/node", _("Node"), "instance", 10, Action.JOURNAL_READ)
router = Pages()


@router.get("/node")
def show(view: Annotated[View, Viewing(Action.JOURNAL_READ, PAGE)]) -> Response:
    """All of it on one page."""
    return _page(view)


@router.post("/node/backup")
def back_up(view: Annotated[View, Viewing(Action.BACKUPS_TAKE, PAGE)], form: FormDep) -> Response:
    """Start a backup."""
    wanted: dict[str, Any] = {"to": form.text("to")}
    try:
        if form.text("keep"):
            wanted["keep"] = _number(form.text("keep"))
        administration.begin_backup(view.services, msgspec.json.encode(wanted))
    except (*REFUSED, NotFound) as error:
        return _page(view, problems_of(error), error.status)
    return view.go("/node", view.word(_("The backup has begun.")))


@router.post("/node/consumers/drop")
def drop_consumer(
    view: Annotated[View, Viewing(Action.JOURNAL_DROP_CONSUMER, PAGE)], form: FormDep
) -> Response:
    """Drop a consumer that is gone."""
    name = form.text("name")
    view.caller.note(f"journal/consumers/{name}")
    try:
        journal.drop_consumer(view.services, name)
    except (*REFUSED, NotFound) as error:
        return _page(view, problems_of(error), error.status)
    return view.go("/node", view.word(_("Dropped %(name)s."), name=name))


@router.post("/node/damage/acknowledge")
def acknowledge(
    view: Annotated[View, Viewing(Action.JOURNAL_ACKNOWLEDGE, PAGE)], form: FormDep
) -> Response:
    """Acknowledge damage of the journal that somebody has seen."""
    text = form.text("messages")
    try:
        journal.acknowledge_damage(view.services, _number(text))
    except REFUSED as error:
        return _page(view, problems_of(error), error.status)
    return view.go("/node", view.word(_("Acknowledged.")))


def _page(view: View, problems: tuple[Problem, ...] = (), status: int = 200) -> Response:
    services = view.services
    settings = services.settings
    return view.render(
        "node.html",
        status,
        version=__version__,
        parts=sorted(services.ready().items()),
        journal=_or_error(lambda: journal.journal(services)),
        sources=_or_error(lambda: sources.list_sources(services)),
        backups=_or_error(lambda: administration.show_backups(services)),
        settings=list(in_force.shown(settings)) if isinstance(settings, BaseModel) else [],
        problems=problems,
    )


def _number(text: str) -> int:
    """Raises:
    BadRequest: it is no whole number.
    """
    if not (text.isascii() and text.isdigit()) or len(text) > 18:
        raise BadRequest("", f"{show_text(text)} is no whole number")
    return int(text)


def _or_error(ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """A part that does not answer leaves the others of the page as they are."""
    try:
        return ask()
    except LakebedError as error:
        return {"error": str(error)}
