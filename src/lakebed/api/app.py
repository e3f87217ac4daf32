"""The HTTP application: ingest in front, everything else behind it in FastAPI.

HttpServer ─> Application ──┬── path of ingest ──> Ingest          plain ASGI, event loop only
                            ├── path of EMQX ────> EmqxAuth        the same
                            └── all others ──────> Heads ─> Compressed ─> Conditional ─> FastAPI
                                                                   handlers in the thread pool

A process without the API has ingest and health only, and does not import the rest.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, cast

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.routing import Match

from lakebed import __version__
from lakebed.api import openapi
from lakebed.api.auditing import Audited, refuse_messages
from lakebed.api.file_parts import FileParts
from lakebed.api.request_times import RequestTimes
from lakebed.api.routes import health, root
from lakebed.api.services import Common, Services
from lakebed.api.strangers import Strangers
from lakebed.api.watch import StoreWatch
from lakebed.http import bodies, problems
from lakebed.http.asgi import App, Receive, Scope, Send
from lakebed.http.at_once import AtOnce
from lakebed.http.compression import Compressed
from lakebed.http.conditional import Conditional
from lakebed.http.cross_origin import CrossOrigin
from lakebed.http.heads import Heads
from lakebed.http.queries import without_cache_buster
from lakebed.ports.metrics import Sample
from lakebed.sources.http.ingest import Ingest
from lakebed.vocabulary.errors import LakebedError, Problem

_DESCRIPTION = "Send messages, say what is to be kept of them, and read it back."


class Application:
    """The whole as one ASGI application.

    Attributes:
        front: what answers a path before FastAPI, besides ingest.
        at_once: answers some requests of these paths without ASGI.
    """

    def __init__(self, ingest: Ingest, control: FastAPI) -> None:
        self.control = control
        self.front: dict[str, App] = control.state.front
        self.at_once: AtOnce | None = control.state.at_once
        self.ingest = ingest
        self._times = RequestTimes()
        control.state.metrics = (*control.state.metrics, self._times.metrics)
        services, app = control.state.services, StoreWatch(control, control.state.probes)
        watched: App = app
        if isinstance(services, Services):
            watched = Audited(app, services.audit)
        self._answered = Heads(Compressed(Conditional(watched)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        handler = self.ingest.route(path, scope["method"]) or self.front.get(path)
        await (handler or self._call_control)(scope, receive, send)

    async def _call_control(self, scope: Scope, receive: Receive, send: Send) -> None:
        query = without_cache_buster(scope["query_string"])
        if query != scope["query_string"]:
            scope = {**scope, "query_string": query}
        if root.is_asked_at_root(self.control, scope):
            scope = {**scope, "path": root.PATH, "raw_path": root.PATH.encode()}
        # Starlette raises again what `_answer_error` has logged and answered
        with suppress(Exception):
            await self._answered(scope, receive, self._times.timed(send))


class OpenApplication(Application):
    """The same for pages of other sites too. Ingest pays for that only where it is asked for."""

    def __init__(self, ingest: Ingest, control: FastAPI, origins: Sequence[str]) -> None:
        super().__init__(ingest, control)
        self._crossed = CrossOrigin(super().__call__, origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._crossed(scope, receive, send)


def create_app(services: Services) -> Application:
    """The whole application over these services."""
    return assemble(services, [partial(routes_of, services)], metrics_of(services))


def create_front(common: Common) -> Application:
    """Ingest and health: the application of a process that answers no questions."""
    return assemble(common)


def metrics_of(services: Services) -> list[Callable[[], Iterable[Sample]]]:
    """What a process with the API adds to /metrics, of the whole instance."""
    from lakebed.api.routes import audit, flow, journal, parked, relays
    from lakebed.relays.metrics import RelayMetrics

    own = [partial(part.metrics, services) for part in (audit, flow, journal, parked)]
    return [*own, partial(relays.metrics, services, RelayMetrics())]


def routes_of(services: Services, app: FastAPI) -> None:
    """Add the routes of the API to an application."""
    from lakebed.api.emqx.endpoint import EmqxAuth
    from lakebed.api.routes import (
        administration,
        apply,
        audit,
        boards,
        dead_letters,
        events,
        factors,
        fills,
        flow,
        invitation_page,
        invitations,
        journal,
        ledger,
        limits,
        links,
        openid,
        openid_clients,
        openid_sign_in,
        owners,
        parked,
        policies,
        reading,
        refusals,
        relays,
        secrets,
        series,
        sessions,
        shares,
        sources,
        tap,
        tokens,
        units,
        users,
    )
    from lakebed.keeper.ledger import CONSUMER

    app.state.services = services
    emqx = EmqxAuth(services)
    app.state.front, app.state.at_once = emqx.paths, emqx
    app.state.metrics = (*app.state.metrics, emqx.metrics)
    app.state.file_parts = FileParts()
    app.state.strangers = Strangers(services.settings.auth.public_rate)
    app.state.probes = {
        "the journal": lambda: services.journal.readers(CONSUMER),
        "the catalog": lambda: services.catalog.revision(),
    }
    for part in (
        policies,
        fills,
        apply,
        reading,
        events,
        flow,
        ledger,
        tap,
        units,
        shares,
        boards,
        relays,
        secrets,
        tokens,
        administration,
        dead_letters,
        parked,
        refusals,
        limits,
        journal,
        series,
        sessions,
        users,
        factors,
        owners,
        invitation_page,
        invitations,
        links,
        audit,
        sources,
        openid_clients,
        openid,
        openid_sign_in,
        openapi,
    ):
        add_routes(app, part.router)


def add_routes(app: FastAPI, router: APIRouter) -> None:
    """Add the routes of a router as they are.

    `include_router` would prepare each of them again for each application, which takes 0.2 s of its
    first request to the last router.
    """
    app.router.routes.extend(router.routes)


def assemble(
    common: Common,
    routes: Sequence[Callable[[FastAPI], None]] = (),
    metrics: Sequence[Callable[[], Iterable[Sample]]] = (),
) -> Application:
    """The application of a process: ingest and health, and what its roles add to it."""
    control = FastAPI(
        title="Lakebed",
        version=__version__,
        description=_DESCRIPTION,
        openapi_url=None,  # a route of ours, as it has an action of its own
        docs_url=None,  # FastAPI's own page fetches its scripts from another host
        redoc_url=None,
        redirect_slashes=False,
    )
    control.state.services = common
    control.state.metrics = metrics
    control.state.probes = {}
    control.state.front, control.state.at_once = {}, None
    control.state.error_page = lambda *_: None  # the web interface has one for browsers
    for add in (*routes, _common_routes):
        add(control)
    openapi.install(control)
    control.add_exception_handler(LakebedError, _answer_error)
    control.add_exception_handler(HTTPException, _answer_router_error)
    control.add_exception_handler(RequestValidationError, _answer_invalid_parameter)
    control.add_exception_handler(bodies.ClientDisconnected, _client_disconnected)
    control.add_exception_handler(Exception, _answer_error)
    control.state.ingest = Ingest(
        common.settings,
        common.identification,
        common.intake,
        partial(refuse_messages, common.audit, common.settings.auth.proxies),
    )
    control.state.metrics = (*control.state.metrics, control.state.ingest.door.metrics)
    if common.settings.http.cors:
        return OpenApplication(control.state.ingest, control, common.settings.http.cors)
    return Application(control.state.ingest, control)


def _common_routes(app: FastAPI) -> None:
    for router in (health.router, root.router, openapi.document_router):
        add_routes(app, router)


def _answer(status: int, document: dict[str, Any], headers: dict[str, str]) -> Response:
    return JSONResponse(document, status, headers, media_type=problems.MEDIA_TYPE)


async def _answer_error(_: Request, error: Exception) -> Response:
    status, document, headers = problems.of_error(error)
    return _answer(status, document, {k.decode(): v.decode() for k, v in headers})


async def _answer_router_error(request: Request, error: Exception) -> Response:
    """Answer errors of the router, such as 404 and 405."""
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        detail = f"there is nothing at {request.url.path}"
    elif error.status_code == 405:
        error.headers = {"Allow": ", ".join(_methods(request))}
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=error.headers)
        detail = f"{request.method} is not allowed at {request.url.path}"
    else:
        detail = str(error.detail)
    page = request.app.state.error_page(request, error.status_code, detail)
    if page is not None:
        return cast(Response, page)
    if error.status_code == 404:
        detail += f"; {_hint(request)}"
    document = problems.document(error.status_code, detail)
    return _answer(error.status_code, document, dict(error.headers or {}))


def _methods(request: Request) -> list[str]:
    """The methods of all routes at the path of a request: Starlette tells those of the first."""
    found = {"OPTIONS"}
    for route in request.app.router.routes:
        if route.matches(request.scope)[0] is not Match.NONE:
            found |= route.methods
    return sorted(found | {"HEAD"} if "GET" in found else found)


def _hint(request: Request) -> str:
    if isinstance(request.app.state.services, Services):
        return "/api/docs lists the routes"
    return "this process does not have the role api: ask one that has it"


async def _answer_invalid_parameter(_: Request, error: Exception) -> Response:
    """Answer a parameter of the wrong type or out of its range."""
    assert isinstance(error, RequestValidationError)
    found = tuple(_problem(entry) for entry in error.errors())
    document = problems.document(400, "; ".join(map(str, found)), found)
    return _answer(400, document, {})


def _problem(entry: Any) -> Problem:
    """Name the parameter alone: FastAPI's location ("query", "limit") begins with its kind."""
    _, *path = entry["loc"]
    what = str(entry["msg"]).removeprefix("Value error, ")
    if entry["type"] == "extra_forbidden":
        what = "there is no such parameter"
    return Problem(".".join(map(str, path)), what)


async def _client_disconnected(_: Request, error: Exception) -> Response:
    return Response(status_code=400)  # the client has disconnected
