"""The overview: is all well, what is new, what does it weigh."""

from typing import Annotated, Any

from fastapi import Response

from lakebed.access.actions import Action
from lakebed.api.requests import policies_by_topic
from lakebed.api.routes import flow, journal, limits
from lakebed.web.navigation import Page
from lakebed.web.page import Pages, View, Viewing
from lakebed.web.topic_index import indexes_of, unkept
from lakebed.web.words import mark as _

PAGE = Page("overview", "/", _("Overview"), "data", 0)
router = Pages()
_NEWEST = 8


@router.get("/")
def show(view: Annotated[View, Viewing(Action.ME_READ, PAGE)]) -> Response:
    """Health, rates, the account of messages, and topics for which nothing is kept yet."""
    values: dict[str, Any] = {
        "flow": None, "rate": None, "unkept": [], "parts": [], "lag": None, "free": None,
        "near": [],
    }  # fmt: skip
    if view.may(Action.FLOW_READ):
        caller = view.caller.to(Action.FLOW_READ)
        values["flow"] = flow.flow(view.services, caller)
    if view.may(Action.TOPICS_READ):
        caller = view.caller.to(Action.TOPICS_READ)
        index = indexes_of(view.request).get(view.services, caller)
        values["unkept"] = unkept(index, policies_by_topic(view.services, view.owner), _NEWEST)
    if view.may(Action.LOAD_READ):
        loads = limits.load(view.services, view.caller.to(Action.LOAD_READ), "owner", "1m")["load"]
        values["rate"] = next((row for row in loads if row["owner"] == view.owner), None)
    if view.principal.admin:
        parts = view.services.ready()
        values["parts"] = sorted(parts.items())
        values["free"] = parts["disk"].detail.get("free") if "disk" in parts else None
        values["lag"] = sum(journal.lag_by_partition(view.services).values())
    if view.may(Action.LIMITS_READ, "#"):
        values["near"] = _near(limits.limits(view.services, view.caller.to(Action.LIMITS_READ)))
    return view.render("overview.html", **values)


def _near(found: dict[str, Any]) -> list[tuple[str, str, float]]:
    """Who uses most of a limit, the limit, and how much of it; the owner is named ""."""
    own = [("", found["near"], found["used"])] if found["near"] else []
    return own + [(one["unit"], one["near"], one["used"]) for one in found["units"] if one["near"]]
