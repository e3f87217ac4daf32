"""Routes that fill a policy: it keeps of the journal's past what it would have kept.

The keepers do it in the background, also after a restart; here it is asked for, looked at, ended.
"""

import secrets
import time
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from lakebed.access.actions import Action
from lakebed.api.callers import Caller, InOwner
from lakebed.api.requests import ServicesDep, moment
from lakebed.api.routes.policies import missing, topics_of
from lakebed.api.services import Services
from lakebed.keeper.fill_state import progress, states
from lakebed.ports.catalog.fills import FillOrder
from lakebed.ports.catalog.policies import StoredPolicy
from lakebed.vocabulary.errors import BadRequest, NotFound
from lakebed.vocabulary.times import Micros, now, to_rfc3339

router = APIRouter(prefix="/api/v1/policies/{name}/fill", tags=["policies"])

Reader = Annotated[Caller, InOwner(Action.POLICIES_READ)]
Filler = Annotated[Caller, InOwner(Action.POLICIES_FILL)]

_BEGUN = 1.5  # seconds that an answer waits for the keepers to begin
_LOOK = 0.05


def _text(value: object) -> object:
    """Epochs may be numbers in JSON."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return str(value) if is_number else value


class Wanted(BaseModel):
    model_config = ConfigDict(extra="forbid")

    since: Annotated[str, BeforeValidator(_text)] = Field(
        alias="from", description="messages received then or later are read"
    )


@router.post("", status_code=202)
def fill_policy(services: ServicesDep, caller: Filler, name: str, wanted: Wanted) -> dict[str, Any]:
    """Keep of the journal's past what this policy would have kept, if it had been there.

    409 while another fill of it is at work. `reaches` is there where the journal does not reach
    back so far, and `from` is later than asked for.
    """
    stored = _stored(services, caller, name)
    caller.require(*topics_of(stored))
    since = moment("from", wanted.since)
    assert since is not None
    if since >= now():
        raise BadRequest("from", "it lies ahead: what comes from now on is kept anyway")
    reaches = services.held_since()
    cut = reaches is not None and since < reaches
    order = FillOrder(
        caller.owner,
        name,
        secrets.randbits(62),
        stored.version,
        reaches if cut and reaches is not None else since,
        now(),
        tuple(sorted(services.journal.extent())),
    )
    services.catalog.order_fill(order)
    services.policies_changed()
    _wait_for_begin(services, order)
    return show(services, order, reaches if cut else None)


@router.get("")
def read_fill(services: ServicesDep, caller: Reader, name: str) -> dict[str, Any]:
    """Show how far the newest fill of a policy is."""
    return show(services, _order(services, caller, name))


@router.delete("")
def cancel_fill(services: ServicesDep, caller: Filler, name: str) -> dict[str, Any]:
    """End a fill; what it has kept stays. Nothing happens to one that has ended."""
    order = _order(services, caller, name)
    caller.require(*topics_of(_stored(services, caller, name)))
    services.catalog.cancel_fill(order)
    services.policies_changed()
    deadline = time.monotonic() + _BEGUN
    while (found := show(services, order))["state"] == "running" and time.monotonic() < deadline:
        time.sleep(_LOOK)
    return found


def newest(services: Services, caller: Caller, name: str) -> dict[str, Any] | None:
    """How far the newest fill of a policy is; None if it was never filled, or is not there."""
    stored = _find(services, caller, name)
    order = None if stored is None else _newest(services, stored)
    return None if order is None else show(services, order)


def _wait_for_begin(services: Services, order: FillOrder) -> None:
    deadline = time.monotonic() + _BEGUN
    while len(states(services.catalog, order)) < len(order.partitions):
        if time.monotonic() > deadline:
            return
        time.sleep(_LOOK)


def _find(services: Services, caller: Caller, name: str) -> StoredPolicy | None:
    """A policy that the caller may read."""
    reader = caller.to(Action.POLICIES_READ)
    found = (one for one in services.catalog.policies(caller.owner) if one.name == name)
    return next((stored for stored in found if reader.may(*topics_of(stored))), None)


def _stored(services: Services, caller: Caller, name: str) -> StoredPolicy:
    stored = _find(services, caller, name)
    if stored is None:
        raise missing(name)
    return stored


def _newest(services: Services, stored: StoredPolicy) -> FillOrder | None:
    """Its newest order; not that of a policy that had its name before."""
    order = services.catalog.fill_order(stored.owner, stored.name)
    return None if order is None or order.asked < stored.created else order


def _order(services: Services, caller: Caller, name: str) -> FillOrder:
    order = _newest(services, _stored(services, caller, name))
    if order is None:
        raise NotFound(f"the policy {name!r} was never filled")
    return order


def show(services: Services, order: FillOrder, reaches: Micros | None = None) -> dict[str, Any]:
    """How far an order is, as the API answers."""
    found = progress(order, states(services.catalog, order))
    shown = {
        "policy": order.policy,
        "version": order.version,
        "state": found.state,
        "from": to_rfc3339(order.since),
        "done": round(found.done, 4),
        "read": found.read,
        "matched": found.matched,
        "kept": found.kept,
        "rows": found.rows,
        "bytes": found.size,
        "lost": found.lost,
        "first": None if found.since is None else to_rfc3339(found.since),
        "asked": to_rfc3339(order.asked),
        "finished": None if found.finished is None else to_rfc3339(found.finished),
        "error": found.error or None,
    }
    return shown if reaches is None else shown | {"reaches": to_rfc3339(reaches)}
