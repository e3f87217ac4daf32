"""The token of forms for pages that stay open while their session ends: `web/src/sending.ts`."""

from typing import Annotated

from fastapi.responses import JSONResponse, Response

from lakebed.access.actions import Action
from lakebed.web import guard
from lakebed.web.navigation import Page
from lakebed.web.page import Pages, View, Viewing

router = Pages()
_PAGE = Page("form-token", "/form-token", "")


@router.get("/form-token")
def show(view: Annotated[View, Viewing(Action.ME_READ, _PAGE)]) -> Response:
    """Whose session this is, and its token."""
    user = view.principal.name
    found = {"user": user, "token": guard.form_token(view.request, user)}
    return JSONResponse(found, headers=guard.HEADERS)
