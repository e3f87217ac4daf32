"""Adopts a topic that was created again or has grown as the journal, on an operator's command.

    another topic ──> what was not read of the former one is noted as lost ──┐
    more partitions ──> all is read and written; the state of each            ├─> catalog, in one
                        partition is split among those it is divided into ──┘     transaction

Claims of partitions end with it, so that no keeper saves what it read of the former journal. Every
process looks at the catalog once a second, and works with the new one from then on.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import structlog

from lakebed.consuming import deduplication
from lakebed.keeper import fill_state, splitting
from lakebed.keeper.ledger import CONSUMER
from lakebed.keeper.settings import KeeperSettings
from lakebed.ports.catalog.checkpoints import Checkpoint, TransactionalCheckpoints
from lakebed.ports.catalog.journal import JournalAdoption, JournalIdentity, JournalLoss
from lakebed.ports.catalog.policies import PolicyVersionReader
from lakebed.ports.journal.adoption import Adoptable, JournalChange
from lakebed.ports.journal.reading import Extents
from lakebed.vocabulary.errors import Conflict, StoreUnavailable

log = structlog.get_logger(__name__)

_NOTICED = 3.0  # seconds in which every process has noticed the change, and appends nothing more


class AdoptionCatalog(JournalAdoption, TransactionalCheckpoints, PolicyVersionReader, Protocol):
    """The part of the catalog that an adoption needs."""


class AdoptionJournal(Adoptable, Extents, Protocol):
    """The part of the journal that an adoption needs."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The effects of an adoption.

    Attributes:
        change: of the journal.
        lost: what was appended to the former journal and never read.
        hindrance: why it cannot be adopted now; empty if it can.
    """

    change: JournalChange
    lost: list[JournalLoss]
    hindrance: str = ""

    @property
    def messages(self) -> int:
        """How many were never read."""
        return unread(self.lost)


def unread(lost: Iterable[JournalLoss]) -> int:
    """How many messages flow counts as lost."""
    return sum(sum(loss.owners.values()) for loss in lost)


def plan(journal: AdoptionJournal, catalog: AdoptionCatalog) -> Plan | None:
    """The effects that an adoption would have now; None if the journal is the one in use."""
    change = journal.change()
    if change is None:
        return None
    found = change.found
    if found is None:
        return Plan(change, [], "there is no topic: a process that is started again makes it")
    former = change.former
    if found.partitions % former.partitions:
        return Plan(
            change,
            [],
            f"it has {found.partitions} partitions, which is no multiple of the {former.partitions}"
            " in use: what belongs to one could not be divided",
        )
    if change.difference == "grown":
        return Plan(change, [], _unread(change, journal, catalog))
    return Plan(change, _lose(change, catalog, dry=True))


def adopt(
    journal: AdoptionJournal,
    catalog: AdoptionCatalog,
    settings: KeeperSettings,
    seen: Plan,
    sleep: Callable[[float], object] = time.sleep,
) -> list[JournalLoss]:
    """Use the topic that `seen` found as the journal from now on; return what is lost by it.

    Raises:
        Conflict: it cannot be adopted, or is another one by now.
    """
    if seen.hindrance:
        raise Conflict(seen.hindrance)
    sleep(_NOTICED)
    planned = plan(journal, catalog)
    if planned is None or planned.change.found is None:
        raise Conflict("the journal has been adopted meanwhile: look again")
    if planned.hindrance:
        raise Conflict(planned.hindrance)
    change, found = planned.change, planned.change.found
    lost: list[JournalLoss] = []

    def also() -> None:
        if change.difference == "grown":
            if hindrance := _unread(change, journal, catalog):
                raise Conflict(hindrance)
        else:
            lost.extend(_lose(change, catalog, dry=False))
        divided = found.partitions != change.former.partitions
        fill_state.end_all(catalog, "the journal that it read was replaced", divided)
        if divided:
            _divide(change, found, catalog, settings)

    catalog.adopt(change.former, found, also)
    with suppress(StoreUnavailable):  # this process need not wait for its next look
        journal.change()
    log.warning(
        "the journal was adopted", id=found.id, partitions=found.partitions,
        lost=unread(lost),
    )  # fmt: skip
    return lost


def _lose(change: JournalChange, catalog: AdoptionCatalog, dry: bool) -> list[JournalLoss]:
    """Note everything behind the checkpoints as lost: its topic does not exist any more."""
    saved = catalog.checkpoints(CONSUMER)
    lost: list[JournalLoss] = []
    for partition in range(change.former.partitions):
        start = _saved(saved.get(partition, ()), default=0)
        end = change.starts[partition]
        lost += catalog.note_lost(CONSUMER, partition, start, end, "anew", 0, dry)
    return [loss for loss in lost if loss.messages]


def _unread(change: JournalChange, journal: Extents, catalog: AdoptionCatalog) -> str:
    """Why state cannot be divided yet: it must reach to the end of each partition."""
    saved = catalog.checkpoints(CONSUMER)
    for partition, (first, end) in sorted(journal.extent().items()):
        least = _saved(saved.get(partition, ()), default=first)
        if first < end and least < max(end, change.reach.get(partition, 0)):
            return (
                f"keepers have not read and written all of partition {partition}: let them run, "
                "and try again"
            )
    return ""


def _saved(parts: Iterable[Checkpoint], default: int) -> int:
    """The offset below which all is written: a deduplicator's parts stay where they were saved."""
    offsets = (part.offset for part in parts if not deduplication.is_part(part.part))
    return min(offsets, default=default)


def _divide(
    change: JournalChange,
    found: JournalIdentity,
    catalog: AdoptionCatalog,
    settings: KeeperSettings,
) -> None:
    number = change.former.partitions
    for partition, parts in sorted(catalog.checkpoints(CONSUMER).items()):
        starts = {
            successor: change.starts[successor]
            for successor in range(partition, found.partitions, number)
        }
        made = splitting.split(
            [part for part in parts if not deduplication.is_part(part.part)],
            catalog,
            settings,
            change.partition_of,
            starts,
            seen=[part for part in parts if deduplication.is_part(part.part)],
            former=partition,
        )
        _replace(catalog, partition, parts, made)


def _replace(
    catalog: TransactionalCheckpoints,
    partition: int,
    parts: list[Checkpoint],
    made: Mapping[int, list[Checkpoint]],
) -> None:
    for successor, own in made.items():
        names = {part.part for part in own}
        gone = [part.part for part in parts if successor == partition and part.part not in names]
        catalog.save_checkpoints(CONSUMER, successor, own, gone)
