"""A topic of others at a real Kafka, while Lakebed is killed: each record is stored once."""

import random
import time
from pathlib import Path

import pytest

from tests.server import Server
from tests.servers import kafka

pytest.importorskip("confluent_kafka")
pytestmark = [
    pytest.mark.slow(25),
    pytest.mark.server("kafka"),
    pytest.mark.timeout(200),
]

_MOST = 3000
_CONFIG = """
[[sources]]
kind = "kafka"
name = "others"
servers = "{servers}"
topics = ["{topic}"]
topic = "others/PARTITION"
session_timeout = "6s"
"""


def test_a_process_that_is_killed_loses_no_record_and_stores_none_twice(tmp_path: Path) -> None:
    from confluent_kafka import Producer
    from confluent_kafka.admin import AdminClient, NewTopic

    dice = random.Random(5)
    with kafka.found() as at:
        topic = kafka.new_topic("others")
        admin = AdminClient({"bootstrap.servers": at.address})
        admin.create_topics([NewTopic(topic, 3, 1)])[topic].result(30)
        producer = Producer({"bootstrap.servers": at.address})
        home = tmp_path / "home"
        home.mkdir()
        (home / "lakebed.toml").write_text(_CONFIG.format(servers=at.address, topic=topic))
        with Server(home) as server:
            server.put_policies(
                [{"name": "all", "topics": ["others/#"], "type": "number", "keep": "archive"}]
            )
            for start in range(0, _MOST, 1000):
                for number in range(start, start + 1000):
                    producer.produce(topic, b"%d" % number, partition=number % 3)
                    producer.poll(0)
                    if not number % 100:
                        time.sleep(0.05)
                assert producer.flush(30) == 0
                time.sleep(dice.uniform(0.0, 0.5))
                server.kill()
                server.start()
            server.settle(lambda flow: flow["kept"] == _MOST, 60)
            found = [
                row["value"]
                for partition in range(3)
                for row in server.records(f"others/{partition}", "all", limit=2000)
            ]
            assert sorted(found) == list(range(_MOST))
            part = server.get("/readyz")["parts"]["source others"]
            assert part["joined"]
            assert "lakebed_queue_lag_messages" in server.request("GET", "/metrics").text
