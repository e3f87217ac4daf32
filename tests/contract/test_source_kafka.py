"""The Kafka source at a real Kafka, over a journal in memory."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.listening import Journal
from tests.servers import kafka

from lakebed.ingest.intake import Intake
from lakebed.ingest.recording import AttributeRecorder
from lakebed.ingest.settings import IngestSection
from lakebed.vocabulary.messages import Channel

pytest.importorskip("confluent_kafka")
pytestmark = pytest.mark.server("kafka")

from confluent_kafka import Producer, TopicPartition  # noqa: E402
from confluent_kafka.admin import AdminClient, NewTopic  # noqa: E402

from lakebed.sources.kafka.settings import KafkaSource  # noqa: E402
from lakebed.sources.kafka.source import KafkaReader  # noqa: E402

BEGAN = int(time.time() * 1000)
"""Kafka deletes records whose time stamps are old."""


class Site:
    """A topic of Kafka, and what of it became durable."""

    def __init__(self, servers: str) -> None:
        self.servers, self.topic = servers, kafka.new_topic("source")
        self.admin = AdminClient({"bootstrap.servers": servers})
        self.admin.create_topics([NewTopic(self.topic, 3, 1)])[self.topic].result(30)
        self.producer = Producer({"bootstrap.servers": servers, "linger.ms": 0})
        self.journal = Journal()
        self.intake: Intake

    def send(self, start: int, stop: int) -> None:
        for i in range(start, stop):
            self.producer.produce(
                self.topic, b"%d" % i, b"k%d" % (i % 7), partition=i % 3, timestamp=BEGAN + i,
                headers=[("site", b"north"), ("raw", b"\xff")],
            )  # fmt: skip
        assert self.producer.flush(30) == 0

    @property
    def values(self) -> list[int]:
        """What became durable, each message once."""
        return [
            int(payload)
            for entry in self.journal.entries(0, 0, 100_000)
            for payload in entry.batch.payloads
            if payload
        ]

    def committed(self, group: str = "lakebed-others") -> int:
        """Offsets that the group has committed, in all."""
        from confluent_kafka import Consumer

        asking = Consumer({"bootstrap.servers": self.servers, "group.id": group})
        try:
            places = [TopicPartition(self.topic, n) for n in range(3)]
            return sum(max(0, one.offset) for one in asking.committed(places, timeout=10))
        finally:
            asking.close()

    def reader(self, **keys: Any) -> KafkaReader:
        source = {
            "kind": "kafka", "name": "others", "servers": self.servers, "topics": self.topic,
            "owner": "ann", "session_timeout": "6s", **keys,
        }  # fmt: skip
        return KafkaReader(KafkaSource.model_validate(source), self.intake, 1 << 20)


@asynccontextmanager
async def reading(site: Site, **keys: Any) -> AsyncIterator[KafkaReader]:
    reader = site.reader(**keys)
    await reader.start()
    try:
        yield reader
    finally:
        await reader.stop()


def run(server: kafka.KafkaAddress, test: Callable[[Site], Any]) -> None:
    async def whole() -> None:
        site = Site(server.address)
        recorder = AttributeRecorder(IngestSection())
        recorder.ask({"ann": frozenset({"key", "properties.site", "properties.raw"})})
        site.intake = Intake(site.journal, on_fatal=lambda error: None, recorder=recorder)
        await site.intake.start()
        try:
            await test(site)
        finally:
            await site.intake.stop()

    asyncio.run(whole())


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110  # of conditions that set no event
            await asyncio.sleep(0.02)


def test_each_record_is_stored_once_with_its_key_headers_and_time(
    kafka_server: kafka.KafkaAddress,
) -> None:
    async def test(site: Site) -> None:
        site.send(0, 300)
        async with reading(site, topic="others/TOPIC/PARTITION/KEY") as reader:
            await until(lambda: len(site.values) == 300)
            await until(lambda: reader.health().detail["lag"] == 0)
        assert site.committed() == 300
        site.send(300, 310)
        async with reading(site) as reader:  # another process goes on behind it
            await until(lambda: len(site.values) == 310)
            assert reader.stats.received == 10
        assert sorted(site.values) == list(range(310))
        first = site.journal.entries(0, 0, 1)[0].batch
        number = int(first.payloads[0])
        where = f"others/{site.topic}/{number % 3}/k{number % 7}"
        assert first.channels[first.channel[0]] == Channel("ann", where)
        assert first.times[0] == (BEGAN + number) * 1000
        assert first.sparse.attributes is not None
        attributes = first.sparse.attributes[0]
        assert dict(attributes.decisions)["key"] == f"k{number % 7}"
        assert attributes.properties == (("site", "north"), ("raw", "/w=="))

    run(kafka_server, test)


def test_members_that_come_go_and_die_lose_nothing_and_store_nothing_twice(
    kafka_server: kafka.KafkaAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(site: Site) -> None:
        site.send(0, 300)
        first = site.reader()
        # one that dies between append and commit
        monkeypatch.setattr(first._group, "commit", lambda records: None)
        await first.start()
        await until(lambda: len(site.values) == 300)
        await first.stop()
        assert site.committed() == 0
        async with reading(site) as second, reading(site) as third:
            await until(lambda: second._group.partitions + third._group.partitions == 3)
            await until(lambda: second._group.partitions * third._group.partitions > 0)
            site.send(300, 600)
            await until(lambda: len(site.values) >= 600)
            await until(lambda: second.stats.taken + third.stats.taken >= 600)
        assert site.committed() == 600
        assert sorted(site.values) == list(range(600))

    run(kafka_server, test)


def test_nothing_is_committed_before_it_is_durable(kafka_server: kafka.KafkaAddress) -> None:
    async def test(site: Site) -> None:
        site.journal.full = True
        site.send(0, 10)
        async with reading(site):
            await until(lambda: not site.intake.is_open)
            assert site.committed() == 0
            site.journal.full = False
            await until(lambda: site.committed() == 10)

    run(kafka_server, test)


def test_records_that_were_deleted_before_they_were_read_are_told(
    kafka_server: kafka.KafkaAddress,
) -> None:
    async def test(site: Site) -> None:
        site.send(0, 30)
        async with reading(site):
            await until(lambda: len(site.values) == 30)
        site.send(30, 60)
        gone = {TopicPartition(site.topic, 0, 15): None, TopicPartition(site.topic, 1, 12): None}
        for one in site.admin.delete_records(list(gone)).values():
            one.result(30)
        async with reading(site) as reader:
            await until(lambda: len(site.values) == 60 - 7)
            await until(lambda: reader.stats.lost == 7)
            assert "7 records were deleted" in reader.health().message

    run(kafka_server, test)


def test_a_topic_that_is_not_there_is_named(kafka_server: kafka.KafkaAddress) -> None:
    async def test(site: Site) -> None:
        async with reading(site, topics="nobody-s-topic", group="other") as reader:
            await until(lambda: "there is no topic nobody-s-topic" in reader.health().message)
            assert reader.health().detail["joined"] is False

    run(kafka_server, test)


def test_a_broker_that_is_away_is_told() -> None:
    async def test(site: Site) -> None:
        async with reading(site) as reader:
            await until(lambda: reader.stats.failures > 0)
            assert reader.health().detail["joined"] is False

    async def whole() -> None:
        site = Site.__new__(Site)
        site.servers, site.topic = "127.0.0.1:1", "t"
        site.journal = Journal()
        site.intake = Intake(site.journal, on_fatal=lambda error: None)
        await site.intake.start()
        await test(site)
        await site.intake.stop()

    asyncio.run(whole())
