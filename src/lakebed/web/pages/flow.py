"""Flow: the account of every message, in total, by policy and by topic, with examples."""

from typing import Annotated, Literal

from fastapi import Query, Response

from lakebed.access.actions import Action
from lakebed.api.routes import flow
from lakebed.web.navigation import Page
from lakebed.web.page import Pages, View, Viewing
from lakebed.web.reasons import WHY
from lakebed.web.words import mark as _

PAGE = Page("flow", "/flow", _("Flow"), "accounts", 10, Action.FLOW_READ)
router = Pages()

OUTCOMES = {
    "kept": _("kept"),
    "filtered": _("filtered"),
    "skipped": _("kept by no policy"),
    "late": _("too late"),
    "over_quota": _("parked, over a limit"),
    "dead_letter": _("dead letters"),
    "duplicates": _("sent twice"),
    "lost": _("lost"),
    "in_flight": _("in flight"),
}
"""Columns of the account, in the order of the sum."""

_MOST = 1_000  # rows on a page


@router.get("/flow")
def show(
    view: Annotated[View, Viewing(Action.FLOW_READ, PAGE)],
    by: Annotated[Literal["topic", "policy"], Query()] = "policy",
    words: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """The sum, and a row for each policy or topic."""
    total = flow.flow(view.services, view.caller, examples=True)
    found = flow.flow(view.services, view.caller, by)
    rows = found["policies"] if by == "policy" else found["topics"]
    rows = [row for row in rows if all(word in row[by] for word in words.split())]
    rows.sort(key=lambda row: row["received"], reverse=True)
    return view.render(
        "flow.html",
        total=total,
        by=by,
        rows=rows[:_MOST],
        more=len(rows) - _MOST,
        words=words,
        outcomes=OUTCOMES,
        why=WHY,
    )
