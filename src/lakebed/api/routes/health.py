"""Routes for probes and monitoring: liveness, readiness, metrics. They need no token."""

from collections.abc import Iterator
from typing import Annotated, Any, cast

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response

from lakebed import __version__
from lakebed.access.actions import Action
from lakebed.api.callers import Public
from lakebed.api.exposition import CONTENT_TYPE, exposition
from lakebed.api.services import Common
from lakebed.ports.metrics import GaugeMetric, Sample
from lakebed.sources.http import influx

BUILD = GaugeMetric("lakebed_build_info", "1, with the version that runs.", ("version",))
READY = GaugeMetric("lakebed_ready", "1 while a part does its work, else 0.", ("part",))

router = APIRouter(tags=["health"], dependencies=[Public(Action.HEALTH_READ)])


async def common(request: Request) -> Common:
    return cast(Common, request.app.state.services)


CommonDep = Annotated[Common, Depends(common)]


@router.get("/healthz")
async def healthz() -> dict[str, Any]:
    """Answer 200 while the process runs."""
    return {"status": "alive", "version": __version__}


@router.get("/ping", status_code=204, response_class=Response)
async def ping() -> Response:
    """Answer 204, as clients of InfluxDB ask, with the version whose requests are understood."""
    name, version = influx.VERSION_HEADER
    return Response(status_code=204, headers={name.decode(): version.decode()})


@router.get(
    "/readyz",
    responses={503: {"description": "Some part is not ready; the body says which."}},
)
def readyz(services: CommonDep) -> Response:
    """Answer 200 if all parts that the process depends on work, else 503; the body names them."""
    parts = services.ready()
    ready = all(health.ok for health in parts.values())
    body = {
        "ready": ready,
        "parts": {
            name: {"ok": health.ok, "message": health.message, **health.detail}
            for name, health in sorted(parts.items())
        },
    }
    return JSONResponse(body, 200 if ready else 503)


@router.get("/metrics", response_class=Response)
def metrics(services: CommonDep, request: Request) -> Response:
    """Metrics of this process as Prometheus text; of the role api also totals of the instance.

    They name no topic, and no owner but those of relays.
    """
    return Response(exposition(_samples(services, request)), media_type=CONTENT_TYPE)


def _samples(common: Common, request: Request) -> Iterator[Sample]:
    yield BUILD(1, __version__)
    for name, health in common.ready().items():
        yield READY(health.ok, name)
        yield from health.samples
    for more in request.app.state.metrics:
        yield from more()
