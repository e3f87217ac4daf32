"""What was typed before a session had ended, to be sent again after signing in."""

from typing import Annotated

from fastapi import Response

from lakebed.access.actions import Action
from lakebed.web.kept_forms import COOKIE, kept_forms_of
from lakebed.web.navigation import Page
from lakebed.web.page import Pages, View, Viewing
from lakebed.web.words import mark as _

router = Pages()
_PAGE = Page("kept", "/kept", _("What you typed is here"))
_LABELS = {
    "name": _("Name"),
    "title": _("Title"),
    "topic": _("Topic"),
    "topics": _("Topics"),
    "user": _("User"),
    "value": _("Value"),
    "yaml": _("YAML"),
}
"""What the fields of many forms are called; others stand under their own names."""


@router.get("/kept")
def show(view: Annotated[View, Viewing(Action.ME_READ, _PAGE)]) -> Response:
    """The form that was sent without a session, filled."""
    view.caller.changes_nothing()
    nonce = view.request.cookies.get(COOKIE, "")
    form = kept_forms_of(view.request).get(nonce, view.principal.name) if nonce else None
    return view.render("kept_form.html", 200 if form else 404, form=form, labels=_LABELS)
