"""Routes of limits and load: what may be sent, what is sent, and who is near a limit.

LimitBook, reports of gateways ──> limits in force, used parts, load by topic, unit or owner
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query

from lakebed.access.actions import Action
from lakebed.api.callers import Caller, InOwner
from lakebed.api.requests import ServicesDep
from lakebed.api.services import Services
from lakebed.limits.load import Load
from lakebed.limits.reports import Use, add_uses
from lakebed.limits.usage import NEAR
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
    found = services.cluster.load(by, of)
    rows = sorted(
        _rows(services, caller, by, found.loads),
        key=lambda row: row["messages"]["mean"],
        reverse=True,
    )
    return {
        "of": of,
        "seconds": round(found.seconds),
        "gateways": found.gateways,
        "age": round(found.age, 1),
        "complete": len(rows) <= limit and found.complete,
        "load": rows[:limit],
    }


def _rows(
    services: Services, caller: Caller, by: str, loads: Mapping[Any, Load]
) -> Iterator[dict[str, Any]]:
    owner = caller.owner
    if by == "topic":
        for channel, one in loads.items():
            if channel.owner == owner and caller.may(channel.topic):
                yield {"topic": channel.topic, **_show(one)}
    elif by == "unit":
        names = {unit.uuid: unit.name for unit in services.accounts.units(owner)} if loads else {}
        for (whose, uuid), one in loads.items():
            if whose == owner and caller.may_all():
                yield {"unit": names.get(uuid, uuid), "uuid": uuid, **_show(one)}
    else:
        for name, one in loads.items():
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
    use = _uses(services, owner)
    units = [
        {
            "unit": unit.name,
            "uuid": unit.uuid,
            "limits": to_document(book.limits(owner, unit.uuid)),
            **_show_use(use.get(unit.uuid)),
        }
        for unit in services.accounts.units(owner)
        if unit.limits or unit.uuid in use
    ]
    return {
        "owner": owner,
        "limits": to_document(book.limits(owner)),
        "own": dict(stored.limits) if stored is not None else {},
        **_show_use(use.get("")),
        "units": units,
    }


def _uses(services: Services, owner: str) -> dict[str, Use]:
    """How much an owner and its units use of their limits, and what was over, by uuid."""
    book, found = services.resending.limits, dict(services.cluster.usage(owner))
    for subject in book.active():
        if subject.owner == owner:
            parts = book.usage.used_parts(subject)
            over = {str(over): count for over, count in subject.over.copy().items()}
            found[subject.unit] = add_uses(found.get(subject.unit, ({}, {})), (parts, over))
    return found


def _show_use(use: Use | None) -> dict[str, Any]:
    """The limit of messages or bytes that is used most, at all gateways together."""
    parts, over = use or ({}, {})
    name, used = max(parts.items(), key=lambda pair: pair[1], default=("", 0.0))
    return {"used": round(used, 3), "near": name if used >= NEAR else None, "over": over}
