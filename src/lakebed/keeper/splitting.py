"""Splits the state of one partition among several, to which its channels belong from now on.

    checkpoint of one partition ──> ledger ──by channel──> a ledger for each partition
                               └──> tasks  ──by channel──> for each partition all tasks of them
                                    keys of messages ──> every partition

Channels are small ints in a ledger and in the state of tasks, and get new ones in each partition.
Counts by policy all go to the first partition, since readers add up partitions. A message's key
does not tell its channel, so each partition gets all keys.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from lakebed.consuming.deduplication import Deduplicator
from lakebed.keeper.settings import KeeperSettings
from lakebed.keeper.state import PartitionState
from lakebed.keeper.task import TaskFactory
from lakebed.keeper.versions import PolicyVersions
from lakebed.ports.catalog.checkpoints import Checkpoint
from lakebed.ports.catalog.policies import PolicyVersionReader
from lakebed.vocabulary.messages import Channel, Codes, Ints
from lakebed.vocabulary.policy import Policy


def split(
    parts: Sequence[Checkpoint],
    store: PolicyVersionReader,
    settings: KeeperSettings,
    partition_of: Callable[[Channel], int],
    starts: Mapping[int, int],
    keys: Iterable[tuple[Sequence[bytes], Ints]] = (),
    seen: Sequence[Checkpoint] = (),
    former: int | None = None,
) -> dict[int, list[Checkpoint]]:
    """The checkpoints of the new partitions.

    Args:
        parts: of the former one, in which nothing is unread.
        settings: under which they were made.
        starts: for each new partition the offset to read from; greater than every former offset,
            so that names and versions made of offsets go on growing.
        keys: of messages stored in the former journal, in chunks, with the time of each.
        seen: the parts of the former one's deduplicator, instead of `keys`.
        former: the number of the former one, where it goes on as one of the new ones and its rows
            stay as they are. A window's row names its partition, so that of another one cannot
            replace it: windows that are open end in the former one, whatever channel they are of,
            and what comes of them elsewhere are fragments.
    """
    horizon = settings.journal.id_horizon
    whole = PartitionState.decode(parts, horizon)
    deduplicator = Deduplicator(horizon)
    for piece, at in keys:
        deduplicator.note(piece, at)
    versions = PolicyVersions(store, settings.keeper.timezone)
    policies = {part: versions.find(part) for part in whole.tasks}
    partitions = np.array([partition_of(channel) for channel in whole.ledger.channels], np.int64)
    made: dict[int, list[Checkpoint]] = {}
    for partition, start in sorted(starts.items()):
        codes = np.flatnonzero(partitions == partition)
        ledger = whole.ledger.take(codes)
        if not made:
            ledger.policies, ledger.fields = whole.ledger.policies, whole.ledger.fields
        numbers = np.full(len(partitions), -1, np.int32)
        numbers[codes] = np.arange(len(codes))
        windows = numbers
        if partition == former:
            others = np.flatnonzero(numbers < 0)
            windows = numbers.copy()
            windows[others] = ledger.identify([whole.ledger.channels[i] for i in others.tolist()])
        elif former is not None:
            windows = np.full_like(numbers, -1)
        factory = TaskFactory(partition, ledger.topics, settings.limits.future)
        tasks = [
            _moved(factory, policy, whole.tasks[part], start, numbers, windows)
            for part, policy in policies.items()
            if policy is not None
        ]
        made[partition], _ = PartitionState(ledger, deduplicator, start).encode(tasks)
        made[partition] += [replace(part, offset=start) for part in seen]
    return made


def _moved(
    factory: TaskFactory,
    policy: Policy,
    part: Checkpoint,
    start: int,
    numbers: Codes,
    windows: Codes,
) -> Checkpoint:
    task = factory.restored(policy, replace(part, offset=start))
    task.renumber(numbers, windows)
    return task.checkpoint()
