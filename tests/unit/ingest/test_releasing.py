"""Parked messages that are released: kept as if they had come in time, and once, over crashes."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.keeper.test_parking import send, totals
from tests.unit.keeper.test_shard import ARCHIVE, NOW, World

from lakebed.consuming.assignment import PartitionAssignment
from lakebed.ingest.intake import Intake
from lakebed.ingest.releasing import Releasing
from lakebed.keeper import parking
from lakebed.keeper.parked_orders import ParkedStretches
from lakebed.keeper.shard import Shard
from lakebed.policies.outcomes import Outcome
from lakebed.ports.catalog.parking import ParkedOrder, Wish
from lakebed.vocabulary.errors import StoreUnavailable
from lakebed.vocabulary.limits import PARKED
from lakebed.vocabulary.times import DAY, HOUR

SHORT = {"name": "short", "topics": ["t"], "type": "number", "keep": "archive", "for": "1h"}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    made.policies(ARCHIVE)
    yield made
    made.catalog.close()


def order(world: World, wish: Wish = "release") -> None:
    world.catalog.order_parked(
        [
            ParkedOrder(s.owner, s.partition, s.first, s.last, s.messages, s.bytes, wish)
            for s in parking.load(world.catalog, "anna")
            if s.state == "parked"
        ]
    )


def release(world: World, dies: bool = False) -> None:
    """Carry out all releases; where it dies, no progress is written down."""

    async def work() -> None:
        intake = Intake(world.journal, on_fatal=pytest.fail)
        await intake.start()
        releasing = Releasing(world.catalog, world.journal, intake)
        advance = world.catalog.advance_release
        if dies:
            world.catalog.advance_release = _refuse  # type: ignore[method-assign]
        try:
            while await releasing.work():
                pass
        except StoreUnavailable:
            assert dies
        finally:
            world.catalog.advance_release = advance  # type: ignore[method-assign]
            await intake.stop()

    asyncio.run(work())


def _refuse(*_: Any, **__: Any) -> None:
    raise StoreUnavailable("the process died")


class Assigned:
    """A keeper that has one partition."""

    def __init__(self, shard: Shard) -> None:
        self.workers = {0: shard}

    def with_worker(self, partition: int, work: Any) -> Any:
        return work(self.workers[partition])


def settle(world: World, shard: Shard, parked_for: int = DAY) -> None:
    assigned: PartitionAssignment[Shard] = Assigned(shard)  # type: ignore[assignment]
    chore = ParkedStretches(world.catalog, world.journal, assigned, world.retry, HOUR, parked_for)
    chore.after_write(NOW, caught_up=True)


def test_what_is_released_is_kept_with_its_old_times_and_counted_once(world: World) -> None:
    world.policies(ARCHIVE, SHORT)  # two hours later everything would be late for it
    send(world, b"1")
    send(world, b"2", b"3", at=NOW + 5, decision=PARKED, value="uuid-1")
    shard = world.shard()
    world.work_through(shard)
    order(world)
    release(world)
    world.work_through(shard)
    assert totals(world) == {Outcome.KEPT: 3}
    rows = [row for table, row in world.series.rows]
    assert sorted((row["policy"], row["number"]) for row in rows) == [
        (policy, number) for policy in ("all", "short") for number in (1.0, 2.0, 3.0)
    ]  # fmt: skip
    assert {row["time"].timestamp() for row in rows} <= {NOW / 1e6, (NOW + 5) / 1e6}
    settle(world, shard)
    assert parking.load(world.catalog, "anna") == []
    assert world.catalog.parked_orders() == []


def test_a_crash_in_a_release_stores_nothing_twice(world: World) -> None:
    send(world, b"1", b"2", decision=PARKED)
    shard = world.shard()
    world.work_through(shard)
    order(world)
    release(world, dies=True)
    world.work_through(world.shard())
    (waiting,) = world.catalog.parked_orders()
    assert not waiting.done
    world.catalog.advance_release(waiting, waiting.next, False, 0)  # its lease is over
    release(world)
    for _ in range(2):
        world.work_through(world.shard())
    found = totals(world)
    duplicates = found.pop(Outcome.DUPLICATES, 0)
    assert found == {Outcome.KEPT: 2}
    assert duplicates == 2
    assert len(world.series.kept()) == 2


def test_only_what_is_parked_of_the_owner_is_released_and_once_where_it_stands_twice(
    world: World,
) -> None:
    send(world, b"1", decision=PARKED)
    send(world, b"2")
    send(world, b"3", decision=PARKED)
    shard = world.shard()
    world.work_through(shard)
    order(world)
    send(world, b"4", decision=PARKED)  # after the order
    release(world)
    world.work_through(shard)
    assert totals(world) == {Outcome.KEPT: 3, Outcome.OVER_QUOTA: 1}
    settle(world, shard)
    (rest,) = parking.load(world.catalog, "anna")
    assert (rest.first, rest.messages) == (3, 1)


def test_what_is_dropped_leaves_a_gap_and_stays_counted(world: World) -> None:
    send(world, b"1", decision=PARKED)
    shard = world.shard()
    world.work_through(shard)
    order(world, "drop")
    release(world)
    settle(world, shard)
    (gap,) = parking.load(world.catalog, "anna")
    assert gap.state == "dropped"
    assert totals(world) == {Outcome.OVER_QUOTA: 1}
    assert shard.checkpoint(NOW) == 1


def test_what_is_parked_for_too_long_expires_and_the_journal_lets_it_go(world: World) -> None:
    send(world, b"1", decision=PARKED)
    shard = world.shard()
    world.work_through(shard)
    settle(world, shard, parked_for=2**60)
    assert parking.load(world.catalog, "anna")[0].state == "parked"
    settle(world, shard, parked_for=-(2**60))
    assert parking.load(world.catalog, "anna")[0].state == "expired"
    assert shard.checkpoint(NOW) == 1
