"""Puts the web interface into an application: all pages, static files, and pages for errors."""

import pkgutil
from functools import cache
from importlib import import_module
from types import ModuleType

from fastapi import FastAPI, Request, Response

from lakebed.api.app import add_routes
from lakebed.web import assets, known, pages, points, streams
from lakebed.web.navigation import ordered
from lakebed.web.page import error_page


def install(app: FastAPI, live: streams.Pages | None = None) -> None:
    """Add the routes of the web interface.

    Args:
        live: the pages with live values; without it nobody counts them.
    """
    app.state.live = live or streams.Pages()
    for part in (assets, streams, points, known, *modules()):
        add_routes(app, part.router)
    found = (getattr(module, "PAGE", None) for module in modules())
    app.state.pages = ordered(page for page in found if page is not None)
    app.state.error_page = _error_page


@cache
def modules() -> tuple[ModuleType, ...]:
    """All files of `pages/`; each has a `router`."""
    names = sorted(found.name for found in pkgutil.iter_modules(pages.__path__))
    return tuple(import_module(f"{pages.__name__}.{name}") for name in names)


def _error_page(request: Request, status: int, told: str) -> Response | None:
    """A page for what is no route, if a browser asks."""
    path = request.url.path
    if path.startswith("/api/") or "text/html" not in request.headers.get("accept", ""):
        return None
    return error_page(request, status, told)
