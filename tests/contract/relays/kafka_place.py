"""Topics of Kafka, as those see them who read committed records."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import pytest
from confluent_kafka import Consumer, Message, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from relay_place import record
from tests.crash.network import Proxy
from tests.servers import kafka

from lakebed.ports.relays import Record
from lakebed.relays.targets.kafka import KIND


class KafkaPlace:
    kind = KIND
    relay = "ann/out/1"
    secrets: Mapping[str, str] = {}
    wrong: ClassVar[dict[str, Any]] = {
        "kafka": "kafka://h:9092", "key": "{topic", "timestamp": "now", "tls": "yes",
        "compression": "rar", "ca": "PEM", "sasl": "GSSAPI", "user": "", "password": "hunter2",
    }  # fmt: skip

    def __init__(self, server: kafka.KafkaServer, proxy: Proxy) -> None:
        self.proxy = proxy
        self._server = server.address
        self.topic = kafka.new_topic("mirror")
        self.options: dict[str, Any] = {"kafka": f"kafka://127.0.0.1:{proxy.port}/{self.topic}"}
        self.admin = AdminClient({"bootstrap.servers": self._server})
        self.create(self.topic)

    def create(self, topic: str, **config: str) -> None:
        wanted = NewTopic(topic, 2, 1, config={"max.message.bytes": "100000", **config})
        self.admin.create_topics([wanted])[topic].result(30)

    def messages(self, topic: str = "") -> list[Message]:
        topic = topic or self.topic
        consumer = Consumer(
            {"bootstrap.servers": self._server, "group.id": "looks", "enable.partition.eof": True,
             "isolation.level": "read_committed"}
        )  # fmt: skip
        found, open = [], {0, 1}
        consumer.assign([TopicPartition(topic, partition, 0) for partition in open])
        while open:
            message = consumer.poll(10)
            assert message is not None
            if message.error() is not None:
                open.discard(message.partition())
            else:
                found.append(message)
        consumer.close()
        return found

    def arrived(self) -> list[tuple[str, str]]:
        return [
            (dict(message.headers() or [])["topic"].decode(), (message.value() or b"").decode())
            for message in self.messages()
        ]

    def refused(self) -> Record | None:
        import random

        return record(900, payload=random.Random(1).randbytes(200_000))


@contextmanager
def place(request: pytest.FixtureRequest) -> Iterator[KafkaPlace]:
    server = request.getfixturevalue("own_kafka")
    with Proxy([server.at.far], port=server.at.by) as proxy:
        yield KafkaPlace(server, proxy)
