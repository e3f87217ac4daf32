"""One partition's state, divided among several, goes on as if it had never been one."""

import random
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.shards import claimed_shard

from lakebed.ingest.building import BatchBuilder
from lakebed.ingest.keys import id_key, packet_key
from lakebed.keeper import ledger as ledgers
from lakebed.keeper import splitting
from lakebed.keeper.shard import Shard
from lakebed.keeper.state import PartitionState
from lakebed.kinds.kind import Site, Values
from lakebed.kinds.last_value import LastValueState
from lakebed.kinds.tables import COMPLETE
from lakebed.policies.document import parse
from lakebed.policies.outcomes import CODES
from lakebed.ports.health import Health
from lakebed.runtime.settings import Settings
from lakebed.stores.catalog.sql import SqlCatalog, open_catalog
from lakebed.stores.journal.memory import MemoryJournal
from lakebed.vocabulary.messages import Batch, Channel, Entry
from lakebed.vocabulary.sparse import Sparse
from lakebed.vocabulary.times import DAY, MINUTE, SECOND

NOW = 1_790_000_000 * SECOND
END = NOW + 30 * DAY
START = 1 << 20
PARTITIONS = range(3)
COMMON: dict[str, Any] = {"topics": ["n/#"], "type": "number"}
WORDS: dict[str, Any] = {"topics": ["w/#"], "type": "text"}
POLICIES = [
    {"name": "all", "keep": "archive", **COMMON},
    {"name": "few", "keep": "last_n", "count": 3, **COMMON},
    {"name": "now", "keep": "last_value", "every": "1s", **COMMON},
    {"name": "hours", "keep": "aggregate", "every": "1h", **COMMON,
     "functions": ["count", "sum", "first", "last", "stddev", "p50"]},
    {"name": "thin", "keep": "archive", **COMMON, "filter": {"unique": True, "max_rate": "20s"}},
    {"name": "words", "keep": "aggregate", "every": "24h", **WORDS,
     "functions": ["count", "unique", "top", "first", "last"]},
    {"name": "said", "keep": "last_value", **WORDS},
]  # fmt: skip


class Rows:
    """A series that keeps the newest row of each key, and says what a reader would see."""

    def __init__(self) -> None:
        self.found: dict[tuple[Any, ...], dict[str, Any]] = {}

    def write(self, table: str, rows: pa.Table) -> None:
        for row in rows.to_pylist():
            if "version" in row:
                key = (table, row["policy"], row["topic"], row["start"], row["fragment"])
                known = self.found.get(key)
                assert known is None or known["version"] <= row["version"]
            elif "slot" in row:
                key = (table, row["topic"], row["ring"], row["slot"])
            else:
                key = (table, row["policy"], row["topic"], row["time"], row["offset"])
            self.found[key] = row

    def health(self) -> Health:
        return Health(True)

    def seen(self) -> list[str]:
        """Rows without their places."""
        places = {
            "offset",
            "partition",
            "version",
            "first_offset",
            "last_offset",
            "ring",
            "fragment",
        }
        return sorted(
            repr([(name, _rounded(row[name])) for name in sorted(row) if name not in places])
            for row in self.found.values()
        )


def _rounded(value: Any) -> Any:
    return f"{value:.9g}" if isinstance(value, float) else value


def messages(seed: int, count: int) -> Batch:
    dice = random.Random(seed)
    builder = BatchBuilder()
    for n in range(count):
        received = NOW + (seed * count + n) * SECOND
        event = received - dice.choice((0, 0, 0, 90)) * MINUTE
        number = dice.random() < 0.7
        topic = f"{'n' if number else 'w'}/{dice.randrange(9)}"
        payload = b"%d" % dice.randrange(20) if dice.random() < 0.95 else b"\xff"
        builder.extend([Channel("anna", topic)], [payload], received, Sparse(event=[event]))
    return builder.build()


def partition_of(channel: Channel) -> int:
    return zlib.crc32(channel.topic.encode()) % len(PARTITIONS)


class World:
    def __init__(self, folder: Path, name: str) -> None:
        self.catalog: SqlCatalog = open_catalog(f"sqlite:{name}.db", folder)
        self.catalog.put_policies("anna", POLICIES)
        self.series = Rows()

    def shard(self, partition: int) -> Shard:
        shard = claimed_shard(
            self.catalog, self.series, MemoryJournal(), Settings(), partition=partition, end=0
        )
        shard.adopt(self.catalog.revision(), self.catalog.policies(), NOW)
        return shard

    def finish(self, shard: Shard, at: int = NOW) -> None:
        """Write and save; windows that are open at that time stay in memory."""
        shard.flush(at, final=True)
        shard.checkpoint(at, final=True)

    def last(self) -> list[tuple[Any, ...]]:
        found = self.catalog.last_values("anna")
        return [(v.policy, v.topic, v.time, v.value, v.size) for v in found]


@pytest.fixture
def worlds(tmp_path: Path) -> Iterator[tuple[World, World]]:
    pair = World(tmp_path, "one"), World(tmp_path, "many")
    yield pair
    for world in pair:
        world.catalog.close()


def split_into(one: World, many: World) -> None:
    """What a migration does, without the rest of it."""
    parts = one.catalog.checkpoints("keeper", 0)[0]
    starts = dict.fromkeys(PARTITIONS, START)
    made = splitting.split(parts, one.catalog, Settings(), partition_of, starts)
    for partition, own in made.items():
        many.catalog.save_checkpoints("keeper", partition, own)
    many.series.found = dict(one.series.found)
    many.catalog.upsert_last(one.catalog.last_values("anna"))


@pytest.mark.parametrize("seed", range(4))
def test_every_policy_goes_on_as_if_there_had_always_been_one_partition(
    worlds: tuple[World, World], seed: int
) -> None:
    one, many = worlds
    whole = one.shard(0)
    before, after = messages(2 * seed, 300), messages(2 * seed + 1, 300)
    whole.absorb([Entry(0, 0, before)])
    one.finish(whole)
    split_into(one, many)
    whole.absorb([Entry(0, 300, after)])
    one.finish(whole, END)
    place = np.array([partition_of(channel) for channel in after.channels])[after.channel]
    for partition in PARTITIONS:
        shard = many.shard(partition)
        assert shard.offset == START
        shard.absorb([Entry(partition, START, after.take(np.flatnonzero(place == partition)))])
        many.finish(shard, END)
    assert many.last() == one.last()
    assert _counts(many) == _counts(one)
    assert many.series.seen() == one.series.seen()


class PartitionedRows(Rows):
    """A series after its partition has grown: rows of one partition never replace another's."""

    def write(self, table: str, rows: pa.Table) -> None:
        for row in rows.to_pylist():
            if "version" in row:
                names = ("policy", "topic", "start", "partition", "fragment")
                self.found[(table, *(row[name] for name in names))] = row

    def windows(self) -> dict[tuple[str, str, int], tuple[int, bool]]:
        """The count of each window, and whether it is complete, as readers merge fragments."""
        found: dict[tuple[str, str, int], tuple[int, bool]] = {}
        for row in self.found.values():
            key = (row["policy"], row["topic"], row["start"])
            count, whole = found.get(key, (0, True))
            found[key] = count + row["count"], whole and bool(row["complete"] & COMPLETE)
        return found


def grow(world: World, before: int, after: int, start: int) -> None:
    """What the adoption of a topic with more partitions does, without the rest of it."""
    for former in range(before):
        starts = dict.fromkeys(range(former, after, before), start)
        made = splitting.split(
            world.catalog.checkpoints("keeper", former)[former], world.catalog, Settings(),
            lambda channel: _hash(channel) % after, starts, former=former,
        )  # fmt: skip
        for partition, own in made.items():
            world.catalog.save_checkpoints("keeper", partition, own)


def _hash(channel: Channel) -> int:
    return zlib.crc32(channel.topic.encode())


@pytest.mark.parametrize("seed", range(3))
def test_windows_that_are_open_when_partitions_grow_count_once_and_become_complete(
    worlds: tuple[World, World], seed: int
) -> None:
    one, many = worlds
    one.series, many.series = PartitionedRows(), PartitionedRows()
    whole, partitions = one.shard(0), 1
    for number in range(3):
        batch, start = messages(3 * seed + number, 200), (number + 1) * START
        whole.absorb([Entry(0, number * 200, batch)])
        one.finish(whole, NOW if number < 2 else END)
        if number:
            grow(many, partitions, 2 * partitions, start)
            partitions *= 2
        place = np.array([_hash(channel) % partitions for channel in batch.channels])
        for partition in range(partitions):
            shard = many.shard(partition)
            mine = batch.take(np.flatnonzero(place[batch.channel] == partition))
            shard.absorb([Entry(partition, start, mine)])
            many.finish(shard, NOW if number < 2 else END)
        assert {key: count for key, (count, _) in many.series.windows().items()} == {
            key: count for key, (count, _) in one.series.windows().items()
        }
    assert all(complete for _, complete in one.series.windows().values())
    assert all(complete for _, complete in many.series.windows().values())
    assert _counts(many) == _counts(one)


def _counts(world: World) -> tuple[Any, ...]:
    ledger = ledgers.load(world.catalog)
    order = sorted(range(len(ledger.channels)), key=lambda code: ledger.channels[code])
    columns = (ledger.sizes, ledger.first_seen, ledger.last_seen)
    return (
        [ledger.channels[code] for code in order],
        ledger.outcomes[order].tolist(),
        [column[order].tolist() for column in columns],
        {key: row.tolist() for key, row in sorted(ledger.policies.items())},
    )


def test_each_partition_knows_the_channels_that_are_its_own(worlds: tuple[World, World]) -> None:
    one, many = worlds
    whole = one.shard(0)
    whole.absorb([Entry(0, 0, messages(1, 200))])
    one.finish(whole)
    split_into(one, many)
    found = many.catalog.checkpoints("keeper", part=ledgers.PART)
    for partition in PARTITIONS:
        (part,) = found[partition]
        channels = ledgers.Ledger.from_bytes(part.state).channels
        assert channels
        assert {partition_of(channel) for channel in channels} == {partition}


def test_a_policy_that_kept_nothing_yet_and_a_home_without_messages_are_divided_too(
    worlds: tuple[World, World],
) -> None:
    one, many = worlds
    one.finish(one.shard(0))
    split_into(one, many)
    (part,) = many.catalog.checkpoints("keeper", part=ledgers.PART)[2]
    assert part.offset == START
    assert ledgers.Ledger.from_bytes(part.state).outcomes.shape == (0, CODES)


def test_a_key_that_was_stored_is_a_double_in_every_partition(
    worlds: tuple[World, World],
) -> None:
    one, _ = worlds
    keys = [id_key("anna", "a", "first"), packet_key("anna", "client", 7)]
    at = np.array([NOW, NOW], np.int64)
    starts = dict.fromkeys(PARTITIONS, START)
    made = splitting.split([], one.catalog, Settings(), partition_of, starts, [(keys, at)])
    for partition in PARTITIONS:
        assert {part.offset for part in made[partition]} == {START}
        state = PartitionState.decode(made[partition], Settings().journal.id_horizon)
        builder = BatchBuilder()
        fresh = id_key("anna", "a", "second")
        builder.extend(
            [Channel("anna", "t")] * 3, [b"1"] * 3, NOW + SECOND, Sparse(keys=[*keys, fresh])
        )
        verdict = state.deduplicator.judge([Entry(partition, START, builder.build())])
        assert verdict is not None
        assert verdict.tolist() == [False, False, True]


def test_values_that_wait_to_be_written_wait_under_their_new_numbers() -> None:
    policy = parse({"name": "now", "keep": "last_value", "every": "1h", **COMMON}, "anna", 1)
    topics = ["c", "a"]
    kind = LastValueState(Site(policy, 0, topics))
    columns = [np.array(column, np.int64) for column in ([NOW] * 3, range(3), [NOW] * 3, [1] * 3)]
    numbers = np.array([0.5, 1.5, 2.5])
    channel = np.arange(3, dtype=np.int32)
    kind.absorb(Values(channel, *columns, numbers, None, ["x", "y", "z"]))
    kind.renumber(np.array([1, -1, 0], np.int32))
    (effect,) = kind.drain(NOW, 3, final=True)
    written = effect.values
    assert [(v.topic, v.value, v.offset, v.id) for v in written] == [
        ("c", 2.5, 2, "z"),
        ("a", 0.5, 0, "x"),
    ]
