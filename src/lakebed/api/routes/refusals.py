"""The route about refusals: what was turned away at the door, by kind."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from lakebed.access.actions import Action
from lakebed.api.callers import Caller, InOwner
from lakebed.api.requests import ServicesDep
from lakebed.api.services import Services
from lakebed.ports.catalog.refusals import Refusal
from lakebed.vocabulary.times import to_rfc3339

router = APIRouter(prefix="/api/v1", tags=["accounting"])

Reader = Annotated[Caller, InOwner(Action.REFUSALS_READ)]


@router.get("/refusals")
def list_refusals(
    services: ServicesDep,
    caller: Reader,
    reason: Annotated[str | None, Query(description="only for this reason")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> dict[str, Any]:
    """List what was refused of late, the newest first; admins see those who are unknown, too."""
    return {"refusals": [_show(one) for one in found(services, caller, reason, limit)]}


def found(
    services: Services, caller: Caller, reason: str | None = None, limit: int = 100
) -> list[Refusal]:
    """Those that the caller may see."""
    owners = {caller.owner}
    if caller.principal.admin:
        owners.add("")
    whole = caller.may_all()
    return [
        one
        for one in services.catalog.refusals(owners, reason, limit)
        # a connection as such is about no topic, and its client may be of somebody else
        if whole or (one.topic and caller.may(one.topic))
    ]


def _show(one: Refusal) -> dict[str, Any]:
    return {
        "owner": one.owner or None,
        "door": one.door,
        "client": one.client,
        "address": one.address,
        "topic": one.topic,
        "reason": one.reason,
        "text": one.text,
        "count": one.count,
        "first": to_rfc3339(one.first),
        "last": to_rfc3339(one.last),
    }
