"""Routes for probes and monitoring: liveness, readiness, metrics. They need no token."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, cast

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from lakebed import __version__
from lakebed.access.actions import Action
from lakebed.api.callers import Public
from lakebed.api.services import Common
from lakebed.ports.health import Health
from lakebed.sources.http import influx

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

    They name no owner and no topic.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(services, request.app.state.metrics))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


class _Collector(Collector):
    def __init__(self, common: Common, more: Sequence[Callable[[], Iterable[Metric]]]) -> None:
        self._common, self._more = common, more

    def describe(self) -> Iterator[Metric]:
        return iter(())  # collecting is not free: not once more at registration

    def collect(self) -> Iterator[Metric]:
        yield from _part_gauges(self._common.ready())
        for more in self._more:
            yield from more()


def _part_gauges(found: Mapping[str, Health]) -> Iterator[Metric]:
    """The content of /readyz as gauges."""
    ready = GaugeMetricFamily("lakebed_ready", "Whether a part does its work.", labels=["part"])
    figures = GaugeMetricFamily(
        "lakebed_part", "Figures of the parts, as in /readyz.", labels=["part", "figure"]
    )
    for name, health in sorted(found.items()):
        ready.add_metric([name], health.ok)
        for figure, value in health.detail.items():
            if isinstance(value, (int, float)):
                figures.add_metric([name, figure], value)
    yield ready
    yield figures
