"""A lost series created again from a journal in which messages stand twice."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.keyed import KeyedSeries
from tests.shards import claimed_shard

from lakebed.ingest.building import BatchBuilder
from lakebed.ingest.keys import id_key
from lakebed.keeper.chunk import Chunk
from lakebed.keeper.rebuild import Rebuild, Rebuilt
from lakebed.keeper.task import PolicyTask
from lakebed.kinds import TABLES
from lakebed.ports.catalog.checkpoints import Checkpoint
from lakebed.runtime.settings import Settings
from lakebed.stores.catalog.sql import SqlCatalog, open_catalog
from lakebed.stores.journal.memory import MemoryJournal
from lakebed.vocabulary.messages import Channel, Entry
from lakebed.vocabulary.sparse import Sparse
from lakebed.vocabulary.times import HOUR, SECOND, now

NOW = now() + HOUR  # policies are younger than that: only what came after them is theirs
COMMON: dict[str, Any] = {"topics": ["#"], "type": "number"}
POLICIES = [
    {"name": "all", "keep": "archive", **COMMON},
    {"name": "few", "keep": "last_n", "count": 3, **COMMON},
    {"name": "hours", "keep": "aggregate", "every": "1h", "functions": ["count", "sum"], **COMMON},
]


class ManyWriters(MemoryJournal):
    """A journal that leaves it to its readers to find duplicates, as the one on Kafka does."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[Entry] = []

    def write(self, *numbers: int) -> None:
        """Append a message for each number, under the number as its id."""
        builder = BatchBuilder()
        builder.extend(
            [Channel("anna", "t")] * len(numbers),
            [b"%d" % number for number in numbers],
            NOW + len(self.log) * SECOND,
            Sparse(keys=[id_key("anna", "a", str(number)) for number in numbers]),
        )
        end = self.log[-1].end if self.log else 0
        self.log.append(Entry(0, end, builder.build()))

    def extent(self) -> dict[int, tuple[int, int]]:
        return {0: (self.log[0].offset, self.log[-1].end)}

    def entries(self, partition: int, offset: int, limit: int) -> list[Entry]:
        return [entry for entry in self.log if entry.offset >= offset][:1]


class World:
    def __init__(self, folder: Path) -> None:
        self.catalog: SqlCatalog = open_catalog("sqlite:catalog.db", folder)
        self.catalog.put_policies("anna", POLICIES)
        self.journal, self.series = ManyWriters(), KeyedSeries()
        self.settings = Settings()

    def work_through(self) -> None:
        """All that is in the journal, to its end; then the keeper is gone."""
        shard = claimed_shard(self.catalog, self.series, self.journal, self.settings, end=0)
        shard.adopt(self.catalog.revision(), self.catalog.policies(), NOW)
        end = self.journal.extent()[0][1]
        while shard.offset < end:
            shard.absorb(self.journal.entries(0, shard.offset, 1000))
        shard.flush(NOW, final=True)
        shard.checkpoint(NOW, final=True)

    def saved(self) -> dict[int, list[Checkpoint]]:
        return self.catalog.checkpoints("keeper")

    def lose_series(self, base: dict[int, Sequence[Checkpoint]] | None = None) -> Rebuilt:
        """Begin with an empty one; the rows of a backup are given with its checkpoints."""
        if base is None:
            self.series = KeyedSeries()
        return Rebuild(
            self.journal, self.series, self.catalog, self.settings,  # type: ignore[arg-type]
            self.saved(), base or {}, TABLES, lambda done, of: None,
        ).run()  # fmt: skip


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.catalog.close()


def test_every_message_is_written_once_again(world: World) -> None:
    world.journal.write(7)
    world.journal.write(7, 8)
    world.journal.write(8, 9, 7)
    world.work_through()
    before = world.series.rows()
    assert sorted(row["number"] for table, row in before if table == "archive") == [7, 8, 9]
    report = world.lose_series()
    assert world.series.rows() == before
    assert report.missing == 0


def test_counters_know_the_value_before_each_window_again(world: World) -> None:
    counters = {
        "name": "counters", "keep": "aggregate", "every": "2s", **COMMON,
        "functions": ["increase", "time_weighted_avg"],
    }  # fmt: skip
    world.catalog.put_policies("anna", [counters])
    for number in (7, 9, 2, 30, 8, 40):
        world.journal.write(number)
    world.work_through()
    before = world.series.rows()
    points = [len(row["moments"]) for _, row in before if row["policy"] == "counters"]
    assert sum(points) == 6 + len(points) - 1  # all values, and of each window the one before
    world.lose_series()
    assert world.series.rows() == before


def test_messages_that_are_gone_are_told_though_as_many_duplicates_are_left(world: World) -> None:
    world.journal.write(1, 2)
    world.journal.write(3, 3, 3)
    world.work_through()
    del world.journal.log[0]
    assert world.lose_series().missing == 2


def test_what_the_backup_has_seen_is_a_duplicate_behind_it(world: World) -> None:
    world.journal.write(1, 2)
    world.work_through()
    base, rows = world.saved(), world.series.rows()
    world.journal.write(2, 3)
    world.work_through()
    before = world.series.rows()
    assert len(before) > len(rows)
    del world.journal.log[0]
    report = world.lose_series(base)
    assert world.series.rows() == before
    assert report.missing == 0


def test_a_journal_with_one_writer_is_read_again_as_it_is(world: World) -> None:
    builder = BatchBuilder()
    builder.extend([Channel("anna", "t")] * 3, [b"1", b"1", b"2"], NOW)
    world.journal.log.append(Entry(0, 0, builder.build()))
    world.work_through()
    before = world.series.rows()
    assert world.lose_series().missing == 0
    assert world.series.rows() == before


def test_a_message_that_breaks_a_policys_code_costs_no_other_message(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.journal.write(1, 2, 3)
    world.journal.write(4, 5)
    world.work_through()
    absorb = PolicyTask.absorb

    def break_on_2(task: PolicyTask, chunk: Chunk) -> Any:
        outcomes = absorb(task, chunk)  # the task has half of it by then
        if task.policy.name == "all" and b"2" in chunk.payloads:
            raise ZeroDivisionError
        return outcomes

    monkeypatch.setattr(PolicyTask, "absorb", break_on_2)
    report = world.lose_series()
    rows = world.series.rows()
    assert sorted(row["number"] for table, row in rows if table == "archive") == [1, 3, 4, 5]
    assert sorted(row["number"] for table, row in rows if table == "last_n") == [3, 4, 5]
    assert [row["count"] for table, row in rows if table == "aggregate"] == [5]
    assert report.failed == 1
    assert report.missing == 0
