"""The parts of a partition's checkpoint: told apart by name, and read as they were written."""

import pytest

from lakebed.ingest.building import BatchBuilder
from lakebed.ingest.keys import id_key, packet_key
from lakebed.keeper.state import PartitionState, SavedParts
from lakebed.ports.catalog.checkpoints import Checkpoint
from lakebed.vocabulary.messages import Channel, Entry
from lakebed.vocabulary.sparse import Sparse
from lakebed.vocabulary.times import HOUR, SECOND

NOW = 1_790_000_000 * SECOND
A = Channel("ann", "a")
KEYS = [id_key("ann", "a", "1"), packet_key("ann", "client", 7), id_key("ann", "a", "1")]


def entry(offset: int, keys: list[bytes]) -> Entry:
    builder = BatchBuilder()
    builder.extend([A] * len(keys), [b"x"] * len(keys), NOW, Sparse(keys=keys))
    return Entry(0, offset, builder.build())


def judged(state: PartitionState, *entries: Entry) -> list[bool]:
    counts = state.deduplicator.judge(entries)
    return [True] * sum(len(e.batch) for e in entries) if counts is None else counts.tolist()


def test_a_partition_that_was_never_saved_begins_at_its_beginning() -> None:
    state = PartitionState.decode((), HOUR)
    assert (state.begun, state.counted, state.tasks) == (False, 0, {})


def test_what_was_saved_is_taken_up_again() -> None:
    state = PartitionState.decode((), HOUR)
    assert judged(state, entry(0, KEYS)) == [True, True, False]
    state.ledger.identify([A])
    state.counted = 3
    task = Checkpoint("ann/all@1", 2, b"rows")
    parts, dropped = state.encode([task])
    assert dropped == []
    again = PartitionState.decode(parts, HOUR)
    assert (again.begun, again.counted, again.tasks) == (True, 3, {"ann/all@1": task})
    assert again.ledger.channels == [A]
    assert judged(again, entry(0, KEYS)) == [True, True, False]  # read again: as it was decided
    assert judged(again, entry(3, KEYS)) == [False, False, False]


def test_only_the_tasks_that_are_named_are_saved() -> None:
    state = PartitionState.decode((), HOUR)
    state.tasks = {"ann/all@1": Checkpoint("ann/all@1", 2, b"")}
    assert [part.part for part in state.encode([])[0]] == ["router"]


@pytest.mark.parametrize("name", ["once/all@1", "once:1/all@1", "router/all@1"])
def test_a_policy_may_be_named_as_other_parts_are(name: str) -> None:
    saved = SavedParts.of([Checkpoint(name, 5, b"")])
    assert list(saved.tasks) == [name]
    assert saved.counted == 0
