"""The overview: is all well, what is new, what does it weigh."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Response

from lakebed.access.actions import Action
from lakebed.api.requests import policies_by_topic
from lakebed.api.routes import flow, journal, limits
from lakebed.ports.health import Health
from lakebed.web.figures_of_parts import called
from lakebed.web.navigation import Page
from lakebed.web.page import Pages, View, Viewing
from lakebed.web.topic_index import indexes_of, unkept
from lakebed.web.warnings import warnings
from lakebed.web.weight import days_left, weights_of
from lakebed.web.words import mark as _

PAGE = Page("overview", "/", _("Overview"), "data", 0)
router = Pages()
_NEWEST = 8
STORES = {
    "journal": _("journal on the disk"),
    "series": _("series on the disk"),
    "catalog": _("catalog"),
    "objects": _("objects"),
}


@router.get("/")
def show(view: Annotated[View, Viewing(Action.ME_READ, PAGE)]) -> Response:
    """Health, rates, the account of messages, and topics for which nothing is kept yet."""
    values: dict[str, Any] = {
        "flow": None, "rate": None, "unkept": [], "parts": [], "warnings": [], "lag": None,
        "free": None,
        "near": [], "stores": STORES, "weight": None, "of_all": None, "sizes": [], "days": None,
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
    weights = weights_of(view.request)
    if view.owner and view.may(Action.LEDGER_READ):
        values["weight"] = weights.by_policy(view)
    if view.principal.admin:
        parts = view.services.ready()
        values["parts"] = [called(view, name) for name in sorted(parts)]
        values["warnings"] = [(called(view, one.part), one) for one in warnings(view, parts)]
        values["free"] = parts["disk"].detail.get("free") if "disk" in parts else None
        values["sizes"] = _sizes(parts)
        values["lag"] = sum(journal.lag_by_partition(view.services).values())
    if view.may(Action.LIMITS_READ, "#"):
        values["near"] = _near(limits.limits(view.services, view.caller.to(Action.LIMITS_READ)))
    if view.principal.admin:
        values["of_all"] = weights.by_owner(view)
        reserve = int(view.services.settings.limits.disk_free)
        values["days"] = days_left(parts, values["of_all"], reserve)
    return view.render("overview.html", **values)


def _sizes(parts: Mapping[str, Health]) -> list[tuple[str, int]]:
    """The stores that say how many bytes they take, in the order in which data passes them."""
    names = [name for name in ("journal", "series", "catalog", "objects") if name in parts]
    return [(name, parts[name].detail["bytes"]) for name in names if "bytes" in parts[name].detail]


def _near(found: dict[str, Any]) -> list[tuple[str, str, float]]:
    """Who uses most of a limit, the limit, and how much of it; the owner is named ""."""
    own = [("", found["near"], found["used"])] if found["near"] else []
    return own + [(one["unit"], one["near"], one["used"]) for one in found["units"] if one["near"]]
