"""The topic of the journal: its settings, its retention, and records that are gone or damaged."""

import asyncio
import threading
import time
from pathlib import Path

import pytest
from tests.rows import Rows
from tests.servers.kafka import KafkaAddress, new_topic

from lakebed.ingest.building import BatchBuilder
from lakebed.keeper.keeper import Keeper
from lakebed.runtime.settings import Settings
from lakebed.stores.catalog.sql import open_catalog
from lakebed.stores.journal import blocks
from lakebed.vocabulary.errors import (
    SettingsError,
    StoreUnavailable,
    Unavailable,
)
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.times import HOUR, now

pytest.importorskip("confluent_kafka")
pytestmark = pytest.mark.server("kafka")

from confluent_kafka import Producer  # noqa: E402
from confluent_kafka.admin import (  # noqa: E402
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
)
from tests.kafka_journals import (  # noqa: E402
    Open,
    Places,
    batch,
    drain,
    durable,
    eventually,
    numbers,
)

from lakebed.stores.journal.kafka import configuration  # noqa: E402
from lakebed.stores.journal.kafka.address import parse  # noqa: E402
from lakebed.stores.journal.kafka.cluster import Cluster as KafkaCluster  # noqa: E402
from lakebed.stores.journal.kafka.journal import KafkaJournal  # noqa: E402
from lakebed.stores.journal.kafka.topic import Topic  # noqa: E402


def test_a_topic_with_other_partitions_is_refused(open_journal: Open) -> None:
    open_journal("partitions=2")
    with pytest.raises(SettingsError, match="2 partitions, not 3"):
        open_journal("partitions=3")
    assert open_journal("").health().detail["partitions"] == 2


def test_a_retention_of_kafkas_own_is_told(kafka_server: KafkaAddress, admin: AdminClient) -> None:
    name = new_topic("others")
    admin.create_topics([NewTopic(name, 1, 1, config={"retention.ms": "60000"})])[name].result(30)
    journal = KafkaJournal(f"kafka://{kafka_server.address}/{name}")
    health = journal.health()
    journal.close()
    assert not health.ok
    assert "retention" in health.message


def test_records_gone_before_they_were_read_are_told(open_journal: Open) -> None:
    journal = open_journal("partitions=1")
    for i in range(3):
        asyncio.run(durable(journal, batch(numbers(i, i + 1))))
    consumer = journal.consumer("keeper")
    consumer.close()
    journal._topic.delete({0: 2})
    consumer = journal.consumer("keeper")
    owner = Places()
    consumer.subscribe(owner)
    assert [entry.batch.payloads for entry in drain(consumer)] == [[b"2"]]
    assert "2 records" in journal.health().message
    consumer.close()


def test_a_partition_emptied_before_it_was_read_is_passed_to_its_end(open_journal: Open) -> None:
    journal = open_journal("partitions=1")
    asyncio.run(durable(journal, batch([b"1"])))
    journal.consumer("keeper").close()
    journal._topic.delete({0: 1})
    consumer = journal.consumer("keeper")
    consumer.subscribe(Places())
    (entry,) = drain(consumer)
    assert entry.end == journal.extent()[0][1]
    consumer.close()


def test_a_place_behind_the_end_is_not_silently_started_over(open_journal: Open) -> None:
    journal = open_journal("partitions=1")
    asyncio.run(durable(journal, batch([b"1"])))
    consumer = journal.consumer("keeper")
    consumer.subscribe(Places(journal.extent()[0][1] * 5))
    with pytest.raises(StoreUnavailable, match="ends before what was read"):
        consumer.poll(30, 10)
    consumer.close()


def test_a_record_that_is_not_ours_is_passed_over_and_told(
    open_journal: Open, kafka_server: KafkaAddress
) -> None:
    journal = open_journal("partitions=1")
    asyncio.run(durable(journal, batch([b"1"])))
    stranger = Producer({"bootstrap.servers": kafka_server.address})
    stranger.produce(journal.health().detail["topic"], b"hello", partition=0)
    assert stranger.flush(30) == 0
    asyncio.run(durable(journal, batch([b"2"])))
    consumer = journal.consumer("keeper")
    consumer.subscribe(Places())
    entries = drain(consumer)
    assert [p for entry in entries for p in entry.batch.payloads] == [b"1", b"2"]
    assert not journal.health().ok
    consumer.close()


def test_a_keeper_stops_at_a_block_of_a_newer_version_and_leaves_it_to_a_newer_keeper(
    open_journal: Open, kafka_server: KafkaAddress, tmp_path: Path
) -> None:
    journal = open_journal("partitions=1")
    catalog = open_catalog("sqlite:catalog.db", tmp_path)
    policy = {"name": "all", "topics": ["#"], "type": "number", "keep": "archive"}
    catalog.put_policies("ann", [policy])
    asyncio.run(durable(journal, batch([b"1"])))
    gateway = Producer({"bootstrap.servers": kafka_server.address})
    newer = b"LBK3" + blocks.encode(batch([b"2"]))[4:]
    gateway.produce(journal.health().detail["topic"], newer, partition=0)
    assert gateway.flush(30) == 0
    asyncio.run(durable(journal, batch([b"3"])))
    failures: list[BaseException] = []
    keeper = Keeper(journal, Rows(), catalog, Settings(), failures.append)
    keeper.start()
    try:
        eventually(lambda: "written by a newer version; upgrade" in keeper.health().message)
        assert not keeper.health().ok
        eventually(lambda: journal.readers("keeper") == {})
        assert not journal.damage().known
        assert (journal.positions()[0].offset >> 20) <= 1
        with pytest.raises(Unavailable, match="newer version"):
            journal.pending({})
    finally:
        keeper.stop(10)
        catalog.close()
    assert not failures


def partitions(keeper: Keeper) -> int:
    return len(keeper.health().detail["behind"])


@pytest.mark.slow
def test_a_long_buffer_is_written_before_kafkas_retention_deletes_it(
    kafka_server: KafkaAddress, admin: AdminClient, tmp_path: Path
) -> None:
    """A topic that somebody else made, with a retention: read late is lost."""
    retention = 20.0
    name = new_topic("retained")
    kept = {"retention.ms": f"{retention * 1000:.0f}", "segment.ms": "1000"}
    admin.create_topics([NewTopic(name, 1, config=kept)])[name].result(30)
    journal = KafkaJournal(f"kafka://{kafka_server.address}/{name}")
    catalog = open_catalog("sqlite:catalog.db", tmp_path)
    catalog.put_policies(
        "ann",
        [{"name": "rare", "topics": ["#"], "type": "number", "keep": "archive", "buffer": "1h"}],
    )
    rows, failures = Rows(), list[BaseException]()
    keeper = Keeper(journal, rows, catalog, Settings(), failures.append)
    keeper.start()
    stopped = threading.Event()

    def trim() -> None:
        while not stopped.wait(1):
            journal.trim()

    trimming = threading.Thread(target=trim)
    trimming.start()
    try:
        eventually(lambda: partitions(keeper) == 1)
        keeper.policies_changed()  # at a start, when no clock was seen before, all is written
        began = time.monotonic()
        builder = BatchBuilder()
        builder.extend([Channel("ann", "seldom")], [b"1"], now())
        asyncio.run(durable(journal, builder.build()))
        first, end = journal.extent()[0]
        eventually(lambda: rows.rows != [], retention)
        assert time.monotonic() - began > retention / 4  # it waits as long as it may
        # the place that is committed, and not only the rows, is behind what Kafka deletes next
        eventually(lambda: journal.positions()[0].offset >= end, retention)
        eventually(lambda: journal.extent()[0][0] > first)
        assert not journal.damage().known
        pressure = journal.pressure()
        assert pressure is not None
        assert (pressure.by, pressure.full < 0.9) == ("retention", True)
    finally:
        stopped.set()
        trimming.join()
        keeper.stop(30)
        journal.close()
        catalog.close()
    assert not failures


def test_a_retention_that_is_set_while_it_runs_is_noticed(
    open_journal: Open, admin: AdminClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lakebed.stores.journal.kafka.watch.FACTS_EVERY", 0.0)
    journal = open_journal("partitions=1")
    consumer = journal.consumer("keeper")
    asyncio.run(durable(journal, batch(numbers(0, 100))))
    journal.trim()
    assert journal.pressure() is None
    for setting, value in (("retention.bytes", "1"), ("retention.ms", str(HOUR // 1000))):
        entry = ConfigEntry(setting, value, incremental_operation=AlterConfigOpType.SET)
        name = str(journal.health().detail["topic"])
        resource = ConfigResource(ConfigResource.Type.TOPIC, name, incremental_configs=[entry])
        admin.incremental_alter_configs([resource])[resource].result(30)
        eventually(lambda: journal.trim() == 0 and journal.pressure() is not None)
    pressure = journal.pressure()
    assert pressure is not None
    assert (pressure.by, pressure.full) == ("retention", 1.0)  # nobody has read its few bytes
    assert "retention" in journal.health().message
    consumer.close()


def test_a_single_copy_is_synced_also_where_its_maker_was_killed_at_once(
    kafka_server: KafkaAddress,
) -> None:
    address = parse(f"kafka://{kafka_server.address}/{new_topic('killed')}?partitions=1")
    kafka = KafkaCluster(address)
    topic = Topic(kafka)
    configuration.create(kafka, topic.name, 1, configuration.of_log(None))  # and nothing more
    facts = Topic(kafka).open(1000)
    assert (facts.replication, facts.synced, facts.risk) == (1, True, "")
    configuration.leave_syncing(kafka, topic.name)  # as where the cluster keeps more copies
    assert not topic.facts().synced
