"""Who comes later under a key does not count; and replay decides as the first run did."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakebed.consuming import deduplication as module
from lakebed.consuming import seen_keys
from lakebed.consuming.deduplication import Deduplicator
from lakebed.ingest.building import BatchBuilder
from lakebed.ports.catalog.checkpoints import Checkpoint
from lakebed.vocabulary.messages import Channel, Entry
from lakebed.vocabulary.sparse import Sparse
from lakebed.vocabulary.times import HOUR

A = Channel("ann", "a")


def entry(
    offset: int, keys: Sequence[bytes] | None, received: int = HOUR, release: Sequence[bytes] = ()
) -> Entry:
    builder = BatchBuilder()
    n = 0 if keys is None else len(keys)
    builder.extend([A] * n, [b"x"] * n, received, Sparse(keys=keys))
    return Entry(0, offset, builder.build(), 5, release)


def verdict(deduplicator: Deduplicator, *entries: Entry) -> list[bool]:
    counts = deduplicator.judge(entries)
    total = sum(len(each.batch) for each in entries)
    return [True] * total if counts is None else counts.tolist()


def saved(deduplicator: Deduplicator, store: dict[str, Checkpoint], floor: int = 0) -> None:
    """As a shard does it, in one transaction."""
    parts, dropped = deduplicator.parts(floor)
    for name in dropped:
        del store[name]
    store.update({part.part: part for part in parts})
    deduplicator.saved()


def restored(store: dict[str, Checkpoint], offset: int) -> Deduplicator:
    deduplicator = Deduplicator(HOUR)
    assert all(map(module.is_part, store))
    deduplicator.restore(store, offset)
    return deduplicator


def test_messages_without_keys_all_count_and_leave_nothing_to_save() -> None:
    deduplicator = Deduplicator(HOUR)
    builder = BatchBuilder()
    builder.extend([A], [b"x"], 1)
    assert deduplicator.judge([Entry(0, 0, builder.build())]) is None
    assert deduplicator.parts(0) == ([], [])


@pytest.mark.parametrize("key", [b"k", b"i\0k"])
def test_a_key_counts_once_in_an_entry_and_across_entries(key: bytes) -> None:
    deduplicator = Deduplicator(HOUR)
    assert verdict(deduplicator, entry(0, [key, b"", key, b""])) == [True, True, False, True]
    assert verdict(deduplicator, entry(10, [key]), entry(20, [key, b""])) == [False, False, True]


@pytest.mark.parametrize("key", [b"k", b"i\0k"])
def test_a_key_counts_anew_behind_the_horizon(key: bytes) -> None:
    deduplicator = Deduplicator(HOUR)
    assert verdict(deduplicator, entry(0, [key], received=0)) == [True]
    assert verdict(deduplicator, entry(10, [key], received=HOUR)) == [False]
    assert verdict(deduplicator, entry(20, [key], received=HOUR + 1)) == [True]
    assert verdict(deduplicator, entry(30, [key], received=HOUR + 2)) == [False]


def test_a_forgotten_key_counts_anew_behind_the_entry_that_forgets() -> None:
    deduplicator = Deduplicator(HOUR)
    assert verdict(deduplicator, entry(0, [b"k"])) == [True]
    assert verdict(deduplicator, entry(10, [b"k"], release=[b"k"])) == [False]
    assert verdict(deduplicator, entry(20, [b"k"])) == [True]


def test_what_is_read_again_is_decided_as_before_though_its_key_was_forgotten_since() -> None:
    log = [
        entry(0, [b"k", b"i\0a"]),
        entry(10, [b"k", b"i\0a", b"i\0b"]),
        entry(20, None, release=[b"k"]),
        entry(30, [b"k", b"i\0b"]),
    ]
    deduplicator = Deduplicator(HOUR)
    first = [verdict(deduplicator, each) for each in log]
    store: dict[str, Checkpoint] = {}
    saved(deduplicator, store)
    again = restored(store, log[-1].end)
    assert [verdict(again, each) for each in log] == first
    assert verdict(again, entry(40, [b"k", b"i\0a", b"i\0c"])) == [False, False, True]


def test_doubles_that_are_not_read_again_are_let_go() -> None:
    deduplicator = Deduplicator(HOUR)
    deduplicator.judge([entry(0, [b"k", b"k"]), entry(10, [b"k"])])
    store: dict[str, Checkpoint] = {}
    saved(deduplicator, store, floor=5)
    counts = deduplicator.recall([entry(0, [b"k", b"k"]), entry(10, [b"k"])])
    assert counts is not None
    assert counts.tolist() == [True, True, False]


@pytest.mark.parametrize("name", ["router", "once/all@1", "once:1/all@1", "once:"])
def test_other_parts_of_a_checkpoint_are_not_taken_for_keys(name: str) -> None:
    assert not module.is_part(name)


def test_a_checkpoint_writes_only_the_segments_that_are_new() -> None:
    deduplicator = Deduplicator(HOUR)
    store: dict[str, Checkpoint] = {}
    deduplicator.judge([entry(0, [b"i\0%d" % i for i in range(4000)])])
    saved(deduplicator, store)
    deduplicator.judge([entry(10_000, [b"i\0new"])])
    parts, dropped = deduplicator.parts(0)
    assert sum(len(part.state) for part in parts) < 500
    assert dropped == []


@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from([b"", b"k", b"l", b"i\0a", b"i\0b", b"i\0c"]), max_size=6),
            st.lists(st.sampled_from([b"k", b"l"]), max_size=1),
            st.booleans(),
        ),
        max_size=12,
    )
)
def test_it_decides_as_a_set_would_whenever_it_is_saved_and_restored(
    steps: list[tuple[list[bytes], list[bytes], bool]],
) -> None:
    deduplicator, store, seen = Deduplicator(HOUR), dict[str, Checkpoint](), set[bytes]()
    log: list[tuple[Entry, list[bool]]] = []
    for number, (keys, released, crash) in enumerate(steps):
        expected = []
        for key in keys:
            expected.append(key not in seen)
            seen |= {key} - {b""}
        seen -= set(released)
        each = entry(number * 100, keys, release=released)
        log.append((each, expected))
        assert verdict(deduplicator, each) == expected
        if crash:
            saved(deduplicator, store)
            deduplicator = restored(store, each.end)
            for past, decided in log:
                assert verdict(deduplicator, past) == decided


def test_many_ids_stay_in_few_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen_keys, "_FULL", 2000)
    deduplicator, store = Deduplicator(HOUR), dict[str, Checkpoint]()
    for step in range(100):
        deduplicator.judge([entry(step * 1000, [b"i\0%d" % (step * 100 + i) for i in range(100)])])
        saved(deduplicator, store)
    assert len(store) < 25
    again = restored(store, 100_000)
    ids = [b"i\0%d" % i for i in range(10_000)]
    assert not any(verdict(again, entry(200_000, ids)))


def test_ids_older_than_the_horizon_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_EXPIRE_EVERY", 1)
    deduplicator, store = Deduplicator(HOUR), dict[str, Checkpoint]()
    deduplicator.judge([entry(0, [b"i\0a", b"k"], received=0)])
    saved(deduplicator, store)
    deduplicator.judge([entry(10, [b"i\0%d" % i for i in range(3)], received=3 * HOUR)])
    saved(deduplicator, store)
    assert set(store) == {"once", "once:2"}
