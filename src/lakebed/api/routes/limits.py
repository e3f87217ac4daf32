"""Routes of limits and load: what may be sent, what is sent, and who is near a limit.

LimitBook of this process ──> limits in force, used parts, load by topic, unit or owner
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query

from lakebed.access.actions import Action
from lakebed.api.callers import Caller, InOwner
from lakebed.api.requests import ServicesDep
from lakebed.api.services import Services
from lakebed.limits.book import NEAR
from lakebed.limits.load import SPANS, Load
from lakebed.limits.subjects import Subject
from lakebed.vocabulary.errors import NotFound
from lakebed.vocabulary.limits import to_document

router = APIRouter(prefix="/api/v1", tags=["accounting"])

Weigher = Annotated[Caller, InOwner(Action.LOAD_READ)]
Reader = Annotated[Caller, InOwner(Action.LIMITS_READ)]


@router.get("/load")
def load(
    services: ServicesDep,
    caller: Weigher,
    by: Annotated[Literal["unit", "topic", "owner"], Query(description="one row for each")],
    of: Annotated[Literal["1m", "1h", "1d"], Query(description="of this last time")] = "1m",
    limit: Annotated[int, Query(ge=1, le=10_000, description="the heaviest so many")] = 100,
) -> dict[str, Any]:
    """Tell how much is sent: messages and bytes per second now, on average and at most."""
    meter = services.resending.limits.load
    rows = sorted(
        _rows(services, caller, by, of), key=lambda row: row["messages"]["mean"], reverse=True
    )
    evicted = {
        "unit": meter.units.evicted, "topic": meter.topics.evicted, "owner": meter.owners.evicted,
    }  # fmt: skip
    return {
        "of": of,
        "seconds": min(SPANS[of], round(meter.age)),
        "complete": len(rows) <= limit and not evicted[by],
        "load": rows[:limit],
    }


def _rows(services: Services, caller: Caller, by: str, of: str) -> Iterator[dict[str, Any]]:
    meter, owner = services.resending.limits.load, caller.owner
    if by == "topic":
        for channel, one in meter.loads(meter.topics, of).items():
            if channel.owner == owner and caller.may(channel.topic):
                yield {"topic": channel.topic, **_show(one)}
    elif by == "unit":
        units = meter.loads(meter.units, of)
        names = {unit.uuid: unit.name for unit in services.accounts.units(owner)} if units else {}
        for (whose, uuid), one in units.items():
            if whose == owner and caller.may_all():
                yield {"unit": names.get(uuid, uuid), "uuid": uuid, **_show(one)}
    else:
        for name, one in meter.loads(meter.owners, of).items():
            if caller.principal.admin or (name == owner and caller.may_all()):
                yield {"owner": name, **_show(one)}


def _show(load: Load) -> dict[str, Any]:
    return {
        "messages": {
            "now": round(load.messages_now, 3),
            "mean": round(load.messages_mean, 3),
            "peak": round(load.messages_peak, 3),
        },
        "bytes": {
            "now": round(load.bytes_now, 3),
            "mean": round(load.bytes_mean, 3),
            "peak": round(load.bytes_peak, 3),
        },
    }


@router.get("/limits")
def limits(services: ServicesDep, caller: Reader) -> dict[str, Any]:
    """Show the limits in force for an owner and its units, and how much of them is used."""
    caller.require("#")
    stored = services.accounts.owner(caller.owner)
    if stored is None and caller.owner != caller.principal.owner:
        raise NotFound(f"there is no owner {caller.owner!r}")
    book = services.resending.limits
    owner = caller.owner
    active = {(s.owner, s.unit): s for s in book.active() if s.owner == owner}
    units = [
        {
            "unit": unit.name,
            "uuid": unit.uuid,
            "limits": to_document(book.limits(owner, unit.uuid)),
            **_used(services, active.get((owner, unit.uuid))),
        }
        for unit in services.accounts.units(owner)
        if unit.limits or (owner, unit.uuid) in active
    ]
    return {
        "owner": owner,
        "limits": to_document(book.limits(owner)),
        "own": dict(stored.limits) if stored is not None else {},
        **_used(services, active.get((owner, ""))),
        "units": units,
    }


def _used(services: Services, subject: Subject | None) -> dict[str, Any]:
    """How much of its limits of messages and bytes a subject uses now, and what was over them."""
    if subject is None:
        return {"used": 0.0, "near": None, "over": {}}
    name, used = services.resending.limits.used(subject)
    return {
        "used": round(used, 3),
        "near": name if used >= NEAR else None,
        "over": {str(over): count for over, count in subject.over.copy().items()},
    }
