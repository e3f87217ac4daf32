"""Checks which consumers' state moves with a home, and which prevents a move.

    keeper           its state is split by channel (`keeper/splitting.py`)
    relays           of messages begin anew in the new journal; all of them must have delivered what
                     they had. Those of policies go on: the outbox moves as it is
    examples, mark   belong to no partition, and move as they are
    any other        must be dropped before: its unread messages and its offsets cannot be moved

Offsets of one partition mean nothing in the partitions of the new journal, and a state is opaque
except to its consumer.
"""

from collections.abc import Collection, Iterable
from typing import Protocol

from lakebed.keeper import examples, ledger, parking
from lakebed.migration import mark
from lakebed.ports.catalog.backfills import BackfillStore
from lakebed.ports.catalog.checkpoints import CheckpointReader
from lakebed.ports.catalog.content import Rows
from lakebed.ports.catalog.fills import FillOrders
from lakebed.ports.catalog.outbox import OutboxFollowers
from lakebed.ports.catalog.relays import CONSUMER as RELAYS
from lakebed.ports.journal.operating import ConsumerPosition
from lakebed.vocabulary.errors import Conflict


class RelayedCatalog(OutboxFollowers, BackfillStore, Protocol):
    """What says which relays read from the outbox."""


_SPLIT = {ledger.CONSUMER}
_WITHOUT_PARTITION = {examples.CONSUMER, mark.CONSUMER}


def check(positions: Iterable[ConsumerPosition]) -> None:
    """Check that every consumer of the journal can be moved.

    Raises:
        Conflict: one cannot; its unread messages would be lost.
    """
    for position in positions:
        if position.name == RELAYS and not position.behind:
            continue
        if position.name not in _SPLIT:
            raise Conflict(
                f"the consumer {position.name!r} has {position.behind} messages to read, and its"
                " offset cannot be moved: let it finish on a server started on this home, then"
                f" lakebed journal drop-consumer {position.name}"
            )


def check_parked(catalog: CheckpointReader) -> None:
    """Check that nothing is parked: it lies in the journal, which stays behind.

    Raises:
        Conflict: something is.
    """
    waiting = sum(s.messages for s in parking.load(catalog) if s.state == "parked")
    if waiting:
        raise Conflict(
            f"{waiting} messages are parked in the journal, which is not moved: release or drop"
            " them on a server started on this home, by lakebed parked release --all --owner OWNER"
        )


def check_fills(catalog: FillOrders) -> None:
    """Check that no policy is being filled: what it would read stays behind.

    Raises:
        Conflict: one is.
    """
    names = [f"{order.owner}/{order.policy}" for order in catalog.fill_orders()]
    if names:
        raise Conflict(
            f"policies are being filled from the journal, which is not moved: {', '.join(names)};"
            " let them end on a server started on this home, or cancel them by"
            " lakebed policies fill NAME --cancel"
        )


def followers(catalog: RelayedCatalog) -> frozenset[str]:
    """The identities of relays that read from the outbox, and of their backfills."""
    of_policies = (follower.relay for follower in catalog.followers())
    return frozenset([*of_policies, *(backfill.id for backfill in catalog.backfills())])


def movable(rows: Rows, followers: Collection[str] = ()) -> Rows:
    """The rows of checkpoints that move as they are; those of dropped consumers are left out.

    Args:
        followers: of relays those that move.
    """
    return [
        row
        for row in rows
        if row["consumer"] in _WITHOUT_PARTITION
        or (row["consumer"] == RELAYS and row["part"] in followers)
    ]
