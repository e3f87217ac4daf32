"""The audit log: who did what, the newest first."""

from dataclasses import replace
from typing import Annotated

from fastapi import Query, Response

from lakebed.access.actions import Action
from lakebed.api.routes import audit
from lakebed.web.navigation import Page
from lakebed.web.page import Pages, View, Viewing
from lakebed.web.words import mark as _

PAGE = Page("audit", "/audit", _("Audit log"), "accounts", 50, Action.AUDIT_READ)
router = Pages()
RESULTS = {"done": _("done"), "denied": _("denied"), "failed": _("failed")}
Text = Annotated[str, Query(max_length=300)]


@router.get("/audit")
def show(
    view: Annotated[View, Viewing(Action.AUDIT_READ, PAGE)],
    actor: Text = "",
    action: Text = "",
    start: Annotated[str, Query(alias="from", max_length=40)] = "",
    end: Annotated[str, Query(alias="to", max_length=40)] = "",
    cursor: Text = "",
) -> Response:
    """A page of the log."""
    caller = view.caller
    if view.principal.admin and "owner" not in view.request.query_params:
        caller = replace(caller, owner="")  # of all owners, and of the instance itself
    found = audit.read_audit(
        view.services, caller, start or None, end or None, actor or None, action or None,
        100, cursor,
    )  # fmt: skip
    asked = {"actor": actor, "action": action, "from": start, "to": end}
    return view.render(
        "audit.html", found=found, asked=asked, results=RESULTS, actions=list(Action)
    )
