"""The state of one partition, divided among those that its channels belong to from now on.

    checkpoint of one partition ──> ledger ──by channel──> a ledger for each partition
                               └──> lanes  ──by channel──> for each partition all lanes of them
                                    keys of messages ──> every partition

A ledger's channels are small ints, and lanes name channels by them: both get new ones. What counts
by policy and not by channel stands in the first partition, as sums over partitions are all anybody
reads. A key of a message does not tell its channel, so each partition knows all of them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from lakebed.keeper import ledger as ledgers
from lakebed.keeper.kinds.kind import Site
from lakebed.keeper.lane import Lane
from lakebed.keeper.ledger import Ledger
from lakebed.keeper.once import PART as ONCE
from lakebed.keeper.once import Once
from lakebed.keeper.shard import policy_of, stored_policy
from lakebed.messages import Channel, Ints
from lakebed.ports import Checkpoint, PolicyStore
from lakebed.settings import Settings


def split(
    parts: Sequence[Checkpoint],
    store: PolicyStore,
    settings: Settings,
    partition_of: Callable[[Channel], int],
    starts: Mapping[int, int],
    keys: Iterable[tuple[Sequence[bytes], Ints]] = (),
) -> dict[int, list[Checkpoint]]:
    """The checkpoints of the new partitions.

    Args:
        parts: of the former one, in which nothing is unread.
        settings: under which they were made.
        starts: for each new partition where it is read from; greater than every former offset,
            so that names and versions made of offsets go on growing.
        keys: under which messages were stored once, with when; in stretches.
    """
    known = {part.part: part for part in parts}
    router = known.pop(ledgers.PART, None)
    whole = Ledger() if router is None else Ledger.from_bytes(router.state)
    lanes = [part for name, part in known.items() if name.partition(":")[0] != ONCE]
    once = Once(settings.journal.id_horizon)
    for stretch, at in keys:
        once.note(stretch, at)
    remembered, _ = once.parts(0)
    place = np.array([partition_of(channel) for channel in whole.channels], np.int64)
    made: dict[int, list[Checkpoint]] = {}
    for partition, start in sorted(starts.items()):
        codes = np.flatnonzero(place == partition)
        own = whole.take(codes)
        if not made:
            own.policies = whole.policies
        numbers = np.full(len(place), -1, np.int32)
        numbers[codes] = np.arange(len(codes))
        moved = []
        for part in lanes:
            policy = policy_of(stored_policy(store, part.part), settings)
            if policy is not None:
                lane = Lane(Site(policy, partition, own.topics), start, settings.limits.future)
                lane.restore(part.state)
                lane.renumber(numbers)
                moved.append(lane.checkpoint())
        knows = [Checkpoint(part.part, start, part.state) for part in remembered]
        made[partition] = [ledgers.to_checkpoint(own, start), *moved, *knows]
    return made
