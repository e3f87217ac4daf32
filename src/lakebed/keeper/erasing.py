"""Requests to delete what was kept, and why a replay does not bring it back.

    request ──orders in the catalog──> keepers ──> all let go ──> delete
                    each: has read all that was there ──> write, forget, checkpoint, note it

What is deleted must never be written again. So the shards first read everything that was accepted
before the request; the policies concerned write what waits, let go of windows, last values and what
filters remember, and save a checkpoint at that place. A replay begins behind it. Only then rows are
deleted, and only those from below it: what arrives meanwhile is none of the request's business.
"""

import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from lakebed.keeper.ledger import Ledger
from lakebed.kinds.kind import ErasedRange
from lakebed.ports.catalog.erasures import ErasureRequests
from lakebed.ports.catalog.last_values import LastValueEraser
from lakebed.ports.erasure import Erasure
from lakebed.ports.journal.reading import Extents
from lakebed.queries import last_values
from lakebed.vocabulary.errors import StoreUnavailable, Unavailable
from lakebed.vocabulary.policy import Policy
from lakebed.vocabulary.times import UNSET
from lakebed.vocabulary.topics import is_wildcard, matches

_NEVER = 2**63 - 1
_PATIENCE = 30.0  # seconds a request waits for the keepers of all partitions
_LOOK = 0.05  # seconds between two looks at what they have done


def ask(
    store: ErasureRequests,
    journal: Extents,
    wanted: Erasure,
    *,
    wake: Callable[[], None] = lambda: None,
    stopping: Callable[[], bool] = lambda: False,
    patience: float = _PATIENCE,
) -> tuple[dict[int, int], int]:
    """Have the keepers, wherever they run, let go of what is about to be deleted from the series.

    Args:
        wake: told when there is something to do for keepers of this process.
        stopping: whether to wait no longer.

    Returns:
        the place of each partition below which nothing is written again, and how many last values
        were deleted.

    Raises:
        Unavailable: a keeper has too much to read before, or waits for a store, or there is none.
            The rows are all there; the same call may be made again.
    """
    ends = {partition: end for partition, (_, end) in journal.extent().items()}
    request = secrets.randbits(62)
    store.order_erasure(request, wanted, ends)
    try:
        wake()
        deadline = time.monotonic() + patience
        while ends.keys() - (found := store.erased(request)).keys():
            if stopping():
                raise Unavailable("the server is stopping")
            if time.monotonic() > deadline:
                missing = ", ".join(map(str, sorted(ends.keys() - found.keys())))
                raise Unavailable(
                    f"no keeper of partition {missing} has come so far yet: it has more to read"
                    " that was sent before, or waits for a store"
                )
            time.sleep(_LOOK)
    finally:
        with suppress(StoreUnavailable):  # it grows old there, and is removed
            store.withdraw(request)
    places = {partition: share.place for partition, share in found.items()}
    return places, sum(share.last for share in found.values())


def concerns(wanted: Erasure, policy: Policy) -> bool:
    return policy.owner == wanted.owner and wanted.policy in (None, policy.name)


def erased_range(wanted: Erasure, ledger: Ledger) -> ErasedRange:
    """The same in the small ints of a shard."""
    channels = frozenset(
        code
        for code, channel in enumerate(ledger.channels)
        if channel.owner == wanted.owner and _matches(wanted.topic, channel.topic)
    )
    start = UNSET if wanted.start is None else wanted.start
    return ErasedRange(channels, start, _NEVER if wanted.end is None else wanted.end)


def delete_last(store: LastValueEraser, wanted: Erasure, places: Mapping[int, int]) -> int:
    """Delete last values; before the keeper writes others, which older ones would shut out."""
    found = last_values.find(store, wanted.owner, wanted.topic, wanted.policy)
    return store.delete_last(
        [v for v in found if wanted.covers(v.time) and v.offset < places.get(v.partition, 0)]
    )


def _matches(filter: str, topic: str) -> bool:
    return matches(filter, topic) if is_wildcard(filter) else filter == topic
