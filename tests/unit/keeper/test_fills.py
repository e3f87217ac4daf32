"""A policy that is filled has what it would have had, if it had been there from the start."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.keyed import KeyedSeries
from tests.shards import claimed_shard

from lakebed.ingest.building import BatchBuilder
from lakebed.ingest.keys import id_key
from lakebed.keeper import fill_state
from lakebed.keeper.fill_state import progress, states
from lakebed.keeper.ledger import load
from lakebed.keeper.shard import Shard
from lakebed.kinds.records import RecordsState
from lakebed.kinds.tables import CUT
from lakebed.outbox.blocks import decode
from lakebed.ports.catalog.fills import FillOrder
from lakebed.ports.catalog.outbox import Follower, Stream
from lakebed.ports.erasure import Erasure
from lakebed.queries.ledger import LedgerQuestion, Sums, read
from lakebed.runtime.settings import Settings
from lakebed.stores.catalog.sql import SqlCatalog, open_catalog
from lakebed.stores.journal.memory import MemoryJournal
from lakebed.vocabulary.messages import Channel, Entry
from lakebed.vocabulary.sparse import Sparse
from lakebed.vocabulary.times import DAY, HOUR, MINUTE, SECOND, Micros

NOON = 1_790_000_000_000_000 // HOUR * HOUR
END = NOON + 3 * HOUR
"""The wall clock: all windows of the tests have ended."""

ARCHIVE: dict[str, Any] = {"name": "p", "topics": ["a/+"], "type": "number", "keep": "archive"}
HOURS = ARCHIVE | {
    "keep": "aggregate", "every": "1h",
    "functions": ["count", "sum", "min", "max", "first", "last", "increase", "p50"],
}  # fmt: skip
NEWEST = ARCHIVE | {"keep": "last_n", "count": 3}
LAST = ARCHIVE | {"keep": "last_value", "every": "0s"}


class World:
    def __init__(self, folder: Path) -> None:
        self.catalog: SqlCatalog = open_catalog("sqlite:catalog.db", folder)
        self.journal, self.series = MemoryJournal(), KeyedSeries()
        self.settings = Settings()
        self.clock: Micros = NOON

    def shard(self) -> Shard:
        """A keeper that takes over, as after a crash."""
        shard = claimed_shard(self.catalog, self.series, self.journal, self.settings)
        if shard.begun:
            self.read(shard)
        return shard

    def send(self, topic: str, *values: object, every: Micros = MINUTE, at: Micros = 0) -> None:
        """A message for each value, one each minute; `at` is the event time of the first."""
        for number, value in enumerate(values):
            builder = BatchBuilder()
            event = [at + number * every] if at else None
            builder.extend(
                [Channel("ann", topic)], [str(value).encode()], self.clock, Sparse(event=event)
            )
            self.clock += every
            asyncio.run(self.journal.append(builder.build()))

    def policies(self, shard: Shard, *documents: dict[str, Any]) -> None:
        """Put these in force, and no others, where the shard stands."""
        names = {document["name"] for document in documents}
        for stored in self.catalog.policies("ann"):
            if stored.name not in names:
                self.catalog.delete_policy("ann", stored.name)
        self.catalog.put_policies("ann", documents)
        shard.adopt(self.catalog.revision(), self.catalog.policies(), self.clock)

    def read(self, shard: Shard) -> None:
        while entries := self.journal.entries(0, shard.offset, 1000):
            shard.absorb(entries)
            shard.flush(self.clock)
            shard.checkpoint(self.clock)

    def finish(self, shard: Shard) -> None:
        self.read(shard)
        shard.flush(END, final=True)
        shard.work_on_fills(lambda filling: filling.write_ended(END))
        shard.checkpoint(END, final=True)

    def order(self, since: Micros = 0, name: str = "p") -> FillOrder:
        version = next(p.version for p in self.catalog.policies("ann") if p.name == name)
        before = self.catalog.fill_order("ann", name)
        request = 1 if before is None else before.request + 1
        if before is not None:
            self.catalog.settle_fill(before)
        order = FillOrder("ann", name, request, version, since, self.clock, (0,))
        self.catalog.order_fill(order)
        return order

    def fill(self, shard: Shard, since: Micros = 0, name: str = "p") -> fill_state.Progress:
        order = self.order(since, name)
        shard.work_on_fills(lambda filling: filling.begin(order, self.clock))
        self.fill_on(shard, name)
        return progress(order, states(self.catalog, order))

    def fill_on(self, shard: Shard, name: str = "p", slices: int = 1000) -> None:
        for _ in range(slices):
            if f"ann/{name}" not in shard.filling.running:
                break
            shard.work_on_fills(lambda filling: filling.fill(f"ann/{name}", self.clock))

    # --- what there is ----------------------------------------------------------------------------

    def numbers(self) -> list[float]:
        return sorted(row["number"] for _, row in self.series.rows())

    def windows(self) -> dict[tuple[str, int], tuple[Any, ...]]:
        """Of each window what readers make of its rows: count, sum, least, most, first, last."""
        found: dict[tuple[str, int], list[dict[str, Any]]] = {}
        for _, row in self.series.rows():
            found.setdefault((row["topic"], int(row["start"])), []).append(row)
        return {
            key: (
                sum(row["count"] for row in rows),
                sum(row["sum"] for row in rows),
                min(row["min"] for row in rows),
                max(row["max"] for row in rows),
                min(rows, key=lambda row: (row["first_time"], row["first_offset"]))["first"],
                max(rows, key=lambda row: (row["last_time"], row["last_offset"]))["last"],
                min(row["complete"] & 1 for row in rows),
                tuple(sorted({moment for row in rows for moment in row["moments"]})),
            )
            for key, rows in found.items()
        }

    def newest(self) -> dict[str, list[float]]:
        """What readers see of `last_n`: the newest three of each topic over all rings."""
        found: dict[str, list[tuple[Micros, int, float]]] = {}
        for _, row in self.series.rows():
            found.setdefault(row["topic"], []).append(
                (row["received"], row["offset"], row["number"])
            )
        return {
            topic: [number for *_, number in sorted(rows)[-3:]] for topic, rows in found.items()
        }

    def last(self) -> dict[str, float]:
        return {value.topic: float(value.value) for value in self.catalog.last_values("ann")}

    def ledger(self, *by: str) -> dict[Any, Sums]:
        question = LedgerQuestion(NOON - DAY, NOON + DAY, None, by, lambda _: True, lambda *_: True)
        return {key: sums for (_, key), sums in read(self.catalog, question).rows()}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.catalog.close()


@pytest.fixture
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lakebed.keeper.filling._SLICE", 2)


def story(world: World, early: dict[str, Any] | None, late: dict[str, Any] | None) -> Shard:
    """Two hours of messages; a policy is there from the start, or from the middle of an hour on."""
    shard = world.shard()
    world.policies(shard, *([early] if early else []))
    world.send("a/1", *range(10, 60), every=MINUTE)
    world.send("a/2", 5, 3, 8)
    world.send("a/late", 1, 2, at=NOON - HOUR)
    world.send("b", 99)
    world.read(shard)
    if late:
        world.policies(shard, late)
    world.send("a/1", 7, 70, 71)
    world.send("a/2", 4, at=NOON + 5 * MINUTE)
    world.send("a/new", 1)
    world.read(shard)
    return shard


SEEN: dict[str, tuple[dict[str, Any], Callable[[World], Any]]] = {
    "archive": (ARCHIVE, World.numbers),
    "window": (ARCHIVE | {"keep": "window", "for": "30d"}, World.numbers),
    "filtered": (ARCHIVE | {"filter": {"min": 5}}, World.numbers),
    "aggregate": (HOURS, World.windows),
    "last_n": (NEWEST, World.newest),
    "last_value": (LAST, World.last),
}


@pytest.fixture(params=SEEN)
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[dict[str, Any], Any, Any]:
    """A policy, how its answers are seen, and what it answers if it is there from the start."""
    document, seen = SEEN[request.param]
    (tmp_path / "early").mkdir()
    early = World(tmp_path / "early")
    early.finish(story(early, document, None))
    expected = seen(early)
    early.catalog.close()
    return document, seen, expected


@pytest.mark.usefixtures("small_slices")
def test_a_filled_policy_has_what_it_would_have_had(
    world: World, kind: tuple[dict[str, Any], Any, Any]
) -> None:
    document, seen, expected = kind
    shard = story(world, None, document)
    assert seen(world) != expected
    done = world.fill(shard)
    world.finish(shard)
    assert seen(world) == expected
    assert (done.state, done.done, done.read, done.matched) == ("done", 1.0, 56, 55)


@pytest.mark.usefixtures("small_slices")
def test_a_keeper_that_falls_in_the_middle_keeps_nothing_twice(
    world: World, kind: tuple[dict[str, Any], Any, Any]
) -> None:
    document, seen, expected = kind
    shard = story(world, None, document)
    order = world.order()
    shard.work_on_fills(lambda filling: filling.begin(order, world.clock))
    for slices in (9, 6, 1000):
        world.fill_on(shard, slices=slices)
        if shard.filling.running:
            shard.filling.fill("ann/p", world.clock)  # written, but it falls before this is saved
            shard = world.shard()
    world.finish(shard)
    assert seen(world) == expected
    found = progress(order, states(world.catalog, order))
    assert (found.state, found.read, found.matched) == ("done", 56, 55)
    assert int(load(world.catalog).policies["ann", "p"].sum()) == 55 + 5


def test_the_account_of_messages_stays_and_that_of_the_policy_grows(world: World) -> None:
    other = ARCHIVE | {"name": "other", "topics": ["a/2"]}
    shard = world.shard()
    world.policies(shard, other)
    world.send("a/1", 10, 11, 12)
    world.send("a/2", 5)
    world.read(shard)
    world.policies(shard, other, ARCHIVE | {"filter": {"max": 11}})
    world.finish(shard)
    flow, totals = load(world.catalog).totals, world.ledger()
    assert totals == {(): Sums(4, 7, 1, 1)}
    world.fill(shard)
    assert load(world.catalog).totals == flow
    assert world.ledger() == totals
    assert world.ledger("topic") == {
        ("a/1",): Sums(3, 6, 0, 0), ("a/2",): Sums(1, 1, 1, 1),
    }  # fmt: skip
    assert world.ledger("policy") == {
        ("",): Sums(3, 6, 0, 0), ("other",): Sums(1, 1, 1, 1), ("p",): Sums(4, 7, 3, 5),
    }  # fmt: skip


def test_an_earlier_moment_extends_and_a_later_one_reads_nothing(world: World) -> None:
    shard = story(world, None, ARCHIVE)
    some = world.fill(shard, NOON + 30 * MINUTE)
    assert some.read == 26
    assert min(world.numbers()) == 1  # the late ones, which came after that
    assert world.fill(shard, NOON + 40 * MINUTE).read == 0
    more = world.fill(shard, NOON + 10 * MINUTE)
    assert (more.read, more.kept) == (20, 20)
    assert world.fill(shard).read == 10
    assert world.fill(shard).read == 0


def test_a_policy_that_comes_back_is_not_filled_with_what_it_kept_before(world: World) -> None:
    shard = world.shard()
    world.policies(shard)
    world.send("a/1", 1, 2)
    world.read(shard)
    world.policies(shard, HOURS)
    world.send("a/1", 3, 4)
    world.read(shard)
    world.policies(shard)
    world.send("a/1", 5)
    world.read(shard)
    world.policies(shard, HOURS)
    world.send("a/1", 6)
    world.read(shard)
    assert world.fill(shard).read == 3  # 1, 2 and 5
    world.finish(shard)
    assert {window[:2] for window in world.windows().values()} == {(6, 21.0)}


def test_another_kind_under_the_same_name_has_a_past_of_its_own(world: World) -> None:
    shard = world.shard()
    world.policies(shard, ARCHIVE)
    world.send("a/1", 1, 2)
    world.read(shard)
    world.policies(shard, HOURS)
    world.send("a/1", 3)
    world.read(shard)
    assert world.fill(shard).read == 2


def test_a_window_just_behind_the_border_knows_the_value_before_it(world: World) -> None:
    shard = world.shard()
    world.policies(shard)
    world.send("a/1", 1, 2, every=30 * MINUTE)
    world.read(shard)
    world.policies(shard, HOURS)
    world.send("a/1", 7)
    world.read(shard)
    shard.flush(world.clock, final=True)
    shard.checkpoint(world.clock, final=True)
    half = NOON + 30 * MINUTE
    assert world.windows()["a/1", (NOON + HOUR) // SECOND][-1] == (NOON + HOUR,)
    world.fill(shard)
    again = world.shard()  # it is saved with the end of the fill
    world.finish(again)
    assert world.windows()["a/1", (NOON + HOUR) // SECOND][-1] == (half, NOON + HOUR)


def test_a_topic_that_has_its_newest_gets_no_older_ones(world: World) -> None:
    shard = world.shard()
    world.policies(shard)
    world.send("a/1", 1, 2, 3, 4)
    world.send("a/2", 1, 2, 3, 4)
    world.read(shard)
    world.policies(shard, NEWEST)
    world.send("a/1", 5, 6, 7)
    world.send("a/2", 5)
    world.read(shard)
    shard.flush(world.clock, final=True)
    world.fill(shard)
    assert world.newest() == {"a/1": [5, 6, 7], "a/2": [3, 4, 5]}
    assert [row["number"] for _, row in world.series.rows() if row["topic"] == "a/1"] == [5, 6, 7]


def test_windows_that_go_on_are_completed_when_they_end(world: World) -> None:
    shard = world.shard()
    world.policies(shard)
    world.send("a/1", 1, 2)
    world.read(shard)
    world.policies(shard, HOURS)
    world.fill(shard)
    (window,) = world.windows().values()
    assert (window[0], window[-2]) == (2, 0)
    again = world.shard()  # it is saved with the fill
    again.work_on_fills(lambda filling: filling.write_ended(NOON + 30 * MINUTE))
    again.work_on_fills(lambda filling: filling.write_ended(END))
    (window,) = world.windows().values()
    assert (window[0], window[-2]) == (2, 1)


def test_windows_that_go_on_are_cut_where_nobody_will_complete_them(world: World) -> None:
    shard = world.shard()
    world.policies(shard)
    world.send("a/1", 1, 2)
    world.read(shard)
    world.policies(shard, HOURS)
    world.fill(shard)
    shard.work_on_fills(lambda filling: filling.cut_tails(world.clock))
    shard.work_on_fills(lambda filling: filling.write_ended(END))
    assert [row["complete"] for _, row in world.series.rows()] == [CUT]


def test_what_was_deleted_is_not_brought_back(world: World) -> None:
    shard = story(world, None, ARCHIVE)
    gone = Erasure("ann", "a/1", None, NOON + 10 * MINUTE, NOON + 30 * MINUTE)
    shard.erase(gone, world.clock)
    world.series = KeyedSeries()
    again = world.shard()
    world.fill(again)
    assert world.numbers() == sorted([*range(10, 20), *range(40, 60), 5, 3, 8, 1, 2])


@pytest.mark.usefixtures("small_slices")
@pytest.mark.parametrize("policy", [None, "p"])
def test_a_deletion_reaches_a_fill_at_work(world: World, policy: str | None) -> None:
    shard = story(world, None, HOURS)
    order = world.order()
    shard.work_on_fills(lambda filling: filling.begin(order, world.clock))
    world.fill_on(shard, slices=10)
    shard.erase(Erasure("ann", "a/1", policy, NOON, NOON + HOUR), world.clock)
    world.series = KeyedSeries()  # as if all rows were deleted that were written before
    again = world.shard()
    world.fill_on(again)
    world.finish(again)
    assert ("a/1", NOON // SECOND) not in world.windows()
    assert any(topic == "a/2" for topic, _ in world.windows())


def test_what_a_policy_kept_can_be_filled_again_once_all_of_it_is_deleted(world: World) -> None:
    shard = world.shard()
    world.policies(shard, HOURS)
    world.send("a/1", 1, 2)
    world.read(shard)
    shard.erase(Erasure("ann", "#", "p"), world.clock)
    world.series = shard._stores._series = KeyedSeries()  # type: ignore[assignment]
    world.send("a/1", 4)
    world.read(shard)
    assert world.fill(shard).read == 2
    world.finish(shard)
    assert [window[:2] for window in world.windows().values()] == [(3, 7.0)]


@pytest.mark.usefixtures("small_slices")
@pytest.mark.parametrize(
    ("then", "state", "error"),
    [
        ([], "cancelled", "the policy was deleted"),
        ([HOURS], "cancelled", "the policy has another kind, type or windows now: fill it again"),
        ([ARCHIVE | {"topics": ["a/2"]}], "done", ""),  # it goes on as it was asked for
    ],
)
def test_a_policy_that_changes_meanwhile(
    world: World, then: list[dict[str, Any]], state: str, error: str
) -> None:
    shard = story(world, None, ARCHIVE)
    order = world.order()
    shard.work_on_fills(lambda filling: filling.begin(order, world.clock))
    world.fill_on(shard, slices=3)
    world.policies(shard, *then)
    world.fill_on(shard)
    found = progress(order, states(world.catalog, order))
    assert (found.state, found.error) == (state, error)
    assert found.finished == world.clock
    assert found.read == (56 if state == "done" else 6)


def test_a_cancelled_fill_keeps_what_it_has_and_another_goes_on_there(world: World) -> None:
    shard = story(world, None, HOURS)
    order = world.order()
    shard.work_on_fills(lambda filling: filling.begin(order, world.clock))
    world.fill_on(shard, slices=1)
    shard.work_on_fills(lambda filling: filling.cancel(order, world.clock))
    assert world.fill(shard).state == "done"
    world.finish(shard)
    assert sum(window[0] for window in world.windows().values()) == 55 + 5


def test_a_message_that_breaks_a_policy_is_put_aside(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    absorb = RecordsState.absorb

    def broken(self: RecordsState, values: Any) -> None:
        absorb(self, values)
        if 13 in values.numbers:
            raise ZeroDivisionError("thirteen")

    monkeypatch.setattr(RecordsState, "absorb", broken)
    shard = story(world, None, ARCHIVE)
    done = world.fill(shard)
    assert (done.state, done.matched, done.kept) == ("done", 55, 54)
    assert 13 not in world.numbers()
    (letter,) = world.catalog.dead_letters("ann")
    assert letter.payload == b"13"


def test_what_the_journal_has_lost_is_said(world: World) -> None:
    shard = story(world, None, ARCHIVE)
    order = world.order()
    shard.work_on_fills(lambda filling: filling.begin(order, world.clock))
    first, end = world.journal.extent()[0]
    world.journal.extent = lambda: {0: (first + 10, end)}  # type: ignore[method-assign]
    world.fill_on(shard)
    found = progress(order, states(world.catalog, order))
    assert (found.state, found.lost, found.read) == ("done", 10, 46)
    assert "lost messages" in found.error


class ManyWriters(MemoryJournal):
    """A journal that leaves it to its readers to find duplicates, as the one on Kafka does."""

    def __init__(self, *batches: tuple[int, ...]) -> None:
        super().__init__()
        self.log: list[Entry] = []
        for numbers in batches:
            builder = BatchBuilder()
            builder.extend(
                [Channel("ann", "a/1")] * len(numbers),
                [b"%d" % number for number in numbers],
                NOON,
                Sparse(keys=[id_key("ann", "a/1", str(number)) for number in numbers]),
            )
            end = self.log[-1].end if self.log else 0
            self.log.append(Entry(0, end, builder.build()))

    def extent(self) -> dict[int, tuple[int, int]]:
        return {0: (self.log[0].offset, self.log[-1].end)}

    def entries(self, partition: int, offset: int, limit: int) -> list[Entry]:
        return [entry for entry in self.log if entry.offset >= offset][:1]


@pytest.mark.parametrize(("remembered", "kept"), [(100, [1, 2, 3, 4]), (1, [4])])
def test_duplicates_stay_out_as_the_keeper_has_decided(
    world: World, monkeypatch: pytest.MonkeyPatch, remembered: int, kept: list[float]
) -> None:
    monkeypatch.setattr("lakebed.consuming.deduplication._REMEMBERED", remembered)
    world.journal = ManyWriters((1, 2), (2, 3), (3, 4))
    shard = world.shard()
    world.policies(shard)
    world.read(shard)
    shard.checkpoint(world.clock, final=True)
    again = world.shard()
    world.policies(again, ARCHIVE)
    world.fill(again)
    # where a duplicate is not remembered any more, what lies before it is not read
    assert world.numbers() == kept


def test_a_home_of_an_earlier_version_fills_nothing_from_before(world: World) -> None:
    shard = story(world, None, ARCHIVE)
    shard.checkpoint(END, final=True)
    parts = [part.part for part in world.catalog.checkpoints(fill_state.CONSUMER)[0]]
    world.catalog.save_checkpoints(fill_state.CONSUMER, 0, [], parts)
    again = world.shard()
    assert world.fill(again).read == 0
    world.policies(again, ARCHIVE, HOURS | {"name": "q"})
    world.send("a/1", 1)
    world.read(again)
    assert world.fill(again, name="q").read == 0


def test_relays_are_given_what_comes_and_not_what_was_filled(world: World) -> None:
    world.catalog.follow(Follower("ann/r/1", "ann", "p", "kept", 2**30))
    shard = world.shard()
    world.policies(shard)
    world.send("a/b", 1, 2, 3)
    world.read(shard)
    world.policies(shard, ARCHIVE)
    world.send("a/b", 4)
    world.fill(shard)
    world.finish(shard)
    blocks = world.catalog.outbox_blocks(Stream("ann", "p", 0), 0, 100)
    given = [row["number"] for block in blocks for row in decode(block).rows.to_pylist()]
    assert given == [4]
