"""Routes about the journal, for admins: its extent, consumers, pressure and damage."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from lakebed.access.actions import Action
from lakebed.api.callers import OnInstance
from lakebed.api.requests import ServicesDep
from lakebed.api.services import Services
from lakebed.keeper.ledger import CONSUMER, PART
from lakebed.ports.journal.operating import ConsumerPosition, Damage, Pressure
from lakebed.vocabulary.errors import Conflict
from lakebed.vocabulary.times import to_rfc3339

router = APIRouter(prefix="/api/v1/journal", tags=["administration"])


@router.get("", dependencies=[OnInstance(Action.JOURNAL_READ)])
def journal(services: ServicesDep) -> dict[str, Any]:
    """What the journal holds, which consumer it holds it for, and what could not be read."""
    held = _held(services)
    positions = services.journal.positions()  # a journal on servers also updates its pressure here
    return {
        "partitions": [
            {"partition": partition, "first": first, "end": end}
            for partition, (first, end) in sorted(services.journal.extent().items())
        ],
        "consumers": [_consumer(position, held) for position in positions],
        "pressure": _pressure(services.journal.pressure()),
        "damage": _damage(services.journal.damage()),
    }


@router.post("/acknowledge-damage", dependencies=[OnInstance(Action.JOURNAL_ACKNOWLEDGE)])
def acknowledge_damage(
    services: ServicesDep,
    messages: Annotated[int, Query(ge=0, description="how many are lost, as you have seen")],
) -> dict[str, Any]:
    """Say that the damage was seen: the journal is ready again. Answers what was acknowledged."""
    found = services.journal.damage()
    if found.messages != messages:
        raise Conflict(f"{found.messages} messages are lost, not {messages}: look again")
    services.journal.acknowledge_damage()
    return _damage(found)


@router.delete(
    "/consumers/{name}", status_code=204, dependencies=[OnInstance(Action.JOURNAL_DROP_CONSUMER)]
)
def drop_consumer(services: ServicesDep, name: str) -> None:
    """Forget a consumer that is gone: the journal need not keep anything for it any more."""
    services.journal.drop_consumer(name)


def _held(services: Services) -> dict[int, str]:
    """For each partition the part with the lowest checkpoint, up to which the keeper commits."""
    found = {}
    for partition, parts in services.catalog.checkpoints(CONSUMER).items():
        last = min(parts, key=lambda part: part.offset)
        found[partition] = "the ledger" if last.part == PART else last.part
    return found


def _consumer(position: ConsumerPosition, held: dict[int, str]) -> dict[str, Any]:
    waits = position.name == CONSUMER and position.behind > 0
    return {
        "name": position.name,
        "partition": position.partition,
        "offset": position.offset,
        "behind": position.behind,
        "age": position.age,
        "live": position.live,
        "held_by": held.get(position.partition) if waits else None,
    }


def _pressure(found: Pressure | None) -> dict[str, Any] | None:
    return None if found is None else {"full": found.full, "by": found.by}


def _damage(found: Damage) -> dict[str, Any]:
    return {
        "messages": found.messages,
        "missing": found.missing,
        "salvaged": found.salvaged,
        "blocks": [
            {
                "position": f"{block.partition}:{block.offset}",
                "messages": block.count,
                "written": to_rfc3339(block.at),
            }
            for block in found.blocks
        ],
        "files": list(found.files),
    }
