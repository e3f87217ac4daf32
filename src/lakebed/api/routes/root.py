"""What an instance says of itself to a program that knows only its address."""

import json
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import Response

from lakebed import __version__
from lakebed.access.actions import Action
from lakebed.api import origins
from lakebed.api.callers import Public
from lakebed.api.services import Services
from lakebed.http.asgi import Scope

PATH = "/api"
_ABOUT = (
    "Lakebed takes telemetry and events, makes each message durable before it says so, and keeps of"
    " every topic what its policies ask for."
)

router = APIRouter(tags=["health"], dependencies=[Public(Action.API_DESCRIBE)])


@router.get(PATH, response_class=Response)
def describe(request: Request) -> Response:
    """Say what this is and where to look; `GET /` says the same to who asks for no page."""
    return Response(json.dumps(_document(request), indent=2) + "\n", media_type="application/json")


def _document(request: Request) -> dict[str, Any]:
    at = origins.own(request)
    found = {"name": "Lakebed", "version": __version__, "about": _ABOUT}
    if _has_pages(request.app):
        found["web"] = f"{at}/"
    if isinstance(request.app.state.services, Services):
        found["documentation"] = f"{at}/api/docs"
    return found | {
        "openapi": f"{at}/api/openapi.json",
        "health": f"{at}/readyz",
        "metrics": f"{at}/metrics",
        "authorization": "Bearer TOKEN; a first start writes an admin's to HOME/admin.token",
    }


def is_asked_at_root(app: FastAPI, scope: Scope) -> bool:
    """Whether a request for `/` is that of a program, or there are no pages."""
    if scope["path"] != "/":
        return False
    accept = dict(scope["headers"]).get(b"accept", b"").lower()
    return not _has_pages(app) or b"text/html" not in accept


def _has_pages(app: FastAPI) -> bool:
    return bool(getattr(app.state, "pages", ()))
