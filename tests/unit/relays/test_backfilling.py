"""What a backfill reads of the past: in order of topic and time, page by page, with the ids that
the records have anyway. Catalog, journal and series are real."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.outboxes import ARCHIVE, LAST, MINUTES, NOW, World

from lakebed.ports.catalog.backfills import Backfill
from lakebed.ports.catalog.outbox import Gives, Stream
from lakebed.ports.erasure import Erasure
from lakebed.ports.relays import Record
from lakebed.ports.series import Series
from lakebed.relays import backfilling
from lakebed.relays.backfilling import Backfilling
from lakebed.relays.policy_source import PolicySource
from lakebed.vocabulary.times import MINUTE, SECOND


@pytest.fixture
def world(tmp_path: Path, series: Series, request: pytest.FixtureRequest) -> Iterator[World]:
    made = World(tmp_path, series, request.node.name)
    yield made
    made.catalog.close()


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfilling, "_PAGE", 4)


def filled(world: World, *documents: dict[str, Any]) -> None:
    """Twelve messages on three topics, before anybody follows the policy."""
    world.policies(*documents)
    shard = world.shard()
    world.adopt(shard)
    for n in range(12):
        world.send(n, topic="abc"[n % 3], event=NOW + n * 20 * SECOND)
    world.turn(shard, NOW + 10 * MINUTE, final=True)


def begin(world: World, policy: str, gives: Gives, since: int = 0) -> Backfill:
    world.follow(policy, gives)
    relay = f"{world.owner}/{policy}-{gives}/1"
    wanted = Backfill(relay, world.owner, "r", 0, policy, gives, since, NOW + 100 * MINUTE)
    return world.catalog.begin_backfill(wanted)


def read(world: World, backfill: Backfill) -> list[Record]:
    source = PolicySource(world.catalog, world.series, backfill.stream, backfill.gives)
    offset, records = source.extent()[0], list[Record]()
    while (piece := source.read(offset, 100)).end > offset:
        records += piece.records
        offset = piece.end
    return records


def run(world: World) -> None:
    reading = Backfilling(world.catalog, world.series)
    while reading.step():
        pass


def test_records_come_in_order_of_topic_and_time_with_their_ids(world: World) -> None:
    world.follow("all", "kept")
    filled(world, ARCHIVE)
    backfill = begin(world, "all", "kept", since=NOW + SECOND)
    run(world)
    found = read(world, backfill)
    assert [(r.topic, r.values["value"]) for r in found] == [
        ("a", 3), ("a", 6), ("a", 9), ("b", 1), ("b", 4), ("b", 7), ("b", 10),
        ("c", 2), ("c", 5), ("c", 8), ("c", 11),
    ]  # fmt: skip
    live = PolicySource(world.catalog, world.series, Stream(world.owner, "all", 0), "kept")
    of_live = {record.id: record.values for record in live.read(0, 100).records}
    assert all(of_live[record.id] == record.values for record in found)
    (after,) = world.catalog.backfills()
    assert (after.records, after.topics, after.topics_done, after.read) == (11, 3, 3, True)
    assert not after.delivered


def test_windows_and_last_values_are_passed_on_as_they_are(world: World) -> None:
    filled(world, MINUTES | {"functions": ["sum"]}, LAST)
    windows, values = begin(world, "minute", "finished"), begin(world, "last", "changed")
    run(world)
    sums: dict[tuple[str, int], float] = {}
    for n in range(12):
        key = "abc"[n % 3], n * 20 // 60
        sums[key] = sums.get(key, 0) + n
    found = [(r.topic, (r.time - NOW) // MINUTE, r.values["sum"]) for r in read(world, windows)]
    assert found == [(*key, sums[key]) for key in sorted(sums)]
    assert [(r.topic, r.values["value"]) for r in read(world, values)] == [
        ("a", 9), ("b", 10), ("c", 11)
    ]  # fmt: skip


def test_another_process_goes_on_where_one_was_killed(world: World) -> None:
    filled(world, ARCHIVE)
    backfill = begin(world, "all", "kept")
    now = [1]
    first = Backfilling(world.catalog, world.series, lambda: now[0])
    assert first.step()
    assert world.catalog.claim_backfill(now[0], 10 * MINUTE) is not None  # it was killed with it
    second = Backfilling(world.catalog, world.series, lambda: now[0])
    assert not second.step()
    now[0] = 11 * MINUTE
    while second.step():
        pass
    records = read(world, backfill)
    assert [record.values["value"] for record in records] == [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11]


def test_it_waits_while_much_is_not_delivered_and_ends_when_all_is(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfilling, "_MOST_WAITING", 5)
    filled(world, ARCHIVE)
    backfill = begin(world, "all", "kept")
    run(world)
    assert len(read(world, backfill)) == 8
    run(world)
    assert len(read(world, backfill)) == 8
    world.catalog.trim_outbox(backfill.stream, 8)
    run(world)
    assert [record.topic for record in read(world, backfill)] == ["c"] * 4
    world.catalog.trim_outbox(backfill.stream, 12)
    run(world)
    (after,) = world.catalog.backfills()
    assert (after.read, after.delivered, after.records) == (True, True, 12)


def test_one_that_is_cancelled_leaves_nothing(world: World) -> None:
    filled(world, ARCHIVE)
    backfill = begin(world, "all", "kept")
    reading = Backfilling(world.catalog, world.series)
    assert reading.step()
    world.catalog.cancel_backfill(backfill.relay)
    assert not reading.step()
    assert world.catalog.outbox_extent(backfill.stream) == (0, 0)


def test_what_is_deleted_by_request_does_not_wait_in_a_backfill(world: World) -> None:
    filled(world, ARCHIVE)
    backfill = begin(world, "all", "kept")
    run(world)
    shard = world.shard()
    shard.erase(Erasure(world.owner, "b"), NOW)
    assert {record.topic for record in read(world, backfill)} == {"a", "c"}


def test_one_whose_policy_changed_its_kind_is_given_up_and_says_so(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfilling, "_PAGE", 3)  # it stands within a topic
    filled(world, ARCHIVE)
    begin(world, "all", "kept")
    reading = Backfilling(world.catalog, world.series)
    assert reading.step()
    world.policies(MINUTES | {"name": "all"})
    while reading.step():
        pass
    (after,) = world.catalog.backfills()
    assert "cannot be read on" in after.error
    assert not after.delivered
