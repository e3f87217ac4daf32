"""Routes about the series, for admins: what of it is lost, and that this was seen."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from lakebed.access.actions import Action
from lakebed.api.callers import OnInstance
from lakebed.api.requests import ServicesDep

router = APIRouter(prefix="/api/v1/series", tags=["administration"])


@router.get("", dependencies=[OnInstance(Action.SERIES_READ)])
def series(services: ServicesDep) -> dict[str, Any]:
    """What of the series is being rebuilt, or could not be."""
    return {"loss": services.losses.state()}


@router.post("/acknowledge-loss", dependencies=[OnInstance(Action.SERIES_ACKNOWLEDGE)])
def acknowledge_loss(
    services: ServicesDep,
    missing: Annotated[int, Query(ge=0, description="messages that are missing, as you have seen")],
) -> dict[str, Any]:
    """Say that the loss was seen: the server is ready again. Answers what was acknowledged."""
    return services.losses.acknowledge(missing)
