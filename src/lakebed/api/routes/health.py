"""Routes that machines ask: is it alive, is it ready, how is it doing. They need no token."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Annotated, Any, cast

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from lakebed import __version__
from lakebed.access.actions import Action
from lakebed.api.callers import Public
from lakebed.api.routes import flow
from lakebed.api.services import Common, Services
from lakebed.ports import Health
from lakebed.vocabulary.errors import Unavailable

router = APIRouter(tags=["health"], dependencies=[Public(Action.HEALTH_READ)])


async def common(request: Request) -> Common:
    return cast(Common, request.app.state.services)


CommonDep = Annotated[Common, Depends(common)]


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz")
async def healthz() -> dict[str, Any]:
    """The process answers."""
    return {"status": "alive", "version": __version__}


@router.head("/readyz", include_in_schema=False)
@router.get(
    "/readyz",
    responses={503: {"description": "Some part is not ready; the body says which."}},
)
def readyz(services: CommonDep) -> Response:
    """Every part it depends on does its work; 503 and the part's name where one does not."""
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
def metrics(services: CommonDep) -> Response:
    """Prometheus text: figures of this process and, where it is an API, totals of the instance.

    Nothing in it names an owner or a topic.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Process(services))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


class _Process(Collector):
    def __init__(self, services: Common) -> None:
        self._services = services

    def describe(self) -> Iterator[Metric]:
        return iter(())  # collecting is not free: not once more at registration

    def collect(self) -> Iterator[Metric]:
        # what can be said is said; lakebed_ready tells of the rest
        if isinstance(self._services, Services):  # once is enough: all would say the same
            with suppress(Unavailable):
                yield from _messages(self._services)
        yield from _parts(self._services.ready())
        for more in self._services.metrics:
            yield from more()


def _parts(found: Mapping[str, Health]) -> Iterator[Metric]:
    """What /readyz says, as gauges."""
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


def _messages(services: Services) -> Iterator[Metric]:
    ledger, pending = flow.load(services)
    outcomes = CounterMetricFamily(
        "lakebed_messages", "Messages by what became of them.", labels=["outcome"]
    )
    for outcome, count in ledger.totals.items():
        outcomes.add_metric([outcome.reason], count)
    yield outcomes
    size = int(ledger.sizes.sum())
    yield CounterMetricFamily("lakebed_payload_bytes", "Payload bytes accounted for.", size)
    waiting = Counter(pending).total()
    yield GaugeMetricFamily("lakebed_in_flight", "Messages not accounted for yet.", waiting)
    yield GaugeMetricFamily("lakebed_topics", "Topics seen.", len(ledger.channels))
