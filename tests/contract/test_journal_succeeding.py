"""A journal that goes on where another one ended: its offsets, and the keys it was told of."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.servers.kafka import KafkaAddress, new_topic

from lakebed.ingest.building import BatchBuilder
from lakebed.ingest.keys import id_key, packet_key, packet_prefix
from lakebed.ports.journal.journal import Journal
from lakebed.ports.journal.succession import Predecessor, Successor
from lakebed.stores.journal.sqlite import SqliteJournal
from lakebed.vocabulary.messages import Batch, Channel
from lakebed.vocabulary.sparse import Sparse
from lakebed.vocabulary.times import now

pytest.importorskip("confluent_kafka")

from lakebed.stores.journal.kafka.journal import KafkaJournal

PARTITIONS = 3
KEY = packet_key("ann", "client", 7)
Open = Callable[[], KafkaJournal]


@pytest.fixture
def open_journal(kafka_server: KafkaAddress) -> Iterator[Open]:
    """Opens journals on one topic of the test; several are several processes to Kafka."""
    url = f"kafka://{kafka_server.address}/{new_topic('succeeding')}?partitions={PARTITIONS}"
    opened: list[KafkaJournal] = []

    def open() -> KafkaJournal:
        opened.append(KafkaJournal(url))
        return opened[-1]

    yield open
    for journal in opened:
        journal.close()


def batch(topic: str, key: bytes = b"") -> Batch:
    builder = BatchBuilder()
    builder.extend([Channel("ann", topic)], [b"1"], now(), Sparse(keys=[key] if key else None))
    return builder.build()


def forgotten(journal: Journal, key: bytes) -> set[int]:
    """The partitions that are told to forget the key."""
    extent = journal.extent()
    return {
        partition
        for partition, (first, _) in extent.items()
        if any(key in entry.release for entry in journal.entries(partition, first, 100))
    }


@pytest.mark.server("kafka")
@pytest.mark.parametrize("end", [0, 1_000, (1 << 20) - 1, 1 << 20, 30_000_000])
def test_every_offset_is_greater_than_where_the_other_one_ended(
    open_journal: Open, end: int
) -> None:
    journal = open_journal()
    assert isinstance(journal, Successor)
    starts = journal.succeed(end, [])
    assert journal.succeed(end, []) == starts
    assert sorted(starts) == list(range(PARTITIONS))
    for topic in "abcdefgh":
        asyncio.run(journal.append(batch(topic)))
    for partition, start in starts.items():
        assert start > end
        assert journal.extent()[partition][1] >= start
        for entry in journal.entries(partition, 0, 100):
            assert entry.offset >= start
            (channel,) = entry.batch.channels
            assert journal.partition_of(channel) == partition
    assert journal.pending(starts).total() == 8
    assert journal.pending({}).total() == 8


@pytest.mark.server("kafka")
def test_a_key_that_is_carried_over_is_forgotten_by_every_partition(open_journal: Open) -> None:
    open_journal().succeed(5, [KEY])
    gateway = open_journal()
    assert gateway.known(packet_prefix("ann", "client")) == [KEY]
    asyncio.run(gateway.append(batch("a", KEY)))  # the packet comes again
    other = open_journal()  # and its release by another gateway
    assert other.known(packet_prefix("ann", "client")) == [KEY]
    asyncio.run(other.append(BatchBuilder().build(), release=[KEY]))
    assert forgotten(other, KEY) == set(range(PARTITIONS))
    assert open_journal().known(packet_prefix("ann", "client")) == []


@pytest.mark.server("kafka")
def test_a_key_of_its_own_is_forgotten_where_its_message_is(open_journal: Open) -> None:
    journal = open_journal()
    journal.succeed(5, [])
    asyncio.run(journal.append(batch("a", KEY)))
    asyncio.run(journal.append(BatchBuilder().build(), release=[KEY]))
    assert forgotten(journal, KEY) == {journal.partition_of(Channel("ann", "a"))}


def test_the_embedded_journal_tells_all_keys_within_the_horizon(tmp_path: Path) -> None:
    clock = [now()]
    journal = SqliteJournal(
        tmp_path / "journal.db", clock=lambda: clock[0], passed=lambda: clock[0]
    )
    try:
        assert isinstance(journal, Predecessor)
        assert list(journal.remembered()) == []
        asyncio.run(journal.append(batch("a", id_key("ann", "a", "old"))))
        clock[0] += 2 * 86_400 * 1_000_000
        keys = [id_key("ann", "a", "new"), KEY]
        for key in keys:
            asyncio.run(journal.append(batch("a", key)))
        found = [
            (key, int(t))
            for keys, at in journal.remembered()
            for key, t in zip(keys, at, strict=True)
        ]
        assert sorted(found) == sorted((key, clock[0]) for key in keys)
    finally:
        journal.close()
