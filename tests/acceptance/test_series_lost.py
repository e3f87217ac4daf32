"""The series is deleted or broken: it is put together again, and what is gone is said."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import processes
from tests.acceptance.test_backup import POLICIES, answers, expected, lakebed, lines
from tests.contract.series.test_series import flip_bits
from tests.server import Api, Server, eventually
from tests.servers import kafka

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

TOPIC = "plant/1"


def _fill(server: Server, count: int = 300) -> None:
    server.put_policies(POLICIES)
    for first in range(0, count, 100):
        server.send_batch(lines(TOPIC, first, first + 100))
    server.settle(lambda flow: flow["kept"] == count)
    eventually(lambda: answers(server, TOPIC) == expected(TOPIC, count))


def _series(server: Server) -> dict[str, Any]:
    part: dict[str, Any] = server.request("GET", "/readyz").json()["parts"]["series"]
    return part


def _remove(home: Path) -> None:
    shutil.rmtree(home / "series")


def _spoil(home: Path) -> None:
    for file in (home / "series").rglob("*.sql"):
        file.write_text("garbage")


@pytest.mark.parametrize("harm", [_remove, _spoil])
def test_a_series_that_is_gone_is_rebuilt_from_the_journal(harm: Any, tmp_path: Path) -> None:
    with Server(tmp_path / "home") as server:
        _fill(server)
        server.send_batch(lines(TOPIC, 0, 100))  # again
        server.kill()
        harm(server.home)
        lakebed("doctor", "--home", str(server.home), fails=None)  # looks, and hides nothing
        place = str(tmp_path / "backups")
        assert "is lost" in lakebed("backup", place, "--home", str(server.home), fails=True)
        server.start()
        assert answers(server, TOPIC) == expected(TOPIC, 300)
        assert server.get("/api/v1/series") == {"loss": None}
        server.send_batch(lines(TOPIC, 300, 400))
        eventually(lambda: answers(server, TOPIC) == expected(TOPIC, 400))
        flow = server.flow()
        assert (flow["received"], flow["duplicates"]) == (500, 100)


@pytest.fixture
def kafka_server() -> Iterator[kafka.KafkaServer]:
    if missing := kafka.missing():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{missing} is missing")
        pytest.skip(f"{missing} is missing")
    with kafka.running() as server:
        yield server


@pytest.mark.server("kafka")
def test_a_rebuild_over_kafka_counts_each_id_once(
    kafka_server: kafka.KafkaServer, tmp_path: Path
) -> None:
    """Many may write to that journal, so what was sent again stands in it again, as a whole."""
    url = f"kafka://{kafka_server.address}/journal"
    journal = f"{url}?partitions=2&session.timeout.ms=6000&heartbeat.interval.ms=500"
    with Server(tmp_path / "home", {"JOURNAL__URL": journal}) as server:
        server.put_policies(POLICIES)
        first = lines(TOPIC, 0, 1)
        server.send_batch(first)
        server.send_batch(first)  # offsets 0 and 1 of the partition: one message
        for _ in range(2):
            for start in range(1, 301, 100):
                server.send_batch(lines(TOPIC, start, start + 100))
        flow = server.settle(lambda flow: flow["kept"] == 301)
        assert (flow["received"], flow["duplicates"]) == (602, 301)
        eventually(lambda: answers(server, TOPIC) == expected(TOPIC, 301))
        server.kill()
        _remove(server.home)
        server.start()
        assert answers(server, TOPIC) == expected(TOPIC, 301)
        assert server.get("/api/v1/series") == {"loss": None}
        flow = server.flow()
        assert (flow["received"], flow["duplicates"]) == (602, 301)
        server.send_batch(lines(TOPIC, 300, 400))  # one of them again
        server.settle(lambda flow: flow["kept"] == 400)
        eventually(lambda: answers(server, TOPIC) == expected(TOPIC, 400))


QUICK = [policy for policy in POLICIES if policy["name"] != "slow"]  # nothing waits for an hour
TRIMMED = {"JOURNAL__SPAN": "0s"}


class Unready(Server):
    """A server whose start is over when it answers, ready or not."""

    def wait_ready(self) -> None:
        eventually(self._answers, 60)

    def ready(self) -> bool:
        return self.request("GET", "/readyz").status_code == 200

    def _answers(self) -> bool:
        try:
            return self._client.get(f"{self.url}/readyz", timeout=2).status_code in (200, 503)
        except httpx.HTTPError:
            return False


def _answers_of_all(server: Server) -> dict[str, Any]:
    """Of every policy but `slow`, which is not there."""
    records = {
        name: [row["value"] for row in server.records(TOPIC, name, limit=10_000)]
        for name in ("all", "day", "ten")
    }
    aggregates = {
        name: [
            (row["start"], row["count"], row.get("sum"), row["complete"])
            for row in server.records(TOPIC, name)
        ]
        for name in ("hours", "words")
    }
    return {**records, **aggregates, "last": server.get("/api/v1/last", topic=TOPIC)}


def _send(server: Server, first: int, last: int) -> dict[str, Any]:
    server.send_batch(lines(TOPIC, first, last))
    server.settle(lambda flow: flow["kept"] == last)
    eventually(lambda: len(server.records(TOPIC, "ten")) == min(10, last))
    eventually(lambda: server.get("/api/v1/last", topic=TOPIC)["records"][0]["value"] == last - 1)
    return _answers_of_all(server)


def _trimmed(server: Server) -> None:
    eventually(
        lambda: server.request("GET", "/readyz").json()["parts"]["journal"]["messages"] == 0, 60
    )


def test_with_a_backup_and_the_journal_since_nothing_is_missing(tmp_path: Path) -> None:
    place = tmp_path / "backups"
    home = tmp_path / "home"
    with Server(home, TRIMMED | {"BACKUP__TO": str(place)}) as server:
        server.put_policies(QUICK)
        _send(server, 0, 200)
        _trimmed(server)
        lakebed("backup", str(place), "--home", str(home))
        server.kill()
    with Server(home, {"BACKUP__TO": str(place)}) as server:
        before = _send(server, 200, 300)
        server.kill()
        _remove(home)
        server.start()
        assert _answers_of_all(server) == before
        assert server.flow()["received"] == 300
        after = _send(server, 300, 400)
        assert after["all"] == list(range(400))
        assert sum(count for _, count, _, _ in after["hours"]) == 400


def test_what_is_neither_in_a_backup_nor_in_the_journal_is_said_until_it_was_seen(
    tmp_path: Path,
) -> None:
    home = str(tmp_path / "home")
    with Unready(tmp_path / "home", TRIMMED) as server:
        server.put_policies(QUICK)
        before = _send(server, 0, 200)
        _trimmed(server)
        server.kill()
        _remove(server.home)
        server.start()
        eventually(lambda: server.get("/api/v1/series")["loss"]["done"])
        series = server.request("GET", "/readyz").json()["parts"]["series"]
        assert not series["ok"]
        assert series["missing"] == 200
        assert (
            "200 messages are in no backup and not in the journal, received between"
            in series["message"]
        )
        left = _answers_of_all(server)
        assert left["all"] == left["day"] == left["ten"] == []
        assert left["last"] == before["last"]
        # windows that are still in the keeper's memory are whole
        assert set(left["words"]) <= set(before["words"])
        assert "lakebed series acknowledge" in processes.lakebed("doctor", "--home", home).stdout
        lakebed("series", "acknowledge", "--url", server.url, "--home", home)
        assert server.request("GET", "/readyz").status_code == 200
        server.stop()
        server.start()
        assert server.request("GET", "/readyz").json()["parts"]["series"]["ok"]


JANUARY = {"topic": TOPIC, "value": 1, "time": "2025-01-15T00:00:00Z"}
FEBRUARY = {"topic": TOPIC, "value": 2, "time": "2025-02-15T00:00:00Z"}


def _damage_january(server: Server) -> None:
    parts = list((server.home / "series").rglob("202501_*"))
    assert parts
    for part in parts:
        (part / "data.bin").write_bytes(b"x")


def test_records_in_a_damaged_part_come_back(tmp_path: Path) -> None:
    with Server(tmp_path / "home") as server:
        server.put_policies(POLICIES[:1])
        server.send_batch([JANUARY])
        server.send_batch([FEBRUARY])
        server.settle(lambda flow: flow["kept"] == 2)
        eventually(lambda: len(server.records(TOPIC, "all")) == 2)
        server.kill()
        _damage_january(server)
        for _ in range(2):  # the store tells of the part at each start
            server.start()
            assert [row["value"] for row in server.records(TOPIC, "all")] == [1, 2]
            assert server.get("/api/v1/series") == {"loss": None}
            server.kill()
        assert server.output.count("the series is rebuilt") == 1


def test_aggregates_in_a_damaged_part_are_told_until_somebody_has_seen_it(tmp_path: Path) -> None:
    with Unready(tmp_path / "home") as server:
        server.put_policies([policy for policy in POLICIES if policy["name"] == "hours"])
        server.send_batch([JANUARY])
        server.send_batch([FEBRUARY])
        server.settle(lambda flow: flow["kept"] == 2)
        eventually(lambda: len(server.records(TOPIC, "hours")) == 2)
        server.kill()
        _damage_january(server)
        server.start()
        eventually(lambda: server.get("/api/v1/series")["loss"]["done"])
        message = _series(server)["message"]
        assert "damaged, and the store detached them" in message
        assert "aggregate/broken-on-start_202501" in message
        lakebed(
            "series", "acknowledge", "--url", server.url, "--home", str(server.home)
        )  # fmt: skip
        assert _series(server)["ok"]
        server.kill()
        server.start()
        assert _series(server)["ok"]
        assert server.get("/api/v1/series") == {"loss": None}


def test_a_part_damaged_below_a_running_server_is_told_and_comes_back_without_a_restart(
    tmp_path: Path,
) -> None:
    policies = [
        {"name": "all", "topics": ["#"], "type": "number", "keep": "archive"},
        {"name": "day", "topics": ["#"], "type": "number", "keep": "window", "for": "1d"},
    ]
    with Unready(tmp_path / "home") as server:
        server.put_policies(policies)
        made = server.request("POST", "/api/v1/tokens", json={"owner": "bob", "name": "b"})
        bob = Api(server.url, made.json()["token"])
        bob.put_policy(**policies[0])
        day = "2025-01-15T00"
        times = [f"{day}:{i // 60:02}:{i % 60:02}Z" for i in range(1000)]
        server.send_batch([{"topic": TOPIC, "value": 1, "time": time} for time in times])
        server.send_batch([FEBRUARY])
        bob.wait_in_force()
        bob.send_batch([{"topic": "b", "value": 7, "time": "2025-03-01T00:00:00Z"}])
        server.settle(lambda flow: flow["kept"] == 1001)
        eventually(lambda: len(server.records(TOPIC, "all", limit=10_000)) == 1001)
        eventually(lambda: len(bob.records("b", "all")) == 1)
        for part in (server.home / "series").rglob("202501_*"):
            flip_bits(part / "data.bin")
        asked = {"topic": TOPIC, "policy": "all", "limit": 10_000}
        answer = server.request("GET", "/api/v1/records", params=asked)
        assert (answer.status_code, "archive/202501_" in answer.text) == (500, True), answer.text
        for _ in range(6):
            assert [row["value"] for row in bob.records("b", "all")] == [7]
            assert server.records("nothing", "day") == []
        eventually(lambda: len(server.records(TOPIC, "all", limit=10_000)) == 1001)
        eventually(lambda: server.ready())
        server.kill()
        server.start()
        assert len(server.records(TOPIC, "all", limit=10_000)) == 1001
        assert server.ready()
        assert server.output.count("the series is rebuilt") == 1
        assert "parts of the series are damaged" in server.output
        assert "archive/broken-on-start_202501" in server.output
