"""What a shard notes for relays: once, whatever is killed, and in one transaction with the state
that it came out of. The series is ours here; journal and catalog are real."""

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.outboxes import ARCHIVE, LAST, MINUTES, NOW, Crash, World

from lakebed.keeper import shard as shards
from lakebed.keeper.shard import Shard
from lakebed.outbox import outgoing as outgoings
from lakebed.outbox.blocks import decode
from lakebed.ports.catalog.outbox import Stream
from lakebed.ports.erasure import Erasure
from lakebed.vocabulary.times import HOUR, MINUTE, SECOND


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.catalog.close()


def begun(world: World, *documents: dict[str, Any]) -> Shard:
    world.policies(*documents)
    shard = world.shard()
    world.adopt(shard)
    return shard


def test_each_record_is_noted_with_the_checkpoint_and_not_before(world: World) -> None:
    world.follow("all", "kept")
    shard = begun(world, ARCHIVE)
    world.send(1, 2, 3)
    world.read(shard)
    shard.flush(NOW, final=True)
    assert world.noted("all") == []
    shard.checkpoint(NOW, final=True)
    assert [(row["offset"], row["number"]) for row in world.noted("all")] == [
        (0, 1),
        (1, 2),
        (2, 3),
    ]
    shard.checkpoint(NOW, final=True)
    assert len(world.noted("all")) == 3


def test_without_a_follower_nothing_is_noted(world: World) -> None:
    world.follow("other", "kept")
    shard = begun(world, ARCHIVE, MINUTES)
    world.send(1)
    world.turn(shard, final=True)
    assert world.noted("all") == world.noted("minute") == []
    assert all(task.outgoing is None for task in shard._tasks.values())


def test_a_relay_that_comes_and_goes_is_taken_up_with_the_policies(world: World) -> None:
    shard = begun(world, ARCHIVE)
    world.send(1)
    world.turn(shard, final=True)
    world.follow("all", "kept")
    world.adopt(shard)
    world.send(2)
    world.turn(shard, final=True)
    assert [row["number"] for row in world.noted("all")] == [2]
    world.follow("all", "changed")  # a second one; an archive never gives it anything
    world.catalog.unfollow("anna/all-kept/1")
    world.adopt(shard)
    world.send(3)
    world.turn(shard, final=True)
    assert [row["number"] for row in world.noted("all")] == [2]


def test_a_window_is_noted_once_it_has_ended_without_another_message(world: World) -> None:
    world.follow("minute", "finished")
    shard = begun(world, MINUTES)
    world.send(1, 2)
    world.turn(shard, NOW + 10 * SECOND)
    assert world.noted("minute") == []
    world.turn(shard, NOW + MINUTE)
    assert [(row["start"], row["complete"]) for row in world.noted("minute")] == [
        (NOW // SECOND, 1)
    ]
    world.turn(shard, NOW + 2 * MINUTE)
    assert len(world.noted("minute")) == 1
    world.send(3, received=NOW + 2 * MINUTE)  # late: it is given again
    world.turn(shard, NOW + 3 * MINUTE)
    assert len(world.noted("minute")) == 2


def test_of_changes_between_two_checkpoints_the_newest_is_noted(world: World) -> None:
    world.follow("minute", "changed")
    world.follow("last", "changed")
    shard = begun(world, MINUTES, LAST)
    for value in (1, 2, 3):
        world.send(value, topic="a")
        world.send(value + 10, topic="b")
        world.read(shard)
        shard.flush(NOW, final=True)
    shard.checkpoint(NOW, final=True)
    assert Counter(row["topic"] for row in world.noted("minute")) == {"a": 1, "b": 1}
    assert {row["topic"]: row["number"] for row in world.noted("last")} == {"a": 3, "b": 13}


def test_many_records_do_not_wait_for_a_checkpoint(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoings, "MOST_ROWS", 3)
    world.follow("all", "kept")
    shard = begun(world, ARCHIVE | {"buffer": "0s"})
    world.send(1)
    world.read(shard)
    shard.flush(NOW)
    shard.checkpoint(NOW)
    assert world.noted("all") == []
    world.send(2, 3)
    world.read(shard)
    shard.flush(NOW)
    shard.checkpoint(NOW)
    assert len(world.noted("all")) == 3


def test_a_deleted_policy_gives_what_waits_and_marks_its_open_windows(world: World) -> None:
    world.follow("minute", "finished")
    world.follow("all", "kept")
    shard = begun(world, MINUTES, ARCHIVE)
    world.send(1)
    world.read(shard)
    for name in ("minute", "all"):
        world.catalog.delete_policy("anna", name)
    world.adopt(shard, NOW + 10 * SECOND)
    assert [row["complete"] for row in world.noted("minute")] == [2]
    assert [row["number"] for row in world.noted("all")] == [1]


def test_a_new_version_goes_on_in_the_same_stream(world: World) -> None:
    world.follow("all", "kept")
    shard = begun(world, ARCHIVE)
    world.send(1)
    world.read(shard)
    world.policies(ARCHIVE | {"for": "1d"})
    world.adopt(shard)
    world.send(2)
    world.turn(shard, final=True)
    assert [row["number"] for row in world.noted("all")] == [1, 2]
    versions = world.catalog.outbox_blocks(Stream("anna", "all", 0), 0, 9)
    assert [decode(block).version for block in versions] == [1, 2]


def test_what_is_deleted_by_request_does_not_wait_either(world: World) -> None:
    world.follow("all", "kept")
    world.follow("minute", "changed")
    shard = begun(world, ARCHIVE, MINUTES)
    for topic in ("a/x", "b"):
        world.send(1, topic=topic)
        world.send(2, topic=topic, event=NOW + MINUTE)
    world.turn(shard, final=True)
    world.send(3, topic="a/y")  # in memory when the request comes
    world.read(shard)
    shard.erase(Erasure("anna", "a/#", start=NOW, end=NOW + MINUTE), NOW)
    kept = [(row["topic"], row["number"]) for row in world.noted("all")]
    assert kept == [("a/x", 2), ("b", 1), ("b", 2)]
    windows = {(row["topic"], row["start"] - NOW // SECOND) for row in world.noted("minute")}
    assert windows == {("a/x", 60), ("b", 0), ("b", 60)}
    assert world.catalog.outbox_extent(Stream("anna", "all", 0)) == (0, 5)
    shard.erase(Erasure("anna", "b", policy="minute"), NOW)
    assert len(world.noted("all")) == 3
    assert {row["topic"] for row in world.noted("minute")} == {"a/x"}


def test_a_task_that_poison_made_begin_again_notes_nothing_twice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.follow("all", "kept")
    shard = begun(world, ARCHIVE)
    world.send(1)
    world.read(shard)
    shard.flush(NOW, final=True)  # noted, and not saved
    world.send(666)
    absorb = shards.PolicyTask.absorb

    def poisoned(task: Any, chunk: Any) -> Any:
        if b"666" in [bytes(payload) for payload in chunk.payloads]:
            raise ZeroDivisionError
        return absorb(task, chunk)

    monkeypatch.setattr(shards.PolicyTask, "absorb", poisoned)
    world.turn(shard, final=True)
    assert [row["number"] for row in world.noted("all")] == [1]


@pytest.mark.parametrize("seed", range(6))
def test_whatever_statement_it_ends_at_each_record_is_noted_once(world: World, seed: int) -> None:
    chance = random.Random(seed)
    world.follow("all", "kept")
    world.follow("last", "changed")
    world.follow("minute", "finished")
    shard = begun(world, ARCHIVE, LAST, MINUTES)
    sent, now = 0, NOW
    values: dict[tuple[str, int], list[int]] = {}
    newest: dict[str, tuple[int, int]] = {}
    for _ in range(40):
        now += chance.randrange(30) * SECOND
        for topic in chance.sample("abc", chance.randrange(3)):
            at = now - chance.choice([0, 0, 0, MINUTE, HOUR])
            world.send(sent, topic=topic, event=at, received=now)
            values.setdefault((topic, at // MINUTE * 60), []).append(sent)
            newest[topic] = max(newest.get(topic, (0, 0)), (at, sent))
            sent += 1
        if chance.random() < 0.3:
            world.left = chance.randrange(40)
        try:
            world.turn(shard, now, final=chance.random() < 0.2)
            if chance.random() < 0.1:
                world.policies(MINUTES | {"buffer": f"{chance.randrange(9)}s"})
            if shard.replayed:
                world.adopt(shard, now)
        except Crash:
            world.left = None
            with suppress(Exception):
                shard = world.shard()
        world.left = None
    world.turn(shard, now + HOUR, final=True)
    assert [row["number"] for row in world.noted("all")] == list(range(sent))
    last = {row["topic"]: row["number"] for row in world.noted("last")}
    assert last == {topic: value for topic, (_, value) in newest.items()}
    finished = {(row["topic"], row["start"]) for row in world.noted("minute") if row["complete"]}
    assert finished == values.keys()
    # what a relay reads when it passes the last entry of a window on is the whole of it
    for (topic, start), numbers in values.items():
        rows = [row for key, row in world.rows.items() if key[:2] == (topic, start)]
        assert sum(row["sum"] for row in rows) == sum(numbers)
