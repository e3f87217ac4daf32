"""What an operator of Kafka may do to the topic while the cluster works."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from tests.cluster import Servers, servers
from tests.crash.fleet import Fleet
from tests.server import eventually

pytestmark = [
    pytest.mark.slow(70),
    pytest.mark.timeout(900),
    pytest.mark.server("kafka"),
    pytest.mark.server("postgres"),
]


_SETTINGS = {"retention.ms": "-1", "flush.messages": "1"}
"""As Lakebed makes it."""


class Topic:
    """The journal's topic, in the hands of an operator."""

    def __init__(self, fleet: Fleet, on: Servers) -> None:
        self._fleet = fleet
        self.name = fleet.cluster.settings["JOURNAL__URL"].rpartition("/")[2].partition("?")[0]
        self._admin = AdminClient({"bootstrap.servers": on.kafka.address})

    def grow(self, partitions: int) -> None:
        asked = self._admin.create_partitions([NewPartitions(self.name, partitions)])
        asked[self.name].result(30)

    def empty(self, partitions: int) -> None:
        """Delete all records, read or not."""
        ends = [TopicPartition(self.name, partition, -1) for partition in range(partitions)]
        for future in self._admin.delete_records(ends).values():
            future.result(30)

    def make_anew(self, partitions: int) -> None:
        self._admin.delete_topics([self.name])[self.name].result(30)

        def again() -> bool:
            try:
                made = self._admin.create_topics(
                    [NewTopic(self.name, partitions, 1, config=_SETTINGS)]
                )
                made[self.name].result(30)
            except KafkaException:
                return False
            return True

        eventually(again, 60)

    def adopt(self) -> int:
        """As an operator does it, by the API; returns how many messages are lost."""
        server = self._fleet.server

        def adopted() -> httpx.Response | None:
            change = server.get("/api/v1/journal")["change"]
            if change is None or change["hindrance"]:
                return None
            seen = {**change["found"], "messages": change["lost"]}
            answer = server.request("POST", "/api/v1/journal/adopt", params=seen)
            return answer if answer.status_code == 200 else None

        answer: httpx.Response = eventually(adopted, 120)
        return int(answer.json()["lost"])


def send_unread(fleet: Fleet, count: int) -> int:
    """Messages that gateways accept while no keeper is there."""
    fleet.server.send_batch([{"topic": f"nobody/unread-{n}", "value": n} for n in range(count)])
    eventually(lambda: fleet.server.get("/api/v1/flow")["in_flight"] == count, 60)
    return count


def without_keepers(fleet: Fleet, harm: Callable[[], int]) -> int:
    keepers = [member for name, member in fleet.members.items() if name.startswith("keeper")]
    for keeper in keepers:
        keeper.stop(60)
    done = harm()
    for keeper in keepers:
        keeper.spawn()
    return done


def test_no_answer_changes_whatever_becomes_of_the_topic(tmp_path: Path) -> None:
    with servers() as on, Fleet(tmp_path, on, gateways=1, keepers=2) as fleet:
        topic, server = Topic(fleet, on), fleet.server
        fleet.send()
        eventually(lambda: server.get("/api/v1/flow")["received"] > 1000, 120)

        topic.grow(8)
        assert topic.adopt() == 0
        fleet.members["keeper 1"].kill()  # it comes back to partitions that were divided
        fleet.members["keeper 1"].spawn()
        received = server.get("/api/v1/flow")["received"]
        eventually(lambda: server.get("/api/v1/flow")["received"] > received + 500, 120)
        fleet.finish()

        def vanish() -> int:
            sent = send_unread(fleet, 160)
            topic.empty(8)
            return sent

        lost = without_keepers(fleet, vanish)
        server.settle(lambda flow: flow["lost"] == lost)
        eventually(lambda: server.get("/api/v1/journal")["damage"]["messages"] == lost, 120)

        def replace() -> int:
            sent = send_unread(fleet, 200)
            topic.make_anew(8)
            assert topic.adopt() == sent
            return sent

        lost += without_keepers(fleet, replace)
        server.settle(lambda flow: flow["lost"] == lost)
        assert server.get("/api/v1/journal")["damage"]["messages"] == lost
        seen = {"messages": lost}
        server.request("POST", "/api/v1/journal/acknowledge-damage", params=seen)
        for member in fleet.members.values():
            member.wait_ready(120)
        fleet.oracle.lost = lost
        fleet.check_fresh()
        fleet.check()
