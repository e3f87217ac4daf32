"""The state of one partition, divided among those that its channels belong to from now on.

    checkpoint of one partition ──> ledger ──by channel──> a ledger for each partition
                               └──> tasks  ──by channel──> for each partition all tasks of them
                                    keys of messages ──> every partition

A ledger's channels are small ints, and tasks name channels by them: both get new ones. What counts
by policy and not by channel stands in the first partition, as sums over partitions are all anybody
reads. A key of a message does not tell its channel, so each partition knows all of them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from lakebed.consuming.deduplication import PART as ONCE
from lakebed.consuming.deduplication import Deduplicator
from lakebed.keeper import ledger as ledgers
from lakebed.keeper.ledger import Ledger
from lakebed.keeper.shard import policy_of, stored_policy
from lakebed.keeper.task import PolicyTask
from lakebed.kinds.kind import Site
from lakebed.ports import Checkpoint, PolicyStore
from lakebed.settings import Settings
from lakebed.vocabulary.messages import Channel, Ints


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
    tasks = [part for name, part in known.items() if name.partition(":")[0] != ONCE]
    deduplicator = Deduplicator(settings.journal.id_horizon)
    for chunk, at in keys:
        deduplicator.note(chunk, at)
    remembered, _ = deduplicator.parts(0)
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
        for part in tasks:
            policy = policy_of(stored_policy(store, part.part), settings)
            if policy is not None:
                task = PolicyTask(
                    Site(policy, partition, own.topics), start, settings.limits.future
                )
                task.restore(part.state)
                task.renumber(numbers)
                moved.append(task.checkpoint())
        knows = [Checkpoint(part.part, start, part.state) for part in remembered]
        made[partition] = [ledgers.to_checkpoint(own, start), *moved, *knows]
    return made
