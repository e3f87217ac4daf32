"""What every journal does, whichever adapter serves. Nothing here assumes dense offsets.

A journal with many writers leaves looking for duplicates to its readers, so `read_all` looks as a
keeper does.
"""

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.servers import kafka

from lakebed.consuming.deduplication import Deduplicator
from lakebed.ingest.building import BatchBuilder
from lakebed.keeper.ledger import Ledger
from lakebed.keeper.replay import divide
from lakebed.ports.journal.operating import ConsumerPosition
from lakebed.stores.journal.memory import MemoryJournal
from lakebed.stores.journal.settings import JournalSection
from lakebed.stores.journal.sqlite import SqliteJournal
from lakebed.vocabulary.attributes import NO_ATTRIBUTES, Attributes, Coded
from lakebed.vocabulary.errors import Conflict, JournalFull, NotFound
from lakebed.vocabulary.messages import Batch, Channel, Entry
from lakebed.vocabulary.sparse import Sparse
from lakebed.vocabulary.times import DAY, HOUR, SECOND

A, B = Channel("ann", "plant/a"), Channel("bob", "plant/a")


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000 * SECOND
        self.wrong = 0

    def __call__(self) -> int:
        return self.now + self.wrong

    def passed(self) -> int:
        return self.now


@dataclass
class Bench:
    """A kind of journal, how to open it again, and the clock it goes by.

    Attributes:
        durable: it outlives its process.
        alone: nobody else writes to it, so that it knows at an append what it has.
        bounded: it keeps to `limit` by itself.
    """

    make: Callable[..., Any]
    durable: bool
    alone: bool = True
    bounded: bool = True
    clock: Clock = field(default_factory=Clock)
    journal: Any = None

    def open(self, **options: Any) -> Any:
        self.close()
        self.journal = self.make(
            JournalSection(**options), clock=self.clock, passed=self.clock.passed
        )
        return self.journal

    def close(self) -> None:
        if self.journal is not None:
            self.journal.close()
        self.journal = None

    def new(self, count: int, of: int) -> int:
        """What an append answers when `count` of its messages are new."""
        return count if self.alone else of


KINDS = [
    "memory",
    "sqlite",
    "sqlite without cache",
    pytest.param("kafka", marks=pytest.mark.server("kafka")),
]


@pytest.fixture(params=KINDS)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterable[Bench]:
    kind = request.param
    if kind == "kafka":
        server = request.getfixturevalue("kafka_server")
        topic = kafka.new_topic("contract")
        bench = kafka_bench(f"kafka://{server.address}/{topic}?partitions=3")
    elif kind == "memory":
        bench = Bench(MemoryJournal, durable=False)
    else:
        cache = 0 if "without" in kind else 2**20
        bench = Bench(partial(SqliteJournal, tmp_path / "journal.db", cache=cache), durable=True)
    yield bench
    bench.close()


def kafka_bench(url: str) -> Bench:
    from lakebed.stores.journal.kafka.journal import KafkaJournal

    return Bench(partial(KafkaJournal, url), durable=True, alone=False, bounded=False)


@pytest.fixture
def journal(bench: Bench) -> Any:
    return bench.open()


def batch(
    payloads: Sequence[bytes],
    channels: Sequence[Channel] | None = None,
    keys: Sequence[bytes] | None = None,
    received: int = 1_800_000_000 * SECOND,
) -> Batch:
    builder = BatchBuilder()
    builder.extend(channels or [A] * len(payloads), payloads, received, Sparse(keys=keys))
    return builder.build()


def append(journal: Any, *args: Any, **kwargs: Any) -> int:
    return asyncio.run(journal.append(*args, **kwargs))


def numbers(start: int, stop: int) -> list[bytes]:
    return [b"%d" % i for i in range(start, stop)]


def payloads(entries: Iterable[Entry]) -> list[bytes]:
    return [payload for entry in entries for payload in entry.batch.payloads]


def read_all(bench: Bench, horizon: int = DAY) -> list[bytes]:
    """Everything held, through `entries`, whatever the partitions, as a keeper sees it."""
    found: list[bytes] = []
    for partition, (offset, _) in bench.journal.extent().items():
        deduplicator = Deduplicator(horizon)
        while entries := bench.journal.entries(partition, offset, 100):
            counts = deduplicator.judge(entries)
            stretch = payloads(entries)
            found += stretch if counts is None else compress(stretch, counts.tolist())
            offset = entries[-1].end
    return found


class Owner:
    """Takes every partition from a given place, and notes what it was told."""

    def __init__(self, place: int | None = None) -> None:
        self.place = place
        self.ends: dict[int, int] = {}

    def assigned(self, partition: int, end: int) -> int | None:
        self.ends[partition] = end
        return self.place

    def revoked(self, partition: int) -> None: ...

    def lost(self, partition: int) -> None: ...


def consumer(journal: Any, name: str, place: int | None = None) -> Any:
    reader = journal.consumer(name)
    reader.subscribe(Owner(place))
    return reader


def drain(reader: Any) -> list[Entry]:
    found: list[Entry] = []
    while entries := reader.poll(0, 7):
        found += [entry for entry in entries if len(entry.batch)]
    return found


def eventually(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def commit(reader: Any, entries: Sequence[Entry]) -> None:
    reader.commit({entry.partition: entry.end for entry in entries})


# --- order and durability -------------------------------------------------------------------------


def test_messages_come_back_as_they_were_in_the_order_of_the_appends(
    bench: Bench, journal: Any
) -> None:
    assert append(journal, batch(numbers(0, 10))) == 10
    assert append(journal, batch(numbers(10, 15))) == 5
    assert read_all(bench) == numbers(0, 15)


def test_all_columns_come_back_but_keys(bench: Bench, journal: Any) -> None:
    builder = BatchBuilder()
    builder.extend(
        [A, B, A], [b"", b"x", b"\0\xff"], 5, Sparse(event=[1, 2, 3], ids=["", "é", "i"])
    )
    shed = Attributes("text/plain", "token:shed", (("parked", "quota"),), (("unit", "°C"),) * 2)
    attributes = Coded.constant(shed, 1)
    builder.extend([B], [b"y"], 9, Sparse(keys=[b"k"], only=["p"], attributes=attributes))
    append(journal, builder.build())
    got = [
        (entry.batch.channels[code], payload, received, event, id, only, given)
        for partition in journal.extent()
        for entry in journal.entries(partition, 0, 10)
        for code, payload, received, event, id, only, given in zip(
            entry.batch.channel.tolist(),
            entry.batch.payloads,
            entry.batch.received.tolist(),
            entry.batch.times.tolist(),
            entry.batch.sparse.ids or (),
            entry.batch.sparse.only or [""] * len(entry.batch),
            entry.batch.sparse.attributes or [NO_ATTRIBUTES] * len(entry.batch),
            strict=True,
        )
        if entry.batch.sparse.keys is None or not bench.alone
    ]
    assert Counter(got) == Counter(
        [
            (A, b"", 5, 1, "", "", NO_ATTRIBUTES),
            (B, b"x", 5, 2, "é", "", NO_ATTRIBUTES),
            (A, b"\0\xff", 5, 3, "i", "", NO_ATTRIBUTES),
            (B, b"y", 9, 9, "", "p", shed),
        ]
    )


def test_what_was_appended_outlives_the_process(bench: Bench) -> None:
    append(bench.open(), batch(numbers(0, 10)))
    if not bench.durable:
        pytest.skip("lives in memory")
    journal = bench.open()
    assert read_all(bench) == numbers(0, 10)
    append(journal, batch(numbers(10, 12)))
    bench.open()
    assert read_all(bench) == numbers(0, 12)


def test_attributes_outlive_the_process(bench: Bench) -> None:
    given = [
        Attributes(principal=f"token:{i % 3}", decisions=(("parked", "quota"),)) for i in range(9)
    ]
    builder = BatchBuilder()
    builder.extend([A] * 9, numbers(0, 9), 5, Sparse(attributes=Coded.of(given)))
    append(bench.open(), builder.build())
    if not bench.durable:
        pytest.skip("lives in memory")
    journal = bench.open()
    entries = [e for p in journal.extent() for e in journal.entries(p, 0, 10)]
    assert [one for e in entries for one in e.batch.sparse.attributes or ()] == given


def test_an_empty_batch_is_no_entry(bench: Bench, journal: Any) -> None:
    assert append(journal, batch([])) == 0
    assert append(journal, batch([]), release=[b"k"]) == 0
    assert read_all(bench) == []


# --- once -----------------------------------------------------------------------------------------


def test_a_key_is_stored_once_within_a_batch(bench: Bench, journal: Any) -> None:
    assert append(
        journal, batch([b"1", b"2", b"3", b"4"], keys=[b"k", b"", b"k", b""])
    ) == bench.new(3, 4)
    assert read_all(bench) == [b"1", b"2", b"4"]


def test_a_key_is_stored_once_across_batches_and_starts(bench: Bench) -> None:
    journal = bench.open()
    append(journal, batch([b"1"], keys=[b"k"]))
    assert append(journal, batch([b"2", b"3"], keys=[b"k", b"l"])) == bench.new(1, 2)
    if bench.durable:
        journal = bench.open()
    assert append(journal, batch([b"4", b"5"], keys=[b"k", b"l"])) == bench.new(0, 2)
    assert read_all(bench) == [b"1", b"3"]


def test_many_keys_in_one_batch_are_all_looked_up(bench: Bench, journal: Any) -> None:
    keys = [b"k%d" % i for i in range(600)] + [b"i\0k%d" % i for i in range(600)]
    append(journal, batch(numbers(0, 1000), keys=keys[:1000]))
    assert append(journal, batch(numbers(0, 1200), keys=keys)) == bench.new(200, 1200)
    assert read_all(bench) == numbers(0, 1200)


def test_what_is_sent_again_is_counted_with_its_channel_and_size(bench: Bench) -> None:
    journal = bench.open()
    append(journal, batch([b"1", b"22"], [A, B], keys=[b"k", b"l"]))
    again = [b"1", b"333", b"22", b"333"]
    append(journal, batch(again, [A, A, B, A], keys=[b"k", b"m", b"l", b"m"]))
    if bench.durable:
        journal = bench.open()
    found: Counter[tuple[Channel, int]] = Counter()
    for partition, (offset, _) in journal.extent().items():
        ledger = Ledger()
        if entries := journal.entries(partition, offset, 100):
            chunk = divide(entries, ledger, Deduplicator(DAY).judge).duplicates
            if chunk is not None:
                channels = [ledger.channels[code] for code in chunk.channel.tolist()]
                found.update(zip(channels, chunk.size.tolist(), strict=True))
    assert found == {(A, 1): 1, (A, 3): 1, (B, 2): 1}
    since = {partition: first for partition, (first, _) in journal.extent().items()}
    assert journal.pending(since) == {A: 4, B: 2}


def test_a_forgotten_key_may_be_used_anew(bench: Bench, journal: Any) -> None:
    append(journal, batch([b"1"], keys=[b"k"]))
    append(journal, batch([]), release=[b"k", b"never seen"])
    assert append(journal, batch([b"2"], keys=[b"k"])) == 1
    assert read_all(bench) == [b"1", b"2"]


def test_a_forgotten_key_may_be_used_anew_for_another_channel(bench: Bench, journal: Any) -> None:
    channels = [Channel("ann", f"plant/{i}") for i in range(20)]
    for i, channel in enumerate(channels):
        append(journal, batch([b"%d" % i], [channel], keys=[b"k"]))
        append(journal, batch([]), release=[b"k"])
    assert sorted(read_all(bench)) == sorted(numbers(0, 20))


def test_an_append_forgets_after_it_has_looked_for_duplicates(bench: Bench, journal: Any) -> None:
    append(journal, batch([b"1"], keys=[b"k"]))
    again = append(journal, batch([b"1 again"], keys=[b"k"]), release=[b"k"])
    assert again == bench.new(0, 1)
    assert append(journal, batch([b"2"], keys=[b"k"]), release=[b"k"]) == 1
    assert append(journal, batch([b"3"], keys=[b"k"])) == 1
    assert read_all(bench) == [b"1", b"2", b"3"]


@pytest.mark.parametrize("key", [b"k", b"i\0k"])
def test_a_key_counts_until_the_horizon(bench: Bench, key: bytes) -> None:
    journal = bench.open(id_horizon=HOUR)
    moment = bench.clock.now
    append(journal, batch([b"1"], keys=[key], received=moment))
    bench.clock.now += HOUR
    again = append(journal, batch([b"2"], keys=[key], received=moment + HOUR))
    assert again == bench.new(0, 1)
    bench.clock.now += 1
    if bench.alone:
        assert journal.known(b"") == []
    assert append(journal, batch([b"3"], keys=[key], received=moment + HOUR + 1)) == 1
    again = append(journal, batch([b"4"], keys=[key], received=moment + HOUR + 1))
    assert again == bench.new(0, 1)
    assert read_all(bench, HOUR) == [b"1", b"3"]
    journal.trim()
    assert journal.known(b"k") == ([b"k"] if key == b"k" else [])


def test_known_keys_are_found_by_prefix(journal: Any) -> None:
    keys = [b"a\0b\0" + bytes([0, 7]), b"a\0b\0\xff\xff", b"a\0c\0x", b"\xff\xff", b"\xff"]
    append(journal, batch(numbers(0, 5), keys=keys))
    assert sorted(journal.known(b"a\0b\0")) == sorted(keys[:2])
    assert sorted(journal.known(b"\xff")) == sorted(keys[3:])
    assert sorted(journal.known(b"")) == sorted(keys)
    append(journal, batch([]), release=keys[:1])
    assert journal.known(b"a\0b\0") == keys[1:2]


# --- consumers ------------------------------------------------------------------------------------


def test_consumers_read_everything_each_at_its_own_pace(journal: Any) -> None:
    append(journal, batch(numbers(0, 10)))
    fast, slow = consumer(journal, "fast"), consumer(journal, "slow")
    assert payloads(drain(fast)) == numbers(0, 10)
    append(journal, batch(numbers(10, 20)))
    assert payloads(drain(fast)) == numbers(10, 20)
    assert payloads(drain(slow)) == numbers(0, 20)


def test_a_consumer_goes_on_where_it_committed(bench: Bench) -> None:
    journal = bench.open()
    append(journal, batch(numbers(0, 10)))
    first = consumer(journal, "keeper")
    entries = drain(first)
    commit(first, entries)
    first.close()
    append(journal, batch(numbers(10, 12)))
    if bench.durable:
        journal = bench.open()
    assert payloads(drain(consumer(journal, "keeper"))) == numbers(10, 12)
    assert payloads(drain(consumer(journal, "another"))) == numbers(0, 12)


def test_a_consumer_may_commit_within_an_entry(journal: Any) -> None:
    append(journal, batch(numbers(0, 10)))
    first = consumer(journal, "keeper")
    entries = drain(first)
    first.commit({entries[-1].partition: int(entries[-1].offsets[-3])})
    first.close()
    assert payloads(drain(consumer(journal, "keeper"))) == numbers(7, 10)


def test_an_owner_may_choose_its_place_and_is_told_the_end(journal: Any) -> None:
    append(journal, batch(numbers(0, 10)))
    ((partition, (start, end)),) = [x for x in journal.extent().items() if x[1][1]]
    (entry,) = journal.entries(partition, start, 10)
    owner = Owner(int(entry.offsets[-2]))
    reader = journal.consumer("keeper")
    reader.subscribe(owner)
    assert payloads(drain(reader)) == numbers(8, 10)
    assert owner.ends[partition] == end == entry.end
    reader.close()


def test_who_reads_to_the_end_has_reached_it(journal: Any) -> None:
    append(journal, batch(numbers(0, 10)))
    append(journal, batch(numbers(10, 20)))
    reader = consumer(journal, "keeper")
    last = drain(reader)[-1]
    assert last.end == journal.extent()[last.partition][1]
    reader.close()


def test_a_waiting_consumer_hears_of_an_append(journal: Any) -> None:
    reader = consumer(journal, "keeper")
    assert reader.poll(0, 10) == []
    heard: list[Entry] = []
    thread = threading.Thread(target=lambda: heard.extend(reader.poll(30, 10)))
    thread.start()
    append(journal, batch([b"1"]))
    thread.join(20)
    assert payloads(heard) == [b"1"]


def test_a_waiting_consumer_can_be_woken(journal: Any) -> None:
    reader = consumer(journal, "keeper")
    thread = threading.Thread(target=reader.poll, args=(60, 10))
    thread.start()
    reader.wake()
    thread.join(20)
    assert not thread.is_alive()


def test_a_name_serves_one_live_consumer(journal: Any) -> None:
    first = journal.consumer("keeper")
    with pytest.raises(ValueError, match="keeper"):
        journal.consumer("keeper")
    first.close()
    journal.consumer("keeper").close()


# --- reading without a consumer -------------------------------------------------------------------


def test_entries_begin_within_an_entry_where_asked(journal: Any) -> None:
    append(journal, batch(numbers(0, 10)))
    append(journal, batch(numbers(10, 20)))
    ((partition, (start, end)),) = [x for x in journal.extent().items() if x[1][1]]
    all_of_it = journal.entries(partition, start, 1000)
    offsets = np.concatenate([entry.offsets for entry in all_of_it]).tolist()
    assert len(offsets) == 20
    for skip, offset in enumerate(offsets):
        entries = journal.entries(partition, offset, 1000)
        assert payloads(entries) == numbers(0, 20)[skip:]
        assert entries[0].offset == offset
    assert journal.entries(partition, end, 10) == []
    assert journal.entries(partition, end + 100, 10) == []


def test_entries_stop_at_about_the_limit(journal: Any) -> None:
    for i in range(10):
        append(journal, batch(numbers(i * 10, i * 10 + 10)))
    ((partition, (start, _)),) = [x for x in journal.extent().items() if x[1][1]]
    assert len(payloads(journal.entries(partition, start, 25))) in range(25, 45)


def test_pending_counts_by_channel(journal: Any) -> None:
    append(journal, batch(numbers(0, 5), [A, A, B, A, B]))
    between = {partition: end for partition, (_, end) in journal.extent().items()}
    append(journal, batch(numbers(0, 3), [B, B, A]))
    assert journal.pending({}) == {A: 4, B: 4}
    assert journal.pending(between) == {A: 1, B: 2}
    assert journal.pending({p: end for p, (_, end) in journal.extent().items()}) == {}


def test_pending_begins_within_an_entry_where_asked(journal: Any) -> None:
    append(journal, batch(numbers(0, 5), [A, A, A, A, B]))
    everything = [entry for p in journal.extent() for entry in journal.entries(p, 0, 10)]
    (entry,) = [entry for entry in everything if A in entry.batch.channels]
    assert journal.pending({entry.partition: int(entry.offsets[3])}) == {A: 1, B: 1}


# --- letting go -----------------------------------------------------------------------------------


def test_the_distance_of_places_is_about_a_number_of_messages(journal: Any) -> None:
    for i in range(20):
        append(journal, batch(numbers(i * 10, i * 10 + 10)))
    ((partition, (start, end)),) = [x for x in journal.extent().items() if x[1][1]]
    assert journal.distance(partition, end, end) == 0
    assert 100 <= journal.distance(partition, start, end) <= 400


def test_trim_waits_for_the_slowest_consumer(bench: Bench) -> None:
    journal = bench.open(span=0)
    fast, slow = consumer(journal, "fast"), consumer(journal, "slow")
    for i in range(4):
        append(journal, batch(numbers(i, i + 1)))
        bench.clock.now += SECOND
    commit(fast, drain(fast))
    assert journal.trim() == 0
    entries = drain(slow)
    commit(slow, entries[:2])
    slow.close()  # so that its place is kept now, not a little later
    assert journal.trim() == 2
    assert read_all(bench) == numbers(2, 4)
    slow = consumer(journal, "slow")
    commit(slow, drain(slow))
    slow.close()
    fast.close()
    assert journal.trim() == 2
    assert read_all(bench) == []


def test_trim_keeps_the_minimum_span(bench: Bench) -> None:
    journal = bench.open(span=HOUR)
    append(journal, batch([b"old"]))
    bench.clock.now += HOUR
    append(journal, batch([b"young"]))
    assert journal.trim() == 0
    bench.clock.now += 1000  # a millisecond
    assert journal.trim() == 1
    assert read_all(bench) == [b"young"]


def test_a_clock_ahead_lets_nothing_go_early(bench: Bench) -> None:
    journal = bench.open(span=HOUR, id_horizon=DAY)
    append(journal, batch([b"old"], keys=[b"k"]))
    bench.clock.now += 25 * 60 * SECOND
    append(journal, batch([b"young"]))
    bench.clock.wrong = 2 * DAY
    if bench.durable:
        journal = bench.open(span=HOUR, id_horizon=DAY)
    assert journal.trim() == 0
    if bench.alone:
        assert append(journal, batch([b"again"], keys=[b"k"])) == 0
    bench.clock.wrong = 0
    bench.clock.now += 36 * 60 * SECOND
    assert journal.trim() == 1
    assert read_all(bench) == [b"young"]


def test_offsets_are_not_used_again_after_everything_was_let_go(bench: Bench) -> None:
    journal = bench.open(span=0)
    append(journal, batch(numbers(0, 10)))
    ends = {partition: end for partition, (_, end) in journal.extent().items()}
    bench.clock.now += SECOND
    assert journal.trim()
    if bench.durable:
        journal = bench.open(span=0)
    assert {partition: end for partition, (_, end) in journal.extent().items()} == ends
    append(journal, batch(numbers(10, 11)))
    assert read_all(bench) == numbers(10, 11)
    assert payloads(drain(consumer(journal, "late"))) == numbers(10, 11)


def test_what_was_let_go_of_is_read_no_more(bench: Bench) -> None:
    journal = bench.open(span=0)
    append(journal, batch(numbers(0, 10)))
    bench.clock.now += SECOND
    assert journal.trim() == 10
    assert [e for p in journal.extent() for e in journal.entries(p, 0, 100)] == []
    append(journal, batch(numbers(10, 11)))
    held = [e for p in journal.extent() for e in journal.entries(p, 0, 100)]
    assert payloads(held) == numbers(10, 11)


# --- no room --------------------------------------------------------------------------------------


def test_a_full_journal_leaves_nothing_behind_and_works_again_later(bench: Bench) -> None:
    if not bench.bounded:
        pytest.skip("its servers have limits of their own")
    journal = bench.open(limit=200_000, span=0)
    reader = consumer(journal, "keeper")
    written = 0
    # incompressible payloads: what counts is bytes on disk
    noise = [bytes((i * 7919 + j * j * 31) % 251 for j in range(1000)) for i in range(20)]
    with suppress(JournalFull):
        while written < 10_000:
            keys = [b"%d" % (written + i) for i in range(20)]
            written += append(journal, batch(noise, keys=keys))
    before = read_all(bench)
    assert len(before) == written > 0
    with pytest.raises(JournalFull):
        append(journal, batch(noise, keys=keys))
    assert read_all(bench) == before
    assert not journal.health().ok or not bench.durable
    commit(reader, drain(reader))
    bench.clock.now += SECOND
    journal.trim()
    assert append(journal, batch(noise, keys=keys)) == 20
    assert journal.health().ok
    assert payloads(drain(reader)) == noise


# --- whom it waits for ----------------------------------------------------------------------------


def test_places_tell_how_far_behind_each_consumer_is_and_who_reads(bench: Bench) -> None:
    clock = bench.clock
    journal = bench.open()
    append(journal, batch(numbers(0, 5)))
    clock.now += 10 * SECOND
    append(journal, batch(numbers(5, 8)))
    reader, gone = consumer(journal, "reads"), consumer(journal, "gone")
    entries = drain(reader)
    drain(gone)
    partition, sixth = entries[-1].partition, int(entries[-1].offsets[-2])
    reader.commit({partition: sixth})
    gone.close()
    clock.now += 20 * SECOND

    def places() -> list[ConsumerPosition]:
        return [place for place in journal.positions() if place.partition == partition]

    eventually(lambda: places()[1].offset == sixth)
    first, second = places()
    start = journal.extent()[partition][0]
    assert (first.name, first.offset, first.live) == ("gone", start, False)
    assert (second.name, second.live) == ("reads", True)
    assert (first.age, second.age) == (30, 20)
    if bench.alone:
        assert (first.behind, second.behind) == (8, 2)
    assert first.behind > second.behind > 0
    reader.commit({partition: entries[-1].end})
    reader.close()
    first, second = places()
    assert (second.behind, second.age, second.live) == (0, None, False)
    assert first.age == 30


def test_a_consumer_that_is_gone_can_be_dropped_and_holds_nothing_any_more(bench: Bench) -> None:
    journal = bench.open(span=0)
    append(journal, batch(numbers(0, 5)))
    bench.clock.now += SECOND
    reader, gone = consumer(journal, "reads"), consumer(journal, "gone")
    (entry,) = drain(gone)
    gone.commit({entry.partition: entry.offset + 1})  # it may still be on its way to the disk
    commit(reader, drain(reader))
    with pytest.raises(Conflict):
        journal.drop_consumer("gone")
    gone.close()
    assert journal.trim() == 0
    journal.drop_consumer("gone")
    assert {place.name for place in journal.positions()} == {"reads"}
    eventually(lambda: bool(reader.poll(0, 7)) or journal.trim() > 0)
    assert read_all(bench) == []
    with pytest.raises(NotFound):
        journal.drop_consumer("gone")
    if bench.durable:
        reader.close()
        assert {place.name for place in bench.open().positions()} == {"reads"}


def test_a_name_that_was_dropped_may_be_used_anew(journal: Any) -> None:
    append(journal, batch(numbers(0, 5)))
    reader = consumer(journal, "again")
    commit(reader, drain(reader))
    reader.close()
    journal.drop_consumer("again")
    assert payloads(drain(consumer(journal, "again"))) == numbers(0, 5)


def test_what_is_whole_knows_of_no_damage(journal: Any) -> None:
    append(journal, batch(numbers(0, 5)))
    assert not journal.damage().known
    journal.acknowledge_damage(journal.damage())
    assert journal.damage().messages == 0


def test_pressure_grows_with_what_is_held_where_something_limits_it(bench: Bench) -> None:
    limit = 200_000
    journal = bench.open(span=0, limit=limit)
    if not bench.bounded:  # its topic has no retention
        assert journal.pressure() is None
        return
    journal.consumer("keeper")
    before = journal.pressure()
    append(journal, batch([bytes(50_000), random.Random(1).randbytes(50_000)]))
    after = journal.pressure()
    assert (before.by, after.by) == ("bytes", "bytes")
    assert before.full < 0.3
    assert 0.25 < after.full - before.full < 0.6
    assert journal.health().detail["pressure"] == after.full


def test_what_is_held_is_not_let_go_of(bench: Bench) -> None:
    journal = bench.open(span=0)
    append(journal, batch([b"1", b"2"]))
    bench.clock.now += HOUR
    release = journal.pin(0)
    assert journal.trim() == 0
    release()
    assert journal.trim() == 2
