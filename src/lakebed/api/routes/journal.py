"""Routes about the journal, for admins: its extent, consumers, pressure, damage and changes."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Query

from lakebed.access.actions import Action
from lakebed.api.callers import OnInstance
from lakebed.api.requests import ServicesDep
from lakebed.api.services import Services
from lakebed.keeper import journal_adoption
from lakebed.keeper.ledger import CONSUMER, PART
from lakebed.ports.journal.operating import ConsumerPosition, Damage, Pressure
from lakebed.ports.metrics import GaugeMetric, Sample
from lakebed.vocabulary.errors import Conflict, Unavailable
from lakebed.vocabulary.times import to_rfc3339

LAG = GaugeMetric(
    "lakebed_partition_lag_messages",
    "Messages of a partition that no keeper has processed.",
    ("partition",),
)
OWNED = GaugeMetric("lakebed_partition_owned", "1 while a keeper has a partition.", ("partition",))

router = APIRouter(prefix="/api/v1/journal", tags=["administration"])


@router.get("", dependencies=[OnInstance(Action.JOURNAL_READ)])
def journal(services: ServicesDep) -> dict[str, Any]:
    """Show the journal: its partitions, consumers with their offsets, pressure and damage."""
    held = _slowest_parts(services)
    positions = services.journal.positions()  # a journal on servers also updates its pressure here
    return {
        "partitions": _partitions(services, positions),
        "consumers": [_consumer(position, held) for position in positions],
        "pressure": _pressure(services.journal.pressure()),
        "damage": _damage(services.journal.damage()),
        "change": _change(journal_adoption.plan(services.journal, services.catalog)),
    }


@router.post("/adopt", dependencies=[OnInstance(Action.JOURNAL_ADOPT)])
def adopt(
    services: ServicesDep,
    id: Annotated[str, Query(description="id of the topic to adopt, as `GET` has shown it")],
    partitions: Annotated[int, Query(ge=1, description="its number of partitions")],
    messages: Annotated[int, Query(ge=0, description="number of messages lost by adopting it")],
) -> dict[str, Any]:
    """Adopt a topic that was created again or has grown as the journal; answer what is lost."""
    seen = journal_adoption.plan(services.journal, services.catalog)
    if seen is None:
        raise Conflict("the journal is the one in use: there is nothing to adopt")
    found = seen.change.found
    if found is not None and (found.id, found.partitions) != (id, partitions):
        raise Conflict("the topic is another one by now: look again")
    if seen.messages != messages:
        raise Conflict(f"{seen.messages} messages are lost, not {messages}: look again")
    return {"lost": journal_adoption.unread(services.adopt(seen))}


@router.post("/acknowledge-damage", dependencies=[OnInstance(Action.JOURNAL_ACKNOWLEDGE)])
def acknowledge_damage(
    services: ServicesDep,
    messages: Annotated[int, Query(ge=0, description="number of lost messages that you have seen")],
) -> dict[str, Any]:
    """Acknowledge damage that was seen, so that the journal is ready again; answer the damage."""
    found = services.journal.damage()
    if found.messages != messages:
        raise Conflict(f"{found.messages} messages are lost, not {messages}: look again")
    services.journal.acknowledge_damage(found)
    return _damage(found)


@router.delete(
    "/consumers/{name}", status_code=204, dependencies=[OnInstance(Action.JOURNAL_DROP_CONSUMER)]
)
def drop_consumer(services: ServicesDep, name: str) -> None:
    """Drop a consumer that is gone, so that the journal keeps no messages for it any more."""
    services.journal.drop_consumer(name)


def _partitions(services: Services, positions: Sequence[ConsumerPosition]) -> list[dict[str, Any]]:
    """Each partition with the keeper's offset in it, and the process that reads it."""
    committed = {p.partition: p.offset for p in positions if p.name == CONSUMER}
    owners = services.journal.readers(CONSUMER)
    lag = lag_by_partition(services)
    return [
        {
            "partition": partition,
            "first": first,
            "end": end,
            "committed": committed.get(partition),
            "lag": lag.get(partition, 0),
            "owner": owners.get(partition),
        }
        for partition, (first, end) in sorted(services.journal.extent().items())
    ]


def lag_by_partition(services: Services) -> dict[int, int]:
    """About how many messages of each partition no keeper has processed yet.

    It is the distance from the last checkpoint, so it also grows while no keeper has the partition.
    """
    saved = {
        partition: max(part.offset for part in parts)
        for partition, parts in services.catalog.checkpoints(CONSUMER, part=PART).items()
    }
    return {
        partition: services.journal.distance(
            partition, min(end, max(first, saved.get(partition, first))), end
        )
        for partition, (first, end) in services.journal.extent().items()
    }


def _slowest_parts(services: Services) -> dict[int, str]:
    """For each partition the part with the lowest checkpoint, up to which the keeper commits."""
    found = {}
    for partition, parts in services.catalog.checkpoints(CONSUMER).items():
        last = min(parts, key=lambda part: part.offset)
        found[partition] = "the ledger" if last.part == PART else last.part
    return found


def metrics(services: Services) -> Iterator[Sample]:
    """The lag of every partition for /metrics, and whether a keeper has it.

    Its cost does not depend on the lag, so an autoscaler of keepers can rely on it.
    """
    with suppress(Unavailable):
        lag, owners = lag_by_partition(services), services.journal.readers(CONSUMER)
        for partition, messages in sorted(lag.items()):
            yield LAG(messages, partition)
            yield OWNED(partition in owners, partition)


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


def _change(plan: journal_adoption.Plan | None) -> dict[str, Any] | None:
    if plan is None:
        return None
    change = plan.change
    return {
        "difference": change.difference,
        "message": change.message,
        "hindrance": plan.hindrance or None,
        "lost": plan.messages,
        "used": {"id": change.former.id, "partitions": change.former.partitions},
        "found": None
        if change.found is None
        else {"id": change.found.id, "partitions": change.found.partitions},
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
        "lost": [
            {
                "consumer": lost.consumer,
                "position": f"{lost.partition}:{lost.offset}",
                "messages": lost.count,
                "reason": lost.reason,
                "noticed": to_rfc3339(lost.at),
            }
            for lost in found.lost
        ],
    }
