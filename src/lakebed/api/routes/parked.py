"""Routes of parked messages: list the stretches, release them or drop them.

A release appends copies, which the keeper takes as if they had come in time; it goes on in the
background, also after a restart. What is asked for is a whole stretch: ten minutes at most.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from lakebed.access.actions import Action
from lakebed.api.callers import Caller, InOwner
from lakebed.api.requests import ServicesDep, moment
from lakebed.api.services import Services
from lakebed.keeper import parking
from lakebed.keeper.parking import Stretch
from lakebed.ports.catalog.parking import ParkedOrder, Wish
from lakebed.ports.metrics import GaugeMetric, Sample
from lakebed.vocabulary.errors import BadRequest, Unavailable
from lakebed.vocabulary.times import Micros, now, to_rfc3339
from lakebed.vocabulary.topics import matches

PARKED = GaugeMetric(
    "lakebed_parked_messages", "Messages over a limit, by what has become of them.", ("state",)
)

router = APIRouter(prefix="/api/v1/parked", tags=["accounting"])

Reader = Annotated[Caller, InOwner(Action.PARKED_READ)]
Settler = Annotated[Caller, InOwner(Action.PARKED_SETTLE)]
From = Annotated[str | None, Query(alias="from", description="received then or later")]
To = Annotated[str | None, Query(description="received before")]


def _text(value: object) -> object:
    """Epochs may be numbers in JSON."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return str(value) if is_number else value


Moment = Annotated[str, BeforeValidator(_text)]

REASONS = {"parked": "over_quota", "dropped": "dropped", "expired": "expired"}
"""Why records may be missing, by the state of a stretch."""


class Chosen(BaseModel):
    """Which stretches: by their ids, or by time; `all` where neither is given."""

    model_config = ConfigDict(extra="forbid")

    ids: list[str] | None = Field(None, max_length=1000, description="of stretches")
    start: Moment | None = Field(None, alias="from", description="received then or later")
    end: Moment | None = Field(None, alias="to", description="received before")
    all: bool = Field(False, description="all that is parked")


class Asked(Chosen):
    action: Literal["release", "drop"] = Field(description="what is to become of them")


@router.get("")
def list_parked(
    services: ServicesDep, caller: Reader, start: From = None, to: To = None
) -> dict[str, Any]:
    """List parked stretches of messages, and those dropped or expired, the oldest first."""
    orders = {(o.partition, o.first): o for o in _orders(services, caller.owner)}
    shown = [
        _show(stretch, orders, services.settings.limits.parked_for)
        for stretch in _stretches(services, caller, moment("from", start), moment("to", to))
    ]
    waiting = [one for one in shown if one["state"] in ("parked", "releasing", "dropping")]
    return {"parked": shown, "messages": sum(one["messages"] for one in waiting)}


@router.post("", status_code=202)
def settle_parked(services: ServicesDep, caller: Settler, asked: Asked) -> dict[str, int]:
    """Release parked messages, or drop them for good."""
    return _order(services, caller, asked, asked.action)


@router.post("/release", status_code=202)
def release_parked(services: ServicesDep, caller: Settler, chosen: Chosen) -> dict[str, int]:
    """Release parked messages: policies keep them as if they had come in time."""
    return _order(services, caller, chosen, "release")


def _order(services: Services, caller: Caller, chosen: Chosen, wish: Wish) -> dict[str, int]:
    caller.require("#")
    if chosen.ids is None and chosen.start is None and chosen.end is None and not chosen.all:
        raise BadRequest("", "say which: `ids`, `from` and `to`, or `all`")
    start, end = moment("from", chosen.start), moment("to", chosen.end)
    wanted = [
        stretch
        for stretch in _stretches(services, caller.to(Action.PARKED_READ), start, end)
        if stretch.state == "parked" and (chosen.ids is None or stretch.id in chosen.ids)
    ]
    if chosen.ids is not None and (missing := set(chosen.ids) - {s.id for s in wanted}):
        raise BadRequest("ids", f"nothing is parked as {', '.join(sorted(missing))}")
    asked = now()
    orders = [
        ParkedOrder(
            s.owner, s.partition, s.first, s.last, s.messages, s.bytes, wish, s.first, asked=asked
        )
        for s in wanted
    ]
    made = services.catalog.order_parked(orders)
    return {"stretches": made, "messages": sum(order.messages for order in orders)}


def _orders(services: Services, owner: str) -> Iterable[ParkedOrder]:
    return [order for order in services.catalog.parked_orders() if order.owner == owner]


def _stretches(
    services: Services, caller: Caller, start: Micros | None, end: Micros | None
) -> list[Stretch]:
    """Those of an owner, as far as the caller may read their topics."""
    found = parking.load(services.catalog, caller.owner)
    return [s for s in found if s.overlaps(start, end) and _may(caller, s)]


def _may(caller: Caller, stretch: Stretch) -> bool:
    return caller.may_all() or (stretch.topics is not None and caller.may(*stretch.topics))


def _show(
    stretch: Stretch, orders: Mapping[tuple[int, int], ParkedOrder], parked_for: Micros
) -> dict[str, Any]:
    order = orders.get((stretch.partition, stretch.first))
    state = stretch.state
    if order is not None and state == "parked":
        state = "releasing" if order.wish == "release" else "dropping"
    return {
        "id": stretch.id,
        "owner": stretch.owner,
        "state": state,
        "from": to_rfc3339(stretch.since),
        "to": to_rfc3339(stretch.until + 1),
        "expires": to_rfc3339(stretch.until + parked_for) if state == "parked" else None,
        "messages": stretch.messages,
        "bytes": stretch.bytes,
        "topics": stretch.topics,
        "units": stretch.units,
    }


def gaps(
    services: Services,
    owner: str,
    filters: Sequence[str],
    start: Micros | None,
    end: Micros | None,
) -> list[dict[str, str]]:
    """Times in which messages of these topics came that no policy has kept, and why."""
    return [
        {
            "from": to_rfc3339(stretch.since),
            "to": to_rfc3339(stretch.until + 1),
            "reason": REASONS[stretch.state],
        }
        for stretch in parking.load(services.catalog, owner)
        if stretch.overlaps(start, end)
        and (stretch.topics is None or _concerns(filters, stretch.topics))
    ]


def _concerns(filters: Iterable[str], topics: Iterable[str]) -> bool:
    return any(matches(filter, topic) for topic in topics for filter in filters)


def metrics(services: Services) -> Iterator[Sample]:
    """What is parked of the whole instance; none while the catalog is away, as health reports."""
    with suppress(Unavailable):
        counts = Counter(dict.fromkeys(REASONS, 0))
        for stretch in parking.load(services.catalog):
            counts[stretch.state] += stretch.messages
        for state, count in counts.items():
            yield PARKED(count, state)
