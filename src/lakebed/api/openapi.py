"""The OpenAPI document, with the ingest routes that FastAPI does not know, and a page of it.

The page needs nothing from other hosts: instances run where there is no way out.
"""

import html
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.requests import Request

from lakebed.access.actions import Action
from lakebed.api.callers import Public
from lakebed.api.emqx import endpoint as emqx
from lakebed.http import problems
from lakebed.sources.http import influx, ingest, ndjson
from lakebed.sources.http.cloud_events import routes as cloud_events
from lakebed.sources.http.otlp import routes as otlp
from lakebed.sources.http.plain_lines import LONGEST_LINE
from lakebed.sources.http.remote_write import routes as remote_write

document_router = APIRouter(include_in_schema=False, dependencies=[Public(Action.API_DESCRIBE)])
"""The document alone: of every process."""

router = APIRouter(include_in_schema=False, dependencies=[Public(Action.API_DESCRIBE)])

_PROBLEM = {
    "type": "object",
    "description": "RFC 9457",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "problems": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "where": {"type": "string"},
                    "what": {"type": "string"},
                    "line": {"type": "integer"},
                },
            },
        },
    },
}
_REFUSED = {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
_SECURITY: list[dict[str, list[str]]] = [{"HTTPBearer": []}]


def _refusals(*more: tuple[str, str]) -> dict[str, Any]:
    found = {
        "400": "a parameter, a header or the body is wrong; `problems` names it",
        "401": "no token, or one nobody knows",
        "403": "the token may not publish there",
        "413": "too large",
        "415": "a Content-Encoding other than gzip and zstd",
        "503": "it cannot be made durable now: try again after `Retry-After` seconds",
    } | dict(more)
    return {status: {"description": what, "content": _REFUSED} for status, what in found.items()}


def _accepted(rejects: bool) -> dict[str, Any]:
    properties: dict[str, Any] = {"accepted": {"type": "integer"}}
    if rejects:
        entry = {"line": {"type": "integer"}, "error": {"type": "string"}}
        rejected = {"type": "object", "properties": entry}
        properties["rejected"] = {"type": "array", "items": rejected}
    schema = {"type": "object", "properties": properties}
    return {
        "description": "durable",
        "content": {"application/json": {"schema": schema}},
    }


def _parameter(name: str, place: str, required: bool, what: str) -> dict[str, Any]:
    schema = {"type": "string"}
    return {"name": name, "in": place, "required": required, "description": what, "schema": schema}


def _operation(name: str, summary: str, **more: Any) -> dict[str, Any]:
    return {
        "post": {
            "operationId": name,
            "tags": ["ingest"],
            "summary": summary,
            "security": _SECURITY,
            **more,
        }
    }


def _body(what: str, **content: Any) -> dict[str, Any]:
    return {"required": True, "description": what, "content": content}


_EMPTY_422 = ("422", "nothing was accepted; `rejected` says why of each line")
_TEMPLATE_PARAMETERS = [
    _parameter("topic", "query", False, "the template of the topics"),
    _parameter("owner", "query", False, "whose topics they are"),
]
_EXPORT = _body(
    "An export request of OTLP.", **{"application/x-protobuf": {}, "application/json": {}}
)
_EXPORTED = {
    "200": {"description": "all is durable, but for what `partial_success` counts"},
    "4XX": {"description": "refused for ever, but for 429; a `google.rpc.Status`"},
    "503": {"description": "not durable: try again later"},
}
_LINE_PARAMETERS = [
    _parameter("precision", "query", False, "of the times: ns, us, ms, s"),
    _parameter("topic", "query", False, "the template of the topics"),
    _parameter("owner", "query", False, "whose topics they are"),
]
_LINES = _body(
    f"Lines `MEASUREMENT,TAG=VALUE FIELD=VALUE TIME`, each of at most {LONGEST_LINE} bytes.",
    **{"text/plain": {"example": "plant,room=1 celsius=21.5 1769860800000000000"}},
)
_REFUSED_LINES = {
    "4XX": {"description": "refused, in the form of InfluxDB's errors"},
    "503": {"description": "not durable: try again later"},
}
_WRITTEN = {
    "204": {"description": "all lines are durable"},
    "400": {"description": "the lines that are named are not taken; the others are durable"},
    **_REFUSED_LINES,
}
_PATHS: dict[str, Any] = {
    ingest.MESSAGES: _operation(
        "send_message",
        "Send one message; the body is the payload",
        parameters=[
            _parameter("topic", "query", True, "the topic to publish to"),
            _parameter("X-Message-Id", "header", False, "sent again under this id, stored once"),
            _parameter("X-Event-Time", "header", False, "RFC 3339 or a number since 1970"),
        ],
        requestBody=_body("The payload, any bytes.", **{"application/octet-stream": {}}),
        responses={"202": _accepted(False), **_refusals()},
    ),
    ingest.BATCH: _operation(
        "send_batch",
        "Send many messages; good lines are taken, bad ones named",
        requestBody=_body(
            'NDJSON: `{"topic", "value" or "payload_base64", "time"?, "id"?}`. A string `value` '
            f"is the payload itself, any other its JSON text. At most {ndjson.MOST_LINES} lines.",
            **{"application/x-ndjson": {"example": '{"topic":"plant/1/temperature","value":21.5}'}},
        ),
        responses={"202": _accepted(True), **_refusals(_EMPTY_422)},
    ),
    ingest.EVENTS: _operation(
        "send_events",
        "Send events; each becomes a JSON message on the topic events/NAME",
        requestBody=_body(
            'One event `{"name", "id"?, "time"?, …}`, an array of events, NDJSON, or CloudEvents.',
            **{
                "application/json": {"example": {"name": "door/opened", "id": "7f3a", "by": "ann"}},
                "application/cloudevents+json": {},
                "application/cloudevents-batch+json": {},
            },
        ),
        responses={"202": _accepted(True), **_refusals(_EMPTY_422)},
    ),
    influx.WRITE: _operation(
        "write_lines",
        "Send InfluxDB's line protocol, as to version 1",
        parameters=_LINE_PARAMETERS,
        requestBody=_LINES,
        responses=_WRITTEN,
    ),
    influx.WRITE_V2: _operation(
        "write_lines_v2",
        "Send InfluxDB's line protocol, as to version 2",
        parameters=_LINE_PARAMETERS,
        requestBody=_LINES,
        responses=_WRITTEN,
    ),
    remote_write.WRITE: _operation(
        "remote_write",
        "Send Prometheus' remote write, 1.0 or 2.0",
        parameters=_TEMPLATE_PARAMETERS,
        requestBody=_body(
            "A `prometheus.WriteRequest`, or an `io.prometheus.write.v2.Request` where the media "
            "type says `proto=`; compressed by snappy.",
            **{"application/x-protobuf": {}},
        ),
        responses={
            "204": {"description": "all samples are durable"},
            "400": {"description": "the named series are not taken; the others are durable"},
            "4XX": {"description": "refused for ever, but for 429; the reason as text"},
            "503": {"description": "not durable: try again later"},
        },
    ),
    cloud_events.PATH: _operation(
        "send_cloudevents",
        "Send CloudEvents, in each form of their HTTP binding",
        parameters=_TEMPLATE_PARAMETERS,
        requestBody=_body(
            "The data, with attributes in headers `ce-…`; or an event, or an array of events.",
            **{
                "application/cloudevents+json": {},
                "application/cloudevents-batch+json": {},
                "*/*": {},
            },
        ),
        responses={"202": _accepted(True), **_refusals(_EMPTY_422)},
    ),
    otlp.METRICS: _operation(
        "otlp_metrics",
        "Send OpenTelemetry's metrics by OTLP/HTTP",
        parameters=_TEMPLATE_PARAMETERS,
        requestBody=_EXPORT,
        responses=_EXPORTED,
    ),
    otlp.LOGS: _operation(
        "otlp_logs",
        "Send OpenTelemetry's logs by OTLP/HTTP",
        parameters=_TEMPLATE_PARAMETERS,
        requestBody=_EXPORT,
        responses=_EXPORTED,
    ),
    otlp.TRACES: _operation(
        "otlp_traces",
        "Answer exporters of traces, which are not kept",
        requestBody=_EXPORT,
        responses={"404": {"description": "traces are not kept"}},
    ),
    influx.QUERY: _operation(
        "create_database",
        "Answer CREATE DATABASE, which clients of InfluxDB ask before they write",
        requestBody=_body("The statement.", **{"application/x-www-form-urlencoded": {}}),
        responses={"200": {"description": "an empty result"}, **_REFUSED_LINES},
    ),
}


_EMQX_BODY = "JSON or a form; the fields are those of EMQX's configuration, see the reference."
_EMQX_PATHS: dict[str, Any] = {
    path: {
        "post": {
            "operationId": name,
            "tags": ["emqx"],
            "summary": summary,
            "security": _SECURITY,
            "requestBody": _body(_EMQX_BODY, **{"application/json": {"example": example}}),
            "responses": {
                "200": {"description": "`result` is `allow`, `deny` or `ignore`"},
                "401": {"description": "no secret, or another one", "content": _REFUSED},
            },
        }
    }
    for path, name, summary, example in (
        (
            emqx.AUTHN,
            "emqx_authn",
            "Answer EMQX who a client is, with rules for its topics",
            {"clientid": "lamp-7", "username": "", "password": "lb_…"},
        ),
        (
            emqx.AUTHZ,
            "emqx_authz",
            "Answer EMQX whether a client may publish or subscribe",
            {"principal": "unit:7f0c…", "action": "publish", "topic": "example.com/7f0c…/pepeunit"},
        ),
    )
}


def install(app: FastAPI) -> None:
    """Make `app.openapi()` tell of every route."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
            )
            for operations in document["paths"].values():
                for operation in operations.values():
                    _describe_refusals(operation)
            if app.state.front:
                document["paths"] = _EMQX_PATHS | document["paths"]
            read = document["paths"]  # some paths are read by the API, and sent to by ingest
            sent = {path: read.pop(path, {}) | taken for path, taken in _PATHS.items()}
            document["paths"] = sent | read
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
            schemas["Problem"] = _PROBLEM
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to extend it


def _describe_refusals(operation: dict[str, Any]) -> None:
    """Describe errors as problem documents, instead of FastAPI's own 422."""
    responses = operation["responses"]
    responses.pop("422", None)
    responses["4XX"] = {
        "description": "refused; the problem document says why",
        "content": _REFUSED,
    }
    responses.setdefault("503", {"description": "a store is away", "content": _REFUSED})


@document_router.get("/api/openapi.json")
def openapi_json(request: Request) -> JSONResponse:
    """The document that machines read."""
    return JSONResponse(request.app.openapi())


@router.get("/api/docs")
def docs(request: Request) -> HTMLResponse:
    """The routes on one page."""
    return HTMLResponse(_page(request.app.openapi()))


def _page(document: dict[str, Any]) -> str:
    rows = [
        _row(method, path, operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    ]
    title = html.escape(document["info"]["title"])
    return _PAGE.format(title=title, rows="\n".join(rows))


def _row(method: str, path: str, operation: dict[str, Any]) -> str:
    text = operation.get("description") or operation.get("summary", "")
    if body := operation.get("requestBody", {}).get("description"):
        text = f"{text}\n\nBody: {body}"
    names = "".join(
        f"<li><code>{html.escape(parameter['name'])}</code> "
        f"{html.escape(parameter.get('description', ''))}</li>"
        for parameter in operation.get("parameters", [])
    )
    return (
        f"<section><h2><b>{method.upper()}</b> {html.escape(path)}</h2>"
        f"<p>{html.escape(text)}</p><ul>{names}</ul></section>"
    )


_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 50rem; margin: auto; padding: 1rem }}
h2 {{ font: 600 1rem monospace; border-top: 1px solid #8884; padding-top: 1rem }}
h2 b {{ color: #06c }}
p {{ white-space: pre-line; margin: .3rem 0 }}
ul {{ margin: 0 }}
:root {{ color-scheme: light dark }}
</style>
<h1>{title}</h1>
<p>Machines read <a href="/api/openapi.json">/api/openapi.json</a>.
Every route but health asks for <code>Authorization: Bearer TOKEN</code>;
errors are problem documents (RFC 9457).</p>
{rows}
</html>
"""
