"""A shard by itself: what it does when a policy's code breaks, when policies change, when a store
stays away. Series and clock are ours here; journal and catalog are real."""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.shards import claimed_shard

from lakebed.consuming.retry import Retry, Stopped
from lakebed.ingest.building import BatchBuilder
from lakebed.keeper.erasure_requests import delete_last
from lakebed.keeper.examples import load as load_examples
from lakebed.keeper.ledger import load
from lakebed.keeper.settings import DeadLettersSection
from lakebed.keeper.shard import Shard
from lakebed.kinds.records import RecordsState
from lakebed.policies.outcomes import Outcome
from lakebed.ports.catalog.checkpoints import Checkpoint
from lakebed.ports.erasure import Erasure
from lakebed.ports.health import Health
from lakebed.runtime.settings import Settings
from lakebed.stores.catalog.sql import SqlCatalog, open_catalog
from lakebed.stores.journal.memory import MemoryJournal
from lakebed.vocabulary.attributes import Attributes, Coded
from lakebed.vocabulary.errors import StoreUnavailable, Superseded
from lakebed.vocabulary.messages import Channel, Entry
from lakebed.vocabulary.sparse import Sparse
from lakebed.vocabulary.times import DAY, HOUR, MINUTE, SECOND, Micros

NOW = 1_790_000_000 * SECOND  # on a whole minute or not: nothing here depends on it
ARCHIVE = {"name": "all", "topics": ["#"], "type": "number", "keep": "archive"}


class Rows:
    """A series store that holds what it was given, and refuses while `away`."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, dict[str, Any]]] = []
        self.away = False

    def write(self, table: str, rows: pa.Table) -> None:
        if self.away:
            raise StoreUnavailable("away")
        self.rows += [(table, row) for row in rows.to_pylist()]

    def health(self) -> Health:
        return Health(True)

    def close(self) -> None:
        pass

    def kept(self) -> dict[int, float]:
        """Values by offset: rows written again fall together."""
        return {row["offset"]: row["number"] for _, row in self.rows}


class World:
    def __init__(self, folder: Path) -> None:
        self.catalog: SqlCatalog = open_catalog("sqlite:catalog.db", folder)
        self.journal, self.series = MemoryJournal(), Rows()
        self.retry = Retry()
        self.monotonic: Callable[[], float] = time.monotonic
        self.revision = 0
        self.settings = Settings()

    def shard(self) -> Shard:
        """A keeper's shard that takes over, as after a start or a crash."""
        return claimed_shard(
            self.catalog, self.series, self.journal, self.settings,
            retry=self.retry, monotonic=self.monotonic,
        )  # fmt: skip

    def policies(self, *documents: dict[str, Any]) -> None:
        self.catalog.put_policies("anna", documents)
        self.revision += 1

    def adopt(self, shard: Shard) -> None:
        shard.adopt(self.revision, self.catalog.policies(), NOW)

    def send(
        self, *payloads: bytes, topic: str = "t", only: str = "", event: Micros | None = None
    ) -> None:
        builder, n = BatchBuilder(), len(payloads)
        meant_for = [only] * n if only else None
        times = None if event is None else [event] * n
        builder.extend(
            [Channel("anna", topic)] * n, payloads, NOW, Sparse(event=times, only=meant_for)
        )
        asyncio.run(self.journal.append(builder.build()))

    def read(self, shard: Shard) -> None:
        while entries := self.journal.entries(0, shard.offset, 1000):
            shard.absorb(entries)

    def work_through(self, shard: Shard) -> None:
        """All that there is, to its end."""
        self.adopt(shard)
        self.read(shard)
        shard.flush(NOW, final=True)
        shard.checkpoint(NOW, final=True)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.catalog.close()


# --- how often checkpoints are saved --------------------------------------------------------------


class Clock:
    """The shard's clock for distances between checkpoints, seconds."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(world: World) -> Clock:
    clock = Clock()
    world.monotonic = clock.monotonic
    return clock


SUMS = {
    "name": "sums", "topics": ["t"], "type": "number", "keep": "aggregate", "every": "1h",
    "buffer": "1m",
}  # fmt: skip
LAST = {"name": "last", "topics": ["t"], "type": "number", "keep": "last_value", "every": "20s"}


def seconds_to_a_checkpoint(world: World, clock: Clock, shard: Shard, messages: int = 1) -> float:
    """How long what was sent just after a checkpoint waits for the next; 100 where it does."""
    shard.checkpoint(NOW, final=True)
    world.send(*[b"1"] * messages)
    world.read(shard)
    began, before = clock.now, load(world.catalog).offsets
    while load(world.catalog).offsets == before and clock.now < began + 100:
        clock.now += 0.5
        now = NOW + int((clock.now - began) * SECOND)
        shard.flush(now)
        shard.checkpoint(now)
    return clock.now - began


@pytest.mark.parametrize(
    ("policies", "messages", "seconds"),
    [
        ([SUMS | {"buffer": "1s"}], 1, 1.0),  # keeper.checkpoint
        ([SUMS], 1, 30.0),  # half of its buffer
        ([SUMS | {"buffer": "1h"}], 1, 30.0),  # there is a longest
        ([LAST], 1, 10.0),  # it is written once in 20 s
        ([SUMS, LAST], 1, 10.0),  # the ledger goes with the hastiest
        ([SUMS, SUMS | {"name": "b", "buffer": "0s"}], 1, 1.0),
        ([SUMS], 5000, 1.0),  # many messages are not left to be read again
        ([], 1, 1.0),
    ],
)
def test_checkpoints_come_as_often_as_policies_write_where_few_messages_come(
    world: World, clock: Clock, policies: list[dict[str, Any]], messages: int, seconds: float
) -> None:
    shard = world.shard()
    world.policies(*policies)
    world.work_through(shard)
    assert seconds_to_a_checkpoint(world, clock, shard, messages) == seconds


def test_what_was_written_is_saved_with_the_write(world: World, clock: Clock) -> None:
    shard = world.shard()
    world.policies(ARCHIVE | {"buffer": "1m"})
    world.work_through(shard)
    for _ in range(3):
        world.send(b"1")
        world.read(shard)
        clock.now += 60
        shard.flush(NOW + HOUR)
        assert shard.checkpoint(NOW + HOUR) == shard.offset


@pytest.fixture
def fragile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Archives whose code breaks on the number 13."""
    absorb = RecordsState.absorb

    def broken(self: RecordsState, values: Any) -> None:
        absorb(self, values)  # half done already when it breaks
        if 13 in values.numbers:
            raise ZeroDivisionError("thirteen")

    monkeypatch.setattr(RecordsState, "absorb", broken)


def test_taking_over_waits_for_a_catalog_that_goes_away_in_the_middle(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.policies(ARCHIVE)
    first = world.shard()
    world.adopt(first)
    first.checkpoint(NOW, final=True)
    ask, refusals = world.catalog.policy_version, iter([StoreUnavailable("away")] * 2)

    def away_for_a_while(owner: str, name: str, version: int) -> Any:
        for refusal in refusals:
            raise refusal
        return ask(owner, name, version)

    monkeypatch.setattr(world.catalog, "policy_version", away_for_a_while)
    second = world.shard()
    assert next(refusals, None) is None
    world.send(b"1")
    world.read(second)
    second.flush(NOW, final=True)
    assert world.series.kept() == {0: 1.0}


@pytest.mark.usefixtures("fragile")
def test_a_message_that_breaks_a_policy_is_put_aside_and_the_rest_is_kept(world: World) -> None:
    world.policies(ARCHIVE, {**ARCHIVE, "name": "ring", "keep": "last_n", "count": 9})
    shard = world.shard()
    world.adopt(shard)
    world.send(b"1", b"13", b"2")
    world.send(b"3", b"13", b"4")
    world.read(shard)
    shard.flush(NOW, final=True)
    shard.checkpoint(NOW, final=True)
    archived = {r["offset"]: r["number"] for table, r in world.series.rows if table == "archive"}
    assert archived == {0: 1.0, 2: 2.0, 3: 3.0, 5: 4.0}
    letters = world.catalog.dead_letters("anna")
    assert sorted(letter.offset for letter in letters) == [1, 4]
    assert {(x.policy, x.topic, x.payload) for x in letters} == {("all", "t", b"13")}
    assert "thirteen" in letters[0].reason
    ledger = load(world.catalog)
    assert ledger.totals == {Outcome.KEPT: 6}  # the ring took all of them
    assert ledger.policies["anna", "all"][Outcome.DEAD_LETTER] == 2


@pytest.mark.usefixtures("fragile")
def test_a_letter_holds_all_that_sending_it_again_needs(world: World) -> None:
    world.policies(ARCHIVE)
    shard = world.shard()
    world.adopt(shard)
    builder = BatchBuilder()
    attributes = Attributes("text/plain", "token:shed")
    sparse = Sparse([NOW - MINUTE], ["r-1"], attributes=Coded.constant(attributes, 1))
    builder.extend([Channel("anna", "t")], [b"13"], NOW, sparse)
    asyncio.run(world.journal.append(builder.build()))
    world.read(shard)
    (letter,) = world.catalog.dead_letters("anna")
    assert (letter.received, letter.event, letter.id) == (NOW, NOW - MINUTE, "r-1")
    assert letter.attributes == attributes
    assert letter.error.startswith("Traceback")
    assert letter.error.endswith("ZeroDivisionError: thirteen\n")


@pytest.mark.usefixtures("fragile")
def test_letters_stay_within_their_bound_and_the_newest_stay(world: World) -> None:
    world.settings = Settings(dead_letters=DeadLettersSection(count=3))
    world.policies(ARCHIVE)
    shard = world.shard()
    world.adopt(shard)
    world.send(*[b"13"] * 10)
    world.read(shard)
    assert [letter.offset for letter in world.catalog.dead_letters("anna")] == [9, 8, 7]
    assert world.catalog.dead_letter_fates("anna") == {"expired": 7}


@pytest.mark.usefixtures("fragile")
def test_a_journal_that_does_not_answer_meanwhile_costs_no_other_message(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.policies(ARCHIVE)
    shard = world.shard()
    world.adopt(shard)
    world.send(b"1")
    world.read(shard)
    world.send(b"2", b"13", b"3")
    found = world.journal.entries(0, shard.offset, 1000)
    read, refusals = world.journal.entries, iter([StoreUnavailable("away")])

    def entries(partition: int, offset: int, limit: int) -> list[Entry]:
        for refusal in refusals:
            raise refusal
        return read(partition, offset, limit)

    monkeypatch.setattr(world.journal, "entries", entries)
    shard.absorb(found)
    assert [letter.payload for letter in world.catalog.dead_letters("anna")] == [b"13"]
    shard.flush(NOW, final=True)
    assert world.series.kept() == {0: 1.0, 1: 2.0, 3: 3.0}


def test_a_message_that_asks_for_another_function_is_put_aside_with_the_reason(
    world: World,
) -> None:
    world.policies(
        {"name": "sums", "topics": ["#"], "type": "number", "at": "/v", "keep": "aggregate",
         "every": "1m", "functions": ["sum"], "function_at": "/f"}
    )  # fmt: skip
    shard = world.shard()
    world.adopt(shard)
    world.send(b'{"v": 1, "f": "sum"}', b'{"v": 2, "f": "median"}', b'{"v": 3}')
    world.read(shard)
    shard = world.shard()  # a replay puts nothing aside twice
    world.read(shard)
    letters = world.catalog.dead_letters("anna")
    assert {letter.offset: letter.reason for letter in letters} == {
        1: "its function 'median' is none of sum",
        2: "it names no function at /f, and there is no function_else",
    }
    shard.flush(NOW, final=True)
    shard.checkpoint(NOW, final=True)
    assert [(row["field"], row["sum"]) for _, row in world.series.rows] == [("sum", 1.0)]
    ledger = load(world.catalog)
    assert ledger.totals == {Outcome.KEPT: 1, Outcome.DEAD_LETTER: 2}
    assert ledger.policies["anna", "sums"][Outcome.DEAD_LETTER] == 2


@pytest.mark.usefixtures("fragile")
def test_a_letter_that_was_dropped_does_not_come_back_with_a_replay(world: World) -> None:
    world.policies(ARCHIVE)
    shard = world.shard()
    world.adopt(shard)
    world.send(b"1", b"13", b"2")
    world.read(shard)
    world.catalog.settle_dead_letters(world.catalog.dead_letters("anna"), "dropped")
    again = world.shard()  # no checkpoint since: the message breaks the policy once more
    world.read(again)
    assert world.catalog.dead_letters("anna") == []


@pytest.mark.usefixtures("fragile")
def test_after_a_crash_the_same_messages_are_put_aside_and_nothing_counts_twice(
    world: World,
) -> None:
    world.policies(ARCHIVE)
    shard = world.shard()
    world.adopt(shard)
    world.send(b"1", b"13", b"2")
    world.read(shard)
    shard.flush(NOW, final=True)  # written, and then the crash: no checkpoint
    again = world.shard()
    world.read(again)
    again.flush(NOW, final=True)
    again.checkpoint(NOW, final=True)
    assert world.series.kept() == {0: 1.0, 2: 2.0}
    assert len(world.catalog.dead_letters("anna")) == 1
    assert load(world.catalog).totals == {Outcome.KEPT: 2, Outcome.DEAD_LETTER: 1}


def test_a_policy_changed_in_the_middle_holds_from_its_place_also_in_a_replay(
    world: World,
) -> None:
    world.policies(ARCHIVE)
    shard = world.shard()
    world.adopt(shard)
    world.send(b"1", b"2")
    world.read(shard)
    world.policies({**ARCHIVE, "filter": {"min": 10}})
    world.adopt(shard)
    world.send(b"3", b"30")
    world.read(shard)
    shard.flush(NOW, final=True)  # no checkpoint after this: the next run reads 3 and 30 again
    again = world.shard()
    world.read(again)
    again.flush(NOW, final=True)
    again.checkpoint(NOW, final=True)
    assert world.series.kept() == {0: 1.0, 1: 2.0, 3: 30.0}
    assert load(world.catalog).totals == {Outcome.KEPT: 3, Outcome.MIN: 1}


def test_during_a_replay_no_policy_is_taken_up(world: World) -> None:
    world.policies(ARCHIVE)
    shard = world.shard()
    world.adopt(shard)
    world.send(b"1")
    again = world.shard()
    assert not again.replayed
    world.read(again)
    assert again.replayed


def test_who_has_no_policies_yet_leaves_nothing_behind_that_would_keep_an_heir_from_them(
    world: World,
) -> None:
    world.policies(ARCHIVE)
    world.shard().checkpoint(NOW, final=True)  # the partition moves on at once
    world.send(b"1")
    heir = world.shard()
    assert heir.replayed
    world.work_through(heir)
    assert list(world.series.kept().values()) == [1.0]
    assert load(world.catalog).totals == {Outcome.KEPT: 1}


def test_a_window_that_a_change_of_policy_meets_goes_on(world: World) -> None:
    minutes = {**ARCHIVE, "name": "m", "keep": "aggregate", "every": "1h", "functions": ["sum"]}
    world.policies(minutes)
    shard = world.shard()
    world.adopt(shard)
    world.send(b"1", b"2")
    world.read(shard)
    world.policies({**minutes, "buffer": "2s"})
    world.adopt(shard)
    world.send(b"4")
    world.read(shard)
    shard.flush(NOW + MINUTE, final=True)
    rows = [row for table, row in world.series.rows if table == "aggregate"]
    assert {row["fragment"] for row in rows} == {0}  # one window, written twice
    newest = max(rows, key=lambda row: row["version"])
    assert (newest["count"], newest["sum"]) == (3, 7.0)


def test_a_store_that_stays_away_holds_the_shard_until_it_is_told_to_stop(world: World) -> None:
    world.policies(ARCHIVE)
    shard = world.shard()
    world.adopt(shard)
    world.send(b"1")
    world.read(shard)
    world.series.away = True
    world.retry.give_up()
    with pytest.raises(Stopped):
        shard.flush(NOW, final=True)
    world.series.away = False
    world.retry = Retry()
    again = world.shard()  # nothing was saved, so nothing is lost
    world.read(again)
    again.flush(NOW, final=True)
    assert world.series.kept() == {0: 1.0}


# --- deleting by request --------------------------------------------------------------------------

LAST = {"name": "now", "topics": ["#"], "type": "number", "keep": "last_value"}
HOURS = {
    "name": "hours", "topics": ["#"], "type": "number", "keep": "aggregate", "every": "1h",
    "functions": ["sum", "p50"],
}  # fmt: skip
WORDS = {**HOURS, "name": "words", "type": "text", "functions": ["top"]}
ALL = Erasure("anna", "t")


def windows(world: World, table: str = "aggregate") -> dict[int, int]:
    """Messages in each fragment, by the newest row of it."""
    rows = [row for name, row in world.series.rows if name == table]
    return {r["fragment"]: r["count"] for r in sorted(rows, key=lambda r: int(r["version"]))}


def started(world: World, *documents: dict[str, Any]) -> Shard:
    world.policies(*documents)
    shard = world.shard()
    world.adopt(shard)
    return shard


def test_what_is_to_be_deleted_is_written_first_and_never_again(world: World) -> None:
    shard = started(world, ARCHIVE)
    world.send(b"1", b"2")
    world.read(shard)
    assert shard.erase(ALL, NOW) == 2
    assert world.series.kept() == {0: 1.0, 1: 2.0}
    world.series.rows.clear()  # as the request does next
    world.send(b"3")
    again = world.shard()  # killed: read again from the last checkpoint
    world.read(again)
    again.flush(NOW, final=True)
    assert world.series.kept() == {2: 3.0}


@pytest.mark.parametrize(("policy", "table"), [(HOURS, "aggregate"), (WORDS, "aggregate_text")])
def test_a_deleted_window_does_not_come_back_with_the_next_message(
    world: World, policy: dict[str, Any], table: str
) -> None:
    shard = started(world, policy)
    world.send(b"1", b"2")
    world.send(b"5", topic="other")
    world.read(shard)
    shard.erase(ALL, NOW)
    world.series.rows.clear()
    world.send(b"7")
    world.send(b"8", topic="other")
    for take_over in (lambda: shard, world.shard):
        taken = take_over()
        world.read(taken)
        taken.flush(NOW, final=True)
        assert windows(world, table) == {3: 1, 2: 2}  # a new fragment, and the other topic's


def test_windows_that_began_outside_of_the_range_stay_open(world: World) -> None:
    shard = started(world, HOURS)
    world.send(b"1")
    world.read(shard)
    shard.erase(replace(ALL, end=NOW - 2 * HOUR), NOW)
    world.send(b"2")
    world.read(shard)
    shard.flush(NOW, final=True)
    assert windows(world) == {0: 2}


def test_after_a_deletion_an_earlier_value_may_be_the_last(world: World) -> None:
    shard = started(world, LAST)
    world.send(b"1")
    world.read(shard)
    place = shard.erase(ALL, NOW)
    assert delete_last(world.catalog, ALL, {0: place}) == 1
    assert world.catalog.last_values("anna") == []
    builder = BatchBuilder()
    builder.extend([Channel("anna", "t")], [b"2"], NOW, Sparse(event=[NOW - MINUTE]))
    asyncio.run(world.journal.append(builder.build()))
    world.read(shard)
    shard.flush(NOW, final=True)
    assert [value.value for value in world.catalog.last_values("anna")] == [2.0]


def test_last_values_out_of_range_or_of_other_policies_stay(world: World) -> None:
    shard = started(world, LAST, {**LAST, "name": "also"})
    world.send(b"1")
    world.read(shard)
    for wanted in (
        replace(ALL, start=NOW + 1), replace(ALL, policy="hours"), replace(ALL, owner="eve"),
        replace(ALL, topic="other"),
    ):  # fmt: skip
        place = shard.erase(wanted, NOW)
        assert delete_last(world.catalog, wanted, {0: place}) == 0
    assert delete_last(world.catalog, replace(ALL, policy="also"), {0: place}) == 1
    assert [value.policy for value in world.catalog.last_values("anna")] == ["now"]


def test_filters_forget_what_was_deleted(world: World) -> None:
    shard = started(world, {**ARCHIVE, "filter": {"unique": True}})
    world.send(b"1")
    world.read(shard)
    shard.erase(ALL, NOW)
    world.series.rows.clear()
    world.send(b"1")
    world.read(world.shard())
    world.read(shard)
    shard.flush(NOW, final=True)
    assert world.series.kept() == {1: 1.0}


# --- examples of what was not kept ----------------------------------------------------------------


def test_the_last_few_of_each_reason_are_told_and_outlive_a_restart(world: World) -> None:
    shard = started(world, {**ARCHIVE, "topics": ["t"], "filter": {"max": 5}})
    world.send(*(b"%d" % number for number in range(20)))
    world.send(b"x" * 500, "Ж".encode())
    world.send(b"1", topic="nobody")
    for take_over in (lambda: shard, world.shard):
        taken = take_over()
        world.read(taken)
        taken.flush(NOW, final=True)
        taken.checkpoint(NOW, final=True)
        found = load_examples(world.catalog, "anna")
        told = {Outcome(e.outcome): [] for e in found}
        for example in found:
            told[Outcome(example.outcome)].append(example.offset)
        assert told == {
            Outcome.MAX: [19, 18, 17, 16, 15], Outcome.NOT_A_NUMBER: [21, 20],
            Outcome.SKIPPED: [22],
        }  # fmt: skip
    (long,) = [example for example in found if example.offset == 20]
    assert (long.policy, long.topic, long.size, len(long.excerpt)) == ("all", "t", 500, 120)
    assert load_examples(world.catalog, "eve") == []


def test_each_owner_s_skipped_messages_are_told_beside_those_of_a_busy_one(world: World) -> None:
    shard = started(world, {**ARCHIVE, "topics": ["t"]})
    world.send(b"1", topic="nobody")
    builder = BatchBuilder()
    channels = [Channel("eve", "x"), *[Channel("bob", f"b/{i % 7}") for i in range(50)]]
    builder.extend(channels, [b"2"] * len(channels), NOW)
    asyncio.run(world.journal.append(builder.build()))
    world.read(shard)
    shard.checkpoint(NOW, final=True)
    for owner, offsets in {"anna": [0], "eve": [1], "bob": [51, 50, 49, 48, 47]}.items():
        assert [example.offset for example in load_examples(world.catalog, owner)] == offsets


def test_reading_again_adds_no_example_twice(world: World) -> None:
    shard = started(world, ARCHIVE, {**LAST, "name": "slow"})
    world.send(b"x")
    world.read(shard)
    shard.write_below(1, NOW)  # the ledger is saved
    world.catalog.save_checkpoints("keeper", 0, [Checkpoint("anna/all@1", 0, _state(world))])
    again = world.shard()
    world.read(again)
    again.checkpoint(NOW, final=True)
    found = load_examples(world.catalog, "anna")
    assert sorted(example.policy for example in found) == ["all", "slow"]


def _state(world: World) -> bytes:
    parts = world.catalog.checkpoints("keeper")[0]
    return next(part.state for part in parts if part.part == "anna/all@1")


def test_examples_are_bounded_whatever_the_number_of_policies(world: World) -> None:
    policies = [{**ARCHIVE, "name": f"p{number}"} for number in range(210)]
    shard = started(world, *policies)
    world.send(b"x")
    world.send(b"x", topic="l" * 1001)
    world.read(shard)
    shard.checkpoint(NOW, final=True)
    found = load_examples(world.catalog, "anna")
    assert len(found) == 200
    assert {example.topic for example in found} == {"t"}


def test_who_was_superseded_saves_nothing_more_and_his_heir_has_all(world: World) -> None:
    world.policies(ARCHIVE)
    before = world.shard()
    world.adopt(before)
    world.send(b"1")
    world.read(before)
    heir = world.shard()
    before.flush(NOW, final=True)
    with pytest.raises(Superseded):
        before.checkpoint(NOW, final=True)
    world.work_through(heir)
    assert list(world.series.kept().values()) == [1.0]
    assert load(world.catalog).totals == {Outcome.KEPT: 1}


def test_a_message_meant_for_one_policy_goes_to_no_other(world: World) -> None:
    world.policies(ARCHIVE, {**ARCHIVE, "name": "too"})
    shard = world.shard()
    world.adopt(shard)
    world.send(b"1", b"2")
    world.send(b"3", only="all")
    world.send(b"4", only="nobody")
    world.send(b"5", only="too")
    world.work_through(shard)
    kept: dict[str, set[float]] = {}
    for _, row in world.series.rows:
        kept.setdefault(row["policy"], set()).add(row["number"])
    assert kept == {"all": {1.0, 2.0, 3.0}, "too": {1.0, 2.0, 5.0}}
    assert load(world.catalog).totals == {Outcome.KEPT: 4, Outcome.SKIPPED: 1}


COMPLETE, CUT = 1, 2


def aggregate(**more: Any) -> dict[str, Any]:
    what = {"name": "w", "topics": ["#"], "type": "number", "keep": "aggregate", "every": "1h"}
    return what | more


def marks(world: World) -> dict[tuple[int, int], int]:
    """Minutes from the full hour and width in minutes -> `complete` as last written."""
    hour = NOW // HOUR * HOUR // SECOND
    return {
        ((row["start"] - hour) // 60, (row["end"] - row["start"]) // 60): row["complete"]
        for _, row in sorted(world.series.rows, key=lambda found: found[1]["version"])
    }


def test_windows_that_a_change_of_every_cuts_are_marked(world: World) -> None:
    world.policies(aggregate())
    shard = world.shard()
    world.adopt(shard)
    world.send(b"1", event=NOW - HOUR)
    world.send(b"1")  # 13 minutes past the hour
    world.read(shard)
    world.policies(aggregate(every="15m"))
    world.adopt(shard)
    assert marks(world) == {(-60, 60): COMPLETE, (0, 60): CUT}
    world.send(b"2")
    world.send(b"2", event=NOW + 10 * MINUTE)
    world.send(b"2", event=NOW - HOUR)
    world.work_through(shard)
    shard = world.shard()  # knows it after a restart too
    shard.load()
    world.adopt(shard)
    world.send(b"3", event=NOW - 13 * MINUTE)
    world.send(b"3", event=NOW - 2 * HOUR)
    world.read(shard)
    shard.flush(NOW + HOUR, final=True)
    assert marks(world) == {
        (-60, 60): COMPLETE, (0, 60): CUT, (15, 15): COMPLETE,
        (0, 15): COMPLETE | CUT, (-60, 15): COMPLETE | CUT, (-120, 15): COMPLETE | CUT,
    }  # fmt: skip


@pytest.mark.parametrize("more", [{"functions": ["max"]}, {"buffer": "1m"}, {"for": "7d"}])
def test_windows_that_a_change_goes_on_with_are_not_cut(world: World, more: dict[str, Any]) -> None:
    world.policies(aggregate())
    shard = world.shard()
    world.adopt(shard)
    world.send(b"1")
    world.read(shard)
    world.policies(aggregate(**more))
    world.adopt(shard)
    world.send(b"2")
    world.read(shard)
    shard.flush(NOW + HOUR, final=True)
    assert marks(world) == {(0, 60): COMPLETE}


def test_open_windows_of_a_deleted_policy_are_cut(world: World) -> None:
    world.policies(aggregate())
    shard = world.shard()
    world.adopt(shard)
    world.send(b"1")
    world.read(shard)
    shard.flush(NOW, final=True)  # written already, and nothing has come since
    world.catalog.delete_policy("anna", "w")
    world.revision += 1
    world.adopt(shard)
    assert marks(world) == {(0, 60): CUT}


def test_a_keeper_that_is_behind_cuts_what_has_messages_to_come(world: World) -> None:
    world.policies(aggregate())
    shard = world.shard()
    world.adopt(shard)
    world.send(b"1")
    world.read(shard)
    world.policies(aggregate(every="15m"))
    shard.adopt(world.revision, world.catalog.policies(), NOW + 2 * HOUR, caught_up=False)
    assert marks(world) == {(0, 60): CUT}


def test_devices_whose_clock_stands_at_its_beginning_have_windows_of_their_own(
    world: World,
) -> None:
    """In Tokyo the first day of 1970 began nine hours before time does."""
    sums = {"every": "24h", "timezone": "Asia/Tokyo", "functions": ["sum"]}
    world.policies({"name": "days", "topics": ["#"], "type": "number", "keep": "aggregate"} | sums)
    world.send(b"7", topic="a")  # a window of today besides
    for topic, payload in (("a", b"1"), ("b", b"10"), ("c", b"100"), ("b", b"10")):
        world.send(payload, topic=topic, event=10 * SECOND)
    world.work_through(world.shard())
    found = {(row["topic"], row["start"], row["sum"]) for _, row in world.series.rows}
    today = (NOW + 9 * HOUR) // DAY * DAY - 9 * HOUR
    assert found == {("a", today // SECOND, 7), ("a", 0, 1), ("b", 0, 20), ("c", 0, 100)}


# --- several values of a message ------------------------------------------------------------------


FIELDS = {"t": "/t", "h": "/h"}


def counted(world: World) -> dict[tuple[str, int], tuple[int, int]]:
    """Field and minutes from the full hour -> `count` and `complete` as last written."""
    hour = NOW // HOUR * HOUR // SECOND
    return {
        (row["field"], (row["start"] - hour) // 60): (row["count"], row["complete"])
        for _, row in sorted(world.series.rows, key=lambda found: found[1]["version"])
    }


def test_windows_of_fields_go_on_where_others_come_and_go(world: World) -> None:
    world.policies(aggregate(fields=FIELDS))
    shard = world.shard()
    world.adopt(shard)
    world.send(b'{"t": 1, "h": 2, "x": 3}')
    world.read(shard)
    world.policies(aggregate(fields={"x": "/x", "t": "/t"}))  # one is new, one gone, one moves
    world.adopt(shard)
    assert counted(world)["h", 0] == (1, CUT)
    world.send(b'{"t": 4, "h": 5, "x": 6}')
    world.work_through(shard)
    shard = world.shard()
    shard.load()
    world.adopt(shard)
    world.send(b'{"t": 7}')
    world.read(shard)
    shard.flush(NOW + HOUR, final=True)
    assert counted(world) == {("h", 0): (1, CUT), ("t", 0): (3, COMPLETE), ("x", 0): (1, COMPLETE)}


def test_the_flow_counts_fields_once_also_in_a_replay(world: World) -> None:
    world.policies({**ARCHIVE, "fields": FIELDS})
    shard = world.shard()
    world.adopt(shard)
    world.send(b'{"t": 1, "h": 2}', b'{"h": "x"}', b"{", b'{"t": 3}')
    world.read(shard)
    world.work_through(shard)
    shard = world.shard()
    shard.load()
    world.adopt(shard)
    world.read(shard)
    world.work_through(shard)
    ledger = load(world.catalog)
    found = ledger.fields["anna", "all"]
    assert {name: row[Outcome.KEPT] for name, row in found.items()} == {"t": 2, "h": 1}
    assert found["h"][Outcome.NOT_A_NUMBER] == found["t"][Outcome.MISSING_PATH] == 1
    assert found["t"][Outcome.NOT_JSON] == found["h"][Outcome.NOT_JSON] == 1
    assert ledger.policies["anna", "all"][Outcome.KEPT] == 2


def test_a_message_that_breaks_the_code_counts_for_every_field(world: World, fragile: None) -> None:
    world.policies({**ARCHIVE, "fields": FIELDS})
    shard = world.shard()
    world.adopt(shard)
    world.send(b'{"t": 1, "h": 2}', b'{"t": 13, "h": 2}', b'{"t": 3}')
    world.work_through(shard)
    found = load(world.catalog).fields["anna", "all"]
    assert {name: row[Outcome.DEAD_LETTER] for name, row in found.items()} == {"t": 1, "h": 1}
    assert [row["number"] for _, row in world.series.rows] == [1.0, 2.0, 3.0]


def test_filters_of_fields_forget_what_was_deleted(world: World) -> None:
    shard = started(world, {**ARCHIVE, "fields": FIELDS, "filter": {"unique": True}})
    world.send(b'{"t": 1, "h": 2}')
    world.send(b'{"t": 1, "h": 2}', topic="u")
    world.read(shard)
    shard.erase(ALL, NOW)
    world.send(b'{"t": 1, "h": 2}')
    world.send(b'{"t": 1, "h": 2}', topic="u")
    world.work_through(shard)
    assert [(row["topic"], row["field"]) for _, row in world.series.rows] == [
        ("t", "t"), ("t", "h"), ("u", "t"), ("u", "h"), ("t", "t"), ("t", "h"),
    ]  # fmt: skip
