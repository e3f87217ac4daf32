"""Usage: what is kept and weighs, and the byte ledger by day, owner, unit, topic and policy."""

from collections import Counter
from typing import Annotated, Any, Literal

from fastapi import Query, Response

from lakebed.access.actions import Action
from lakebed.api.routes import ledger
from lakebed.queries import reading
from lakebed.web.navigation import Page
from lakebed.web.page import Pages, View, Viewing
from lakebed.web.pages.policies import KEEPS
from lakebed.web.words import mark as _

PAGE = Page("usage", "/usage", _("Usage"), "accounts", 20, Action.LEDGER_READ)
router = Pages()
_MOST = 500
BY = {
    "day": _("Day"),
    "policy": _("Policy"),
    "topic": _("Topic"),
    "unit": _("Unit"),
    "owner": _("Owner"),
}


@router.get("/usage")
def show(
    view: Annotated[View, Viewing(Action.LEDGER_READ, PAGE)],
    by: Annotated[Literal["day", "policy", "topic", "unit", "owner"], Query()] = "day",
    start: Annotated[str, Query(alias="from", max_length=40)] = "",
    end: Annotated[str, Query(alias="to", max_length=40)] = "",
) -> Response:
    """A table of the ledger; from the first of this month, where nothing is said."""
    asked: dict[str, Any] = {"from": start or None, "to": end or None, "limit": _MOST}
    asked |= {"every": "1d"} if by == "day" else {"by": [by]}
    if not (by == "owner" and view.principal.admin):
        asked["owner"] = view.owner
    found = ledger.ledger(view.services, view.caller, ledger.LedgerQuery(**asked))
    rows, size = Counter[str](), Counter[str]()
    if view.may(Action.USAGE_READ):
        reader = view.caller.to(Action.USAGE_READ)
        for one in reading.usage(view.services.series, view.services.catalog, view.owner):
            if reader.may(one["topic"]):
                rows[one["keep"]] += one["rows"]
                size[one["keep"]] += one["bytes"]
    return view.render(
        "usage.html",
        found=found,
        by=by,
        start=start,
        end=end,
        rows=rows,
        size=size,
        choices=BY,
        keeps=KEEPS,
    )
