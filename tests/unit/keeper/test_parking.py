"""Parked messages in a shard: counted, kept by no policy, held by the journal, released once."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.keeper.test_shard import ARCHIVE, NOW, World

from lakebed.ingest.building import BatchBuilder
from lakebed.keeper import parking
from lakebed.keeper.ledger import load
from lakebed.policies.outcomes import Outcome
from lakebed.vocabulary.attributes import Attributes, Coded
from lakebed.vocabulary.limits import PARKED, RELEASED
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.sparse import Sparse
from lakebed.vocabulary.times import HOUR, MINUTE, SECOND


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    made.policies(ARCHIVE)
    yield made
    made.catalog.close()


def send(
    world: World,
    *payloads: bytes,
    topic: str = "t",
    at: int = NOW,
    decision: str = "",
    value: str = "",
) -> None:
    builder = BatchBuilder()
    found = Attributes(decisions=((decision, value),)) if decision else Attributes()
    sparse = Sparse(attributes=Coded.constant(found, len(payloads)))
    builder.extend([Channel("anna", topic)] * len(payloads), payloads, at, sparse)
    asyncio.run(world.journal.append(builder.build()))


def totals(world: World) -> dict[Outcome, int]:
    return {outcome: n for outcome, n in load(world.catalog).totals.items() if n}


def test_parked_messages_count_as_over_quota_and_no_policy_sees_them(world: World) -> None:
    send(world, b"1", b"2")
    send(world, b"3", b"4", b"5", decision=PARKED, value="uuid-1")
    send(world, b"6")
    world.work_through(world.shard())
    assert totals(world) == {Outcome.KEPT: 3, Outcome.OVER_QUOTA: 3}
    assert world.series.kept() == {0: 1.0, 1: 2.0, 5: 6.0}
    (stretch,) = parking.load(world.catalog)
    assert (stretch.first, stretch.last, stretch.messages, stretch.bytes) == (2, 4, 3, 3)
    assert (stretch.topics, stretch.units, stretch.state) == (["t"], ["uuid-1"], "parked")


def test_a_replay_counts_and_parks_nothing_twice(world: World) -> None:
    send(world, b"1")
    send(world, b"2", decision=PARKED)
    shard = world.shard()
    world.adopt(shard)
    world.read(shard)
    for _ in range(3):  # crashes before anything is saved, then after
        world.work_through(world.shard())
    assert totals(world) == {Outcome.KEPT: 1, Outcome.OVER_QUOTA: 1}
    (stretch,) = parking.load(world.catalog)
    assert stretch.messages == 1


def test_the_journal_keeps_what_is_parked_and_what_is_let_go_of_no_longer(world: World) -> None:
    send(world, b"1", b"2")
    send(world, b"3", decision=PARKED)
    send(world, b"4", b"5")
    shard = world.shard()
    world.work_through(shard)
    assert shard.checkpoint(NOW) == 2
    assert shard.let_go("anna", 2, 2, 1, 1, "dropped")
    assert shard.checkpoint(NOW) == 5
    assert not shard.let_go("anna", 2, 2, 1, 1, "dropped")
    (gap,) = parking.load(world.catalog)
    assert (gap.state, gap.messages) == ("dropped", 1)
    assert totals(world)[Outcome.OVER_QUOTA] == 1


def test_a_copy_that_is_released_counts_instead_of_the_parked_one(world: World) -> None:
    send(world, b"30", b"4", decision=PARKED)
    send(world, b"30", b"4", decision=RELEASED, value="0:0")
    for _ in range(2):
        world.work_through(world.shard())
    assert totals(world) == {Outcome.KEPT: 2}
    assert load(world.catalog).sizes.sum() == 3
    assert world.series.kept() == {2: 30.0, 3: 4.0}


def test_a_stretch_ends_after_a_silence_or_when_it_gets_long(world: World) -> None:
    begin = NOW - NOW % (10 * MINUTE)
    for at in (0, 30 * SECOND, *range(2 * MINUTE, 15 * MINUTE, MINUTE)):
        send(world, b"1", at=begin + at, decision=PARKED)
    world.work_through(world.shard())
    found = parking.load(world.catalog)
    assert [stretch.messages for stretch in found] == [2, 8, 5]
    assert found[0].overlaps(begin, begin + 1)
    assert not found[0].overlaps(begin + MINUTE, None)
    assert not found[0].overlaps(None, begin)


def test_a_stretch_that_grew_after_an_order_stays_for_what_is_behind_it(world: World) -> None:
    send(world, b"1", b"22", decision=PARKED)
    send(world, b"333", decision=PARKED)
    shard = world.shard()
    world.work_through(shard)
    assert shard.let_go("anna", 0, 1, 2, 3, None)
    (rest,) = parking.load(world.catalog)
    assert (rest.first, rest.last, rest.messages, rest.bytes) == (2, 2, 1, 3)


def test_the_number_of_stretches_is_bounded(world: World) -> None:
    for n in range(parking.MOST + 20):
        send(world, b"1", at=NOW + n * HOUR, decision=PARKED)
    world.work_through(world.shard())
    found = parking.load(world.catalog)
    assert len(found) == parking.MOST
    assert sum(stretch.messages for stretch in found) == parking.MOST + 20
