"""Rows of one hour: exact whatever comes together, and bounded."""

import random

import numpy as np
import pytest

from lakebed.metering.partition import CONSUMER, CompleteSegments, PartitionMeter
from lakebed.metering.policy_sets import PolicySets
from lakebed.metering.segment import PolicySet, RowKey, Segment, of_rows
from lakebed.ports.catalog.checkpoints import Checkpoint
from lakebed.ports.catalog.ledger import LedgerSegment, SegmentKey
from lakebed.vocabulary.attributes import NO_ATTRIBUTES, Attributes, Coded
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.times import HOUR, MINUTE

NOON = 1_790_000_000_000_000 // HOUR * HOUR
KEPT, DROPPED = 0, 12


class World:
    """A meter, and a catalog of what it saved."""

    def __init__(self, most: int = 1000, topics: int = 10) -> None:
        self.channels = [Channel(f"owner{i % 2}", f"t{i}") for i in range(topics)]
        self.meter = PartitionMeter(3, self.channels, most)
        self.saved: dict[tuple[int, int], LedgerSegment] = {}
        self.counted = 0

    def count(
        self, channel: list[int], received: int | list[int] = NOON, units: list[str] | None = None,
        policies: dict[str, list[bool]] | None = None, size: int = 10,
    ) -> None:  # fmt: skip
        n = len(channel)
        sets = self.meter.start(n)
        for name, kept in (policies or {}).items():
            outcomes = np.where(np.array(kept), KEPT, DROPPED).astype(np.uint8)
            self.meter.deliver(sets, np.arange(n), name, outcomes)
        times = np.full(n, received) if isinstance(received, int) else np.array(received)
        attributes = None if units is None else Coded.of(Attributes(principal=u) for u in units)
        codes = np.array(channel, np.int32)
        self.meter.count(self.counted, codes, sets, np.full(n, size), times, attributes)
        self.counted += n

    def save(self) -> int:
        found = self.meter.unsaved()
        for segment in found:
            self.saved[segment.hour, segment.first] = segment
        self.meter.saved()
        return len(found)

    def rows(self) -> dict[tuple[int, str, str, str, PolicySet], tuple[int, int]]:
        found: dict[tuple[int, str, str, str, PolicySet], tuple[int, int]] = {}
        for stored in self.saved.values():
            segment = Segment(stored)
            assert stored.rows == len(segment.count)
            columns = (segment.owner, segment.unit, segment.topic, segment.policies)
            for i, (o, u, t, p) in enumerate(zip(*columns, strict=True)):
                key = (
                    segment.hour, segment.owners[o], segment.units[u], segment.topics[t],
                    segment.sets[p],
                )  # fmt: skip
                n, size = found.get(key, (0, 0))
                found[key] = n + int(segment.count[i]), size + int(segment.size[i])
        return found


def test_messages_are_counted_by_topic_unit_and_policies() -> None:
    world = World()
    world.count([0, 1, 0, 0], units=["a", "a", "b", "a"], policies={"p": [True, True, True, False]})
    world.save()
    kept, dropped = PolicySet(("p",), ("p",)), PolicySet(("p",))
    assert world.rows() == {
        (NOON, "owner0", "a", "t0", kept): (1, 10),
        (NOON, "owner0", "a", "t0", dropped): (1, 10),
        (NOON, "owner1", "a", "t1", kept): (1, 10),
        (NOON, "owner0", "b", "t0", kept): (1, 10),
    }


def test_a_message_counts_in_the_hour_in_which_it_was_received() -> None:
    world = World()
    world.count([0, 0, 0], [NOON + HOUR - 1, NOON + HOUR, NOON - 1])
    world.save()
    assert {key[0]: n for key, (n, _) in world.rows().items()} == {
        NOON - HOUR: 1, NOON: 1, NOON + HOUR: 1,
    }  # fmt: skip


def test_only_what_changed_is_saved_and_an_hour_that_is_over_leaves_memory() -> None:
    world = World()
    world.count([0])
    assert (world.save(), world.save()) == (1, 0)
    world.count([0], NOON + HOUR + 6 * MINUTE)
    assert world.save() == 1
    assert world.meter.rows == 1
    world.count([0])  # late: in a segment of its own
    world.save()
    assert world.rows()[NOON, "owner0", "", "t0", PolicySet()] == (2, 20)


class Saved:
    """The parts that were saved last, as the catalog gives them back."""

    def __init__(self) -> None:
        self.parts: list[Checkpoint] = []

    def checkpoints(self, consumer: str) -> dict[int, list[Checkpoint]]:
        assert consumer == CONSUMER
        return {3: self.parts}


@pytest.mark.parametrize("seed", range(3))
def test_a_complete_segment_is_never_written_again(seed: int) -> None:
    """Over late hours, saves that are lost, and workers that take over where the last one saved."""
    dice = random.Random(seed)
    world, store = World(), Saved()
    complete: set[SegmentKey] = set()
    saved, now = 0, NOON
    for _ in range(120):
        now += dice.choice((0, MINUTE, 20 * MINUTE, 3 * HOUR))
        world.count([0], now - dice.choice((0, 0, 0, HOUR, 5 * HOUR)))
        if dice.random() < 0.6:
            parts = world.meter.take_open(world.counted)
            before = dict(world.saved)
            world.save()
            assert not {s.key for s in world.saved.values() if s not in before.values()} & complete
            store.parts, saved = parts or store.parts, world.counted
            found = CompleteSegments(store)
            complete = {s.key for s in world.saved.values() if s.key in found}
        elif dice.random() < 0.2:
            world.meter = PartitionMeter(3, world.channels, 1000)
            world.counted = saved
    assert len(complete) > len(world.saved) - 10 > 20


def test_topics_beyond_the_bound_are_counted_together_and_sums_stay_exact() -> None:
    world = World(most=4, topics=100)
    world.count(list(range(100)), units=[f"u{i % 50}" for i in range(100)])
    world.count(list(range(100)), units=[f"u{i % 50}" for i in range(100)])
    assert world.meter.rest == 2 * 96
    world.save()
    rows = world.rows()
    assert len(rows) <= 4 + 2 + 2
    assert sum(n for n, _ in rows.values()) == 200
    for owner in ("owner0", "owner1"):
        assert sum(n for key, (n, _) in rows.items() if key[1] == owner) == 100
    assert rows[NOON, "owner0", "u0", "t0", PolicySet()] == (2, 20)
    assert rows[NOON, "owner1", "", "", PolicySet()][0] > 0


def test_messages_without_attributes_have_no_unit() -> None:
    world = World()
    world.meter.count(
        0, np.array([0, 0], np.int32), world.meter.start(2), np.ones(2, np.int64),
        np.full(2, NOON), Coded.of([NO_ATTRIBUTES, Attributes(principal="token:x")]),
    )  # fmt: skip
    world.save()
    assert sorted(key[2] for key in world.rows()) == ["", "token:x"]


@pytest.mark.parametrize("bound", ["units", "sets"])
def test_many_names_end_the_segments_and_nothing_is_lost(
    bound: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lakebed.metering.partition._FEW", 3)
    world = World()
    for i in range(20):
        units = [f"u{i}"] if bound == "units" else None
        world.count([0], units=units, policies={f"p{i if bound == 'sets' else 0}": [True]})
        if i % 7 == 0:
            world.save()
    world.save()
    assert len(world.saved) > 3
    assert sum(n for n, _ in world.rows().values()) == 20
    assert len({key[2:] for key in world.rows()}) == 20


@pytest.mark.parametrize("seed", range(5))
def test_sets_of_policies_are_those_of_each_message_alone(seed: int) -> None:
    dice = np.random.default_rng(seed)
    sets, n = PolicySets(), 50
    codes = np.zeros(n, np.int32)
    met: list[set[str]] = [set() for _ in range(n)]
    kept: list[set[str]] = [set() for _ in range(n)]
    for policy in "abcd":
        index = np.flatnonzero(dice.random(n) < 0.7) if seed else np.arange(n)
        outcomes = np.where(dice.random(len(index)) < 0.5, KEPT, DROPPED).astype(np.uint8)
        sets.extend(codes, index, policy, outcomes)
        for row, outcome in zip(index.tolist(), outcomes.tolist(), strict=True):
            met[row].add(policy)
            if outcome == KEPT:
                kept[row].add(policy)
    expected = [
        PolicySet(tuple(sorted(m)), tuple(sorted(k))) for m, k in zip(met, kept, strict=True)
    ]
    assert [sets.sets[code] for code in codes.tolist()] == expected


def test_a_segment_of_few_rows_is_read_back() -> None:
    rows = {RowKey("ann", "token:x", "a/#", "p"): [2, 2**40], RowKey("eve", "", "a/#"): [1, 5]}
    segment = Segment(of_rows(NOON, "out", "w", 1, rows))
    assert (segment.count.tolist(), segment.size.tolist()) == ([2, 1], [2**40, 5])
    assert [segment.sets[code].met for code in segment.policies] == [("p",), ()]
    assert [segment.topics[code] for code in segment.topic] == ["a/#", "a/#"]
