"""Requests to delete what was kept, and why a replay does not bring it back.

    request ──> the keeper has read all that was there ──> write, forget, checkpoint ──> delete

What is deleted must never be written again. So the shards first read everything that was accepted
before the request; the policies concerned write what waits, let go of windows, last values and what
filters remember, and save a checkpoint at that place. A replay begins behind it. Only then rows are
deleted, and only those from below it: what arrives meanwhile is none of the request's business.
"""

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field

from lakebed.keeper.kinds.kind import Forgotten
from lakebed.keeper.ledger import Ledger
from lakebed.policies.policy import Policy
from lakebed.policies.topics import matches
from lakebed.ports import LastValueStore
from lakebed.series.forgetting import Forgetting
from lakebed.series.reading import last_values
from lakebed.series.reading.conditions import is_wildcard
from lakebed.times import UNSET

_NEVER = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Request:
    """Attributes:
    ends: how far each partition reached when it was asked for.
    done: the place of each partition, and how many last values were deleted.
    """

    wanted: Forgetting
    ends: Mapping[int, int]
    done: "Future[tuple[dict[int, int], int]]" = field(default_factory=Future)


def concerns(wanted: Forgetting, policy: Policy) -> bool:
    return policy.owner == wanted.owner and wanted.policy in (None, policy.name)


def forgotten(wanted: Forgetting, ledger: Ledger) -> Forgotten:
    """The same in the small ints of a shard."""
    channels = frozenset(
        code
        for code, channel in enumerate(ledger.channels)
        if channel.owner == wanted.owner and _matches(wanted.topic, channel.topic)
    )
    start = UNSET if wanted.start is None else wanted.start
    return Forgotten(channels, start, _NEVER if wanted.end is None else wanted.end)


def delete_last(store: LastValueStore, wanted: Forgetting, places: Mapping[int, int]) -> int:
    """Delete last values; before the keeper writes others, which older ones would shut out."""
    found = last_values.find(store, wanted.owner, wanted.topic, wanted.policy)
    return store.delete_last(
        [v for v in found if wanted.covers(v.time) and v.offset < places.get(v.partition, 0)]
    )


def _matches(filter: str, topic: str) -> bool:
    return matches(filter, topic) if is_wildcard(filter) else filter == topic
