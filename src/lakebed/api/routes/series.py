"""Routes about the series, for admins: what of it is lost, and acknowledging the loss."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from lakebed.access.actions import Action
from lakebed.api.callers import OnInstance
from lakebed.api.requests import ServicesDep

router = APIRouter(prefix="/api/v1/series", tags=["administration"])


@router.get("", dependencies=[OnInstance(Action.SERIES_READ)])
def series(services: ServicesDep) -> dict[str, Any]:
    """Show what of the series is being rebuilt, or is lost permanently."""
    return {"loss": services.losses.state()}


@router.post("/acknowledge-loss", dependencies=[OnInstance(Action.SERIES_ACKNOWLEDGE)])
def acknowledge_loss(
    services: ServicesDep,
    missing: Annotated[
        int, Query(ge=0, description="number of missing messages that you have seen")
    ],
) -> dict[str, Any]:
    """Acknowledge a permanent loss, so that the server is ready again; answer the loss."""
    return services.losses.acknowledge(missing)
