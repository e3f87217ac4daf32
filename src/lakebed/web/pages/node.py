"""The node: health of its parts, the journal and who reads it, the series, sources, settings."""

import re
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Response
from pydantic import BaseModel

from lakebed import __version__
from lakebed.access.actions import Action
from lakebed.api.routes import journal, series, sources
from lakebed.vocabulary.errors import LakebedError, NotFound, Problem
from lakebed.web import in_force
from lakebed.web.figures_of_parts import called, figures, message
from lakebed.web.navigation import Page
from lakebed.web.page import REFUSED, FormDep, Pages, View, Viewing, problems_of, whole_number
from lakebed.web.reasons import REFUSED as REFUSED_AT_THE_DOOR
from lakebed.web.reasons import WHY
from lakebed.web.words import mark as _

PAGE = Page("node", "/node", _("Node"), "instance", 10, Action.JOURNAL_READ)
router = Pages()


@router.get("/node")
def show(view: Annotated[View, Viewing(Action.JOURNAL_READ, PAGE)]) -> Response:
    """All of it on one page."""
    return _page(view)


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
        journal.acknowledge_damage(view.services, whole_number(text))
    except REFUSED as error:
        return _page(view, problems_of(error), error.status)
    return view.go("/node", view.word(_("Acknowledged.")))


@router.post("/node/journal/adopt")
def adopt(view: Annotated[View, Viewing(Action.JOURNAL_ADOPT, PAGE)], form: FormDep) -> Response:
    """Go on with a journal that is another one, as the page has shown it."""
    id, numbers = form.text("id"), (form.text("partitions"), form.text("messages"))
    try:
        partitions, messages = map(whole_number, numbers)
        lost = journal.adopt(view.services, id, partitions, messages)["lost"]
    except (*REFUSED, NotFound) as error:
        return _page(view, problems_of(error), error.status)
    told = view.words(
        "Adopted; %(num)s message is lost.", "Adopted; %(num)s messages are lost.", lost
    )
    return view.go("/node", told)


@router.post("/node/series/acknowledge")
def acknowledge_loss(
    view: Annotated[View, Viewing(Action.SERIES_ACKNOWLEDGE, PAGE)], form: FormDep
) -> Response:
    """Acknowledge a loss of the series that somebody has seen."""
    try:
        series.acknowledge_loss(view.services, whole_number(form.text("missing")))
    except (*REFUSED, NotFound) as error:
        return _page(view, problems_of(error), error.status)
    return view.go("/node", view.word(_("Acknowledged.")))


def _page(view: View, problems: tuple[Problem, ...] = (), status: int = 200) -> Response:
    services = view.services
    settings = services.settings
    return view.render(
        "node.html",
        status,
        version=__version__,
        parts=[
            (
                called(view, name),
                health,
                message(view, name, health),
                figures(view, name, health),
            )
            for name, health in sorted(services.ready().items())
        ],
        journal=_or_error(lambda: journal.journal(services)),
        sources=_or_error(lambda: sources.list_sources(services)),
        series=_or_error(lambda: series.series(services)),
        settings=_by_section(settings) if isinstance(settings, BaseModel) else {},
        problems=problems,
        why=WHY | REFUSED_AT_THE_DOOR,
    )


def _by_section(settings: BaseModel) -> dict[str, list[tuple[str, str]]]:
    """Names and values of all settings, by their section."""
    found: dict[str, list[tuple[str, str]]] = {}
    for name, value in in_force.shown(settings):
        found.setdefault(re.split(r"[.\[]", name, maxsplit=1)[0], []).append((name, value))
    return found


def _or_error(ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """A part that does not answer leaves the others of the page as they are."""
    try:
        return ask()
    except LakebedError as error:
        return {"error": str(error)}
