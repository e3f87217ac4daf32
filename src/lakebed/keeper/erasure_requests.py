"""Requests to delete what was kept, and why a replay does not write it again.

    request ──orders in the catalog──> keepers ──> all have finished ──> delete
                    each: read all that was there ──> flush, erase, checkpoint, note the offset

What is deleted must never be written again. So the shards first read everything that was accepted
before the request. The tasks of the policies concerned flush, erase their windows, last values and
the state of their filters, and save a checkpoint. A replay begins behind its offset. Only then rows
are deleted, and only those below that offset: what arrives meanwhile stays.
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
_TIMEOUT = 30.0  # seconds a request waits for the keepers of all partitions
_LOOK = 0.05  # seconds between two looks at what they have done


def request_erasure(
    store: ErasureRequests,
    journal: Extents,
    wanted: Erasure,
    *,
    wake: Callable[[], None] = lambda: None,
    stopping: Callable[[], bool] = lambda: False,
    obstacle: Callable[[], str] = lambda: "",
    timeout: float = _TIMEOUT,
) -> tuple[dict[int, int], int]:
    """Have the keepers of all processes erase their state of the data to delete; wait for them.

    Args:
        wake: called when keepers of this process should check for orders.
        stopping: whether the process stops, which ends the wait.
        obstacle: why the stores cannot delete now, so that waiting is useless; else empty.
        timeout: seconds to wait for all keepers.

    Returns:
        for each partition the offset below which nothing is written again, and how many last
        values were deleted.

    Raises:
        Unavailable: a keeper has too much to read first, or waits for a store, or there is none.
            No row was deleted; the call can be repeated.
    """
    if found_obstacle := obstacle():
        raise Unavailable(f"nothing was deleted: {found_obstacle}")
    ends = {partition: end for partition, (_, end) in journal.extent().items()}
    request = secrets.randbits(62)
    store.order_erasure(request, wanted, ends)
    try:
        wake()
        deadline = time.monotonic() + timeout
        while ends.keys() - (found := store.erased(request)).keys():
            if stopping():
                raise Unavailable("the server is stopping")
            if found_obstacle := obstacle():
                raise Unavailable(f"nothing was deleted: {found_obstacle}")
            if time.monotonic() > deadline:
                missing = ", ".join(map(str, sorted(ends.keys() - found.keys())))
                raise Unavailable(
                    f"the keeper of partition {missing} has not erased it yet: it has to read"
                    " older messages first, waits for a store, or does not run; try again later"
                )
            time.sleep(_LOOK)
    finally:
        with suppress(StoreUnavailable):  # the catalog deletes an old order later
            store.withdraw(request)
    offsets = {partition: result.offset for partition, result in found.items()}
    return offsets, sum(result.last for result in found.values())


def concerns(wanted: Erasure, policy: Policy) -> bool:
    """Whether a policy may have kept what is to be deleted."""
    return policy.owner == wanted.owner and wanted.policy in (None, policy.name)


def erased_range(wanted: Erasure, ledger: Ledger) -> ErasedRange:
    """What an erasure covers, in the small ints of a partition's channels."""
    channels = frozenset(
        code
        for code, channel in enumerate(ledger.channels)
        if channel.owner == wanted.owner and _matches(wanted.topic, channel.topic)
    )
    start = UNSET if wanted.start is None else wanted.start
    return ErasedRange(channels, start, _NEVER if wanted.end is None else wanted.end)


def delete_last(store: LastValueEraser, wanted: Erasure, offsets: Mapping[int, int]) -> int:
    """Delete the last values below the given offset of each partition; returns how many.

    Called before the keeper writes further ones: an older value is refused while a newer one, which
    is to be deleted, is still there.
    """
    found = last_values.find(store, wanted.owner, wanted.topic, wanted.policy)
    return store.delete_last(
        [v for v in found if wanted.covers(v.time) and v.offset < offsets.get(v.partition, 0)]
    )


def _matches(filter: str, topic: str) -> bool:
    return matches(filter, topic) if is_wildcard(filter) else filter == topic
