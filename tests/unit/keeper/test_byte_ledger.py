"""The keeper counts each message once in the byte ledger, whatever it replays."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.keyed import KeyedSeries
from tests.shards import claimed_shard

from lakebed.ingest.building import BatchBuilder
from lakebed.keeper.ledger import load
from lakebed.keeper.sampling import sample
from lakebed.keeper.shard import Shard
from lakebed.kinds import TABLES
from lakebed.policies.outcomes import Outcome
from lakebed.ports.series import Usage
from lakebed.queries.ledger import LedgerQuestion, Sums, read
from lakebed.runtime.settings import Settings
from lakebed.stores.catalog.sql import SqlCatalog, open_catalog
from lakebed.stores.journal.memory import MemoryJournal
from lakebed.vocabulary.attributes import Attributes, Coded
from lakebed.vocabulary.errors import StoreUnavailable, Superseded
from lakebed.vocabulary.limits import PARKED, RELEASED
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.sparse import Sparse
from lakebed.vocabulary.times import DAY, HOUR

NOON = 1_790_000_000_000_000 // HOUR * HOUR
POLICIES: list[dict[str, Any]] = [
    {"name": "all", "topics": ["a/#"], "type": "number", "keep": "archive"},
    {"name": "big", "topics": ["a/1"], "type": "number", "keep": "archive", "filter": {"min": 5}},
]


class World:
    def __init__(self, folder: Path) -> None:
        self.catalog: SqlCatalog = open_catalog("sqlite:catalog.db", folder)
        self.catalog.put_policies("ann", POLICIES)
        self.journal = MemoryJournal()

    def shard(self) -> Shard:
        made = claimed_shard(self.catalog, KeyedSeries(), self.journal, Settings())
        if made.replayed:
            made.adopt(1, self.catalog.policies(), NOON)
        return made

    def send(
        self, topic: str, *values: float, at: int = NOON, unit: str = "token:x", decision: str = ""
    ) -> None:
        builder, n = BatchBuilder(), len(values)
        decisions = ((decision, f"0:0:{NOON}"),) if decision else ()
        attributes = Coded.constant(Attributes(principal=unit, decisions=decisions), n)
        payloads = [b"%g" % value for value in values]
        builder.extend([Channel("ann", topic)] * n, payloads, at, Sparse(attributes=attributes))
        asyncio.run(self.journal.append(builder.build()))

    def read(self, shard: Shard) -> None:
        while entries := self.journal.entries(0, shard.offset, 1000):
            shard.absorb(entries)

    def save(self, shard: Shard) -> None:
        shard.flush(NOON, final=True)
        shard.checkpoint(NOON, final=True)

    def ask(self, *by: str, every: str | None = None) -> dict[Any, Sums]:
        question = LedgerQuestion(
            NOON - DAY, NOON + DAY, every, by, lambda _: True, lambda *_: True
        )
        groups = read(self.catalog, question)
        if by == () and every is None:
            assert [sums for _, sums in groups.rows()] in ([groups.total], [])
        return {at if every else at[1]: sums for at, sums in groups.rows()}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.catalog.close()


def sums(n: int, size: int, kept: int, kept_size: int) -> Sums:
    return Sums(n, size, kept, kept_size)


def test_what_came_in_and_was_kept_is_told_by_topic_unit_and_policy(world: World) -> None:
    world.send("a/1", 1, 10, 7)
    world.send("a/2", 3, unit="token:y")
    world.send("b", 4.25)
    shard = world.shard()
    world.read(shard)
    world.save(shard)
    assert world.ask() == {(): sums(5, 9, 4, 5)}
    assert world.ask("topic") == {
        ("a/1",): sums(3, 4, 3, 4), ("a/2",): sums(1, 1, 1, 1), ("b",): sums(1, 4, 0, 0),
    }  # fmt: skip
    assert world.ask("unit") == {
        ("token:x",): sums(4, 8, 3, 4), ("token:y",): sums(1, 1, 1, 1),
    }  # fmt: skip
    assert world.ask("policy") == {
        ("",): sums(1, 4, 0, 0), ("all",): sums(4, 5, 4, 5), ("big",): sums(3, 4, 2, 3),
    }  # fmt: skip
    assert world.ask("unit", "policy")["token:y", "all"] == sums(1, 1, 1, 1)


def test_a_replay_changes_nothing(world: World) -> None:
    shard = world.shard()
    world.send("a/1", 1, 10)
    world.read(shard)
    world.save(shard)
    before = world.ask("topic", "policy")
    world.send("a/1", 7)
    world.read(shard)  # and falls, before it is saved
    assert world.ask("topic", "policy") == before
    for _ in range(2):
        again = world.shard()
        world.read(again)
        world.save(again)
        world.read(again)
        world.save(again)
    assert world.ask("policy") == {("all",): sums(3, 4, 3, 4), ("big",): sums(3, 4, 2, 3)}


def test_what_the_ledger_has_counted_is_not_counted_again_for_a_slower_policy(
    world: World,
) -> None:
    # a checkpoint of the ledger alone: the tasks replay from their own, older offsets
    world.send("a/1", 1, 10)
    shard = world.shard()
    world.read(shard)
    shard._save([])
    again = world.shard()
    assert again.offset == 0
    world.send("a/1", 7)
    world.read(again)
    world.save(again)
    assert world.ask() == {(): sums(3, 4, 3, 4)}


def test_a_worker_that_was_superseded_counts_nothing(world: World) -> None:
    slow = world.shard()
    world.send("a/1", 1)
    world.read(slow)
    other = world.shard()
    world.read(other)
    world.save(other)
    with pytest.raises(Superseded):
        world.save(slow)
    assert world.ask() == {(): sums(1, 1, 1, 1)}


@pytest.mark.parametrize("committed", [False, True])
def test_a_save_whose_answer_is_lost_counts_once(
    world: World, monkeypatch: pytest.MonkeyPatch, committed: bool
) -> None:
    shard = world.shard()
    world.send("a/1", 1, 10)
    world.read(shard)
    transaction, losses = world.catalog.transaction, iter([StoreUnavailable("lost")])

    @contextmanager
    def losing() -> Iterator[None]:
        loss = next(losses, None)
        if loss is not None and not committed:
            raise loss
        with transaction():
            yield
        if loss is not None:
            raise loss

    monkeypatch.setattr(world.catalog, "transaction", losing)
    world.save(shard)
    assert world.ask() == {(): sums(2, 3, 2, 3)}


def test_the_sums_are_those_of_the_flow(world: World) -> None:
    shard = world.shard()
    for at in (NOON, NOON + HOUR, NOON - HOUR):
        world.send("a/1", 1, 10, at=at)
        world.send("c", 1, at=at)
        world.read(shard)
    world.save(shard)
    flow = load(world.catalog)
    ((), total) = next(iter(world.ask().items()))
    assert (total.in_messages, total.in_bytes) == (flow.messages, int(flow.sizes.sum()))
    assert total.kept_messages == flow.totals[Outcome.KEPT]
    assert len(world.ask(every="1h")) == 3


def test_parked_messages_come_in_once_and_are_kept_when_they_are_released(world: World) -> None:
    shard = world.shard()
    world.send("a/1", 1, 10, decision=PARKED)
    world.read(shard)
    world.save(shard)
    assert world.ask() == {(): sums(2, 3, 0, 0)}
    again = world.shard()
    # their copies, a day later and in a segment of their own, count in the hour of the first
    world.send("a/1", 1, 10, at=NOON + DAY, decision=RELEASED)
    world.read(again)
    world.save(again)
    assert world.ask() == {(): sums(2, 3, 2, 3)}
    assert world.ask("unit", "topic") == {("token:x", "a/1"): sums(2, 3, 2, 3)}
    assert world.ask(every="1h") == {(NOON, ()): sums(2, 3, 2, 3)}
    assert load(world.catalog).messages == 2


class Weighed(KeyedSeries):
    def usage(self, owner: str) -> Iterator[Usage]:
        yield Usage(next(iter(TABLES)), "all", "a/1", 2, 300)


def test_what_is_stored_is_measured_once_an_hour(world: World) -> None:
    shard = world.shard()
    world.send("a/1", 1)
    world.read(shard)
    world.save(shard)
    series: Any = Weighed()
    assert sample(series, world.catalog, NOON + 5)
    assert not sample(series, world.catalog, NOON + HOUR - 1)
    assert sample(series, world.catalog, NOON + HOUR)
    assert world.ask("topic", "policy")["a/1", "all"] == Sums(1, 1, 1, 1, 600)
