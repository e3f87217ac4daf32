"""What a relay reads of a policy: the values that `GET /api/v1/records` answers, with ids that
stay. Catalog, journal and series are real."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.outboxes import ARCHIVE, LAST, MINUTES, NOW, Crash, World

from lakebed.keeper.shard import Shard
from lakebed.ports.catalog.outbox import Gives, Stream
from lakebed.ports.erasure import Erasure
from lakebed.ports.question import Question
from lakebed.ports.relays import Record
from lakebed.ports.series import Series
from lakebed.queries import choice, reading
from lakebed.relays.policy_source import PolicySource
from lakebed.vocabulary.times import DAY, HOUR, MINUTE, SECOND


@pytest.fixture
def world(tmp_path: Path, series: Series, request: pytest.FixtureRequest) -> Iterator[World]:
    made = World(tmp_path, series, request.node.name)
    yield made
    made.catalog.close()


def begun(world: World, *documents: dict[str, Any]) -> Shard:
    world.policies(*documents)
    shard = world.shard()
    world.adopt(shard)
    return shard


def source(world: World, policy: str, gives: Gives, partition: int = 0) -> PolicySource:
    stream = Stream(world.owner, policy, partition)
    return PolicySource(world.catalog, world.series, stream, gives)


def everything(found: PolicySource, limit: int = 7) -> list[Record]:
    """All records, read piece by piece."""
    offset, records = found.extent()[0], list[Record]()
    while (piece := found.read(offset, limit)).end > offset:
        assert list(piece.offsets) == sorted(piece.offsets)
        assert all(offset <= number < piece.end for number in piece.offsets)
        assert len(piece.records) <= limit
        records += piece.records
        offset = piece.end
    assert offset == found.extent()[1]
    return records


def answered(world: World, policy: str) -> list[dict[str, Any]]:
    """What `GET /api/v1/records` is made of."""
    question = Question(choice.choose(world.catalog, world.owner, ["#"], policy), "#")
    return reading.read(world.series, world.catalog, question).rows.to_pylist()


def test_records_have_the_value_that_was_kept(world: World) -> None:
    world.follow("all", "kept")
    shard = begun(world, ARCHIVE)
    world.send(*range(20), topic="a")
    world.turn(shard, final=True)
    found = everything(source(world, "all", "kept"))
    assert [record.values for record in found] == [{"value": float(n)} for n in range(20)]
    assert {(r.topic, r.time, r.what, r.policy, r.payload) for r in found} == {
        ("a", NOW, "kept", "all", None)
    }
    assert len({record.id for record in found}) == 20
    assert found == everything(source(world, "all", "kept"), 1000)


@pytest.mark.parametrize(
    ("type", "payload", "value"),
    [
        ("integer", b"9007199254740993", 9007199254740993),
        ("boolean", b"true", True),
        ("text", b"so", "so"),
        ("json", b'{"a": [1, 2.5, null]}', {"a": [1, 2.5, None]}),
    ],
)
def test_values_of_each_type(world: World, type: str, payload: bytes, value: object) -> None:
    world.follow("all", "kept")
    world.follow("last", "changed")
    shard = begun(world, ARCHIVE | {"type": type}, LAST | {"type": type})
    world.send_payloads(payload)
    world.turn(shard, final=True)
    for policy, gives in (("all", "kept"), ("last", "changed")):
        (record,) = everything(source(world, policy, gives))  # type: ignore[arg-type]
        assert record.values == {"value": value}


def test_fields_tell_the_series_of_a_message_apart(world: World) -> None:
    several = {"type": "number", "fields": {"t": "/t", "h": "/h"}}
    world.follow("all", "kept")
    world.follow("minute", "finished")
    shard = begun(world, ARCHIVE | several, MINUTES | several | {"functions": ["max"]})
    world.send_payloads(b'{"t": 1, "h": 5}', b'{"t": 2, "h": 4}')
    world.turn(shard, NOW + MINUTE, final=True)
    kept = everything(source(world, "all", "kept"))
    assert [(r.values["field"], r.values["value"]) for r in kept] == [
        ("t", 1), ("h", 5), ("t", 2), ("h", 4)
    ]  # fmt: skip
    assert len({record.id for record in kept}) == 4
    windows = everything(source(world, "minute", "finished"))
    assert {r.values["field"]: r.values["max"] for r in windows} == {"t": 2, "h": 5}


def test_a_finished_window_is_what_the_api_answers(world: World) -> None:
    functions = ["min", "avg", "p95", "increase", "stddev"]
    world.follow("minute", "finished")
    shard = begun(world, MINUTES | {"functions": functions})
    for topic in "ab":
        world.send(1, 2, 5, topic=topic)
    world.turn(shard, NOW + MINUTE)
    found = everything(source(world, "minute", "finished"))
    rows = [{k: v for k, v in row.items() if k not in ("cut", "late", "field")}
            for row in answered(world, "minute")]  # fmt: skip
    assert [{"topic": record.topic} | dict(record.values) for record in found] == rows
    names = ["start", "end", "complete", "count", *functions]
    assert [list(record.values) for record in found] == [names, names]
    assert [(record.time, record.what) for record in found] == [(NOW, "finished")] * 2


def test_late_data_gives_the_whole_window_again_with_another_id(world: World) -> None:
    world.follow("minute", "finished")
    shard = begun(world, MINUTES | {"functions": ["sum"]})
    world.send(1)
    world.turn(shard, NOW + MINUTE)
    (first,) = everything(source(world, "minute", "finished"))
    world.send(2, topic="other", received=NOW + HOUR)
    world.turn(shard, NOW + HOUR, final=True)  # the window leaves memory
    world.send(10, received=NOW + HOUR)
    world.turn(shard, NOW + HOUR + MINUTE)
    assert [row["late"] for row in answered(world, "minute") if row["topic"] == "t"] == [True]
    again = [r for r in everything(source(world, "minute", "finished")) if r.topic == "t"]
    # the entry from before reads the corrected window too: the same content, and the same id
    assert [(r.values["sum"], r.values["count"]) for r in again] == [(11, 2), (11, 2)]
    assert again[0].id == again[1].id != first.id
    assert again[0].time == first.time


def test_a_changed_window_shows_how_it_stands(world: World) -> None:
    world.follow("minute", "changed")
    shard = begun(world, MINUTES | {"functions": ["sum"]})
    found, offset, ids = source(world, "minute", "changed"), 0, set()
    for value, now, whole in ((1, NOW, False), (2, NOW, False), (3, NOW + MINUTE, True)):
        world.send(value)
        world.turn(shard, now + 5 * SECOND)
        piece = found.read(offset, 10)
        (record,) = piece.records
        assert (record.values["count"], record.values["complete"]) == (value, whole)
        ids.add(record.id)
        offset = piece.end
    assert len(ids) == 3


def test_open_windows_are_no_finished_ones(world: World) -> None:
    world.follow("minute", "finished", "changed")
    shard = begun(world, MINUTES)
    world.send(1)
    world.turn(shard, NOW + SECOND)
    found = source(world, "minute", "finished")
    assert found.extent() == (0, 1)
    assert (list(found.read(0, 10).records), found.read(0, 10).end) == ([], 1)


def test_a_window_of_several_partitions_is_finished_when_all_parts_are(world: World) -> None:
    world.follow("minute", "finished")
    shard = begun(world, MINUTES | {"functions": ["sum"]})
    world.send(1)
    world.turn(shard, NOW + MINUTE)
    beside = world.beside(1)  # it has a part of the same window
    other = beside.shard()
    beside.adopt(other)
    beside.send(5)
    beside.turn(other, NOW + 5 * SECOND)
    assert everything(source(world, "minute", "finished")) == []
    beside.turn(other, NOW + MINUTE)
    first, second = (everything(source(world, "minute", "finished", n)) for n in (0, 1))
    assert [r.values["sum"] for r in first + second] == [6, 6]
    assert first[0].id == second[0].id


def test_a_window_that_a_change_cut_short_is_passed_on_as_it_ended(world: World) -> None:
    world.follow("minute", "finished")
    shard = begun(world, MINUTES | {"functions": ["sum"]})
    world.send(1)
    world.read(shard)
    world.policies(MINUTES | {"functions": ["sum", "max"], "every": "1h"})
    world.adopt(shard, NOW + 10 * SECOND)
    (record,) = everything(source(world, "minute", "finished"))
    assert (record.values["complete"], record.values["sum"]) == (False, 1)
    assert record.values["max"] == 1  # functions are those of the newest version


def test_windows_of_a_type_that_the_policy_no_longer_has_are_read_where_they_lie(
    world: World,
) -> None:
    world.follow("minute", "finished")
    shard = begun(world, MINUTES | {"functions": ["sum"]})
    world.send(1)
    world.turn(shard, NOW + MINUTE)
    world.policies(MINUTES | {"type": "text", "functions": ["count"]})
    world.adopt(shard, NOW + MINUTE)
    world.catalog.delete_policy(world.owner, "minute")
    (record,) = everything(source(world, "minute", "finished"))
    assert record.values["sum"] == 1


def test_windows_that_are_gone_are_counted_and_passed_over(world: World) -> None:
    world.follow("minute", "finished")
    shard = begun(world, MINUTES | {"for": "1m"})  # of a time long ago
    world.send(1)
    world.turn(shard, NOW + MINUTE)
    found = source(world, "minute", "finished")
    assert everything(found) == []
    assert found.missed == 1


def test_what_was_deleted_by_request_is_not_passed_on(world: World) -> None:
    world.follow("all", "kept")
    shard = begun(world, ARCHIVE)
    for topic in ("a", "b", "a", "c"):
        world.send(1, topic=topic)
    world.turn(shard, final=True)
    found = source(world, "all", "kept")
    assert len(everything(found)) == 4  # now they are in the cache
    shard.erase(Erasure(world.owner, "a"), NOW)
    piece = found.read(0, 1)
    assert ([r.topic for r in piece.records], list(piece.offsets), piece.end) == (["b"], [1], 3)
    assert [record.topic for record in everything(found)] == ["b", "c"]


def test_the_lag_is_counted_in_records_and_trimming_keeps_the_rest(world: World) -> None:
    world.follow("all", "kept")
    shard = begun(world, ARCHIVE)
    for _ in range(3):
        world.send(1, 2)
        world.turn(shard, final=True)
    found = source(world, "all", "kept")
    assert found.waiting(1).records == 5
    found.trim(5)
    assert found.extent() == (4, 6)
    assert found.read(0, 10).offsets == [4, 5]
    assert found.waiting(6).records == 0
    assert (found.offset_at(0), found.offset_at(2**62)) == (4, 6)


@pytest.mark.parametrize("seed", range(4))
def test_every_window_arrives_with_the_values_of_a_reference(world: World, seed: int) -> None:
    """Random messages, late ones too, and crashes at any statement of a checkpoint. A relay that
    upserts by topic and start ends with what was sent; what it was sent twice has the same id."""
    chance = random.Random(seed)
    world.follow("minute", "finished")
    shard = begun(world, MINUTES | {"functions": ["sum", "max", "last"]})
    found = source(world, "minute", "finished")
    sent: dict[tuple[str, int], list[int]] = {}
    target: dict[tuple[str, int], tuple[float, int]] = {}
    contents: dict[str, object] = {}  # by id
    now, offset = NOW, 0
    for number in range(30):
        now += chance.randrange(60) * SECOND
        for topic in chance.sample("abc", chance.randrange(3)):
            at = now - chance.choice([0, 0, 0, MINUTE, HOUR])
            world.send(number, topic=topic, event=at, received=now)
            sent.setdefault((topic, at // MINUTE * MINUTE), []).append(number)
        if chance.random() < 0.3:
            world.left = chance.randrange(30)
        try:
            world.turn(shard, now)
        except Crash:
            shard = world.shard()
        world.left = None
        if number == 29:
            world.turn(shard, now + DAY)
        while (piece := found.read(offset, 3)).end > offset:
            for record in piece.records:
                values = dict(record.values)
                assert contents.setdefault(record.id, values) == values
                target[record.topic, record.time] = values["sum"], values["count"]
            if chance.random() < 0.9:  # else it dies before its position is saved
                offset = piece.end
    assert target == {name: (sum(values), len(values)) for name, values in sent.items()}
