"""Several processes, each a role, over Kafka, PostgreSQL and ClickHouse: one system after all."""

import json
import re
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.clients.readings import publish_by_paho
from tests.cluster import Cluster, Member, Servers, servers
from tests.dataset import Reading
from tests.declared import declared
from tests.server import Server, eventually
from tests.servers.prometheus import complaints, scraping

TOPICS = 16  # enough that each of four partitions has some

pytestmark = [
    pytest.mark.server("kafka"),
    pytest.mark.server("postgres"),
    pytest.mark.timeout(400),  # the first one also starts three servers and five processes
]


@dataclass
class Running:
    cluster: Cluster
    gateways: list[Member]
    keepers: list[Member]
    api: Member


@pytest.fixture(scope="module")
def on() -> Iterator[Servers]:
    with servers() as found:
        yield found


@pytest.fixture(scope="module")
def running(on: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    cluster = Cluster(tmp_path_factory.mktemp("cluster"), on, "&session.timeout.ms=6000")
    try:
        found = cluster.start("gateway", "gateway", "keeper", "keeper", "api")
        yield Running(cluster, found[:2], found[2:4], found[4])
    finally:
        cluster.close()


def numbered(prefix: str, count: int, start: int = 0) -> list[dict[str, Any]]:
    return [
        {"topic": f"{prefix}/{n % TOPICS}", "value": n, "id": f"{prefix}-{n}"}
        for n in range(start, start + count)
    ]


def in_force(running: Running, **policy: Any) -> None:
    """Write a policy, and send to its topics until each keeper of a partition follows it."""
    running.api.put_policy(**policy)
    prefix = policy["topics"][0].removesuffix("#")

    def kept() -> bool:
        lines = [{"topic": f"{prefix}{n}", "value": -1} for n in range(TOPICS)]
        before = count(running.api, policy["name"])
        running.gateways[0].send_batch(lines)
        running.api.settle()
        return count(running.api, policy["name"]) - before == TOPICS

    eventually(kept, 60)


def count(api: Member, policy: str) -> int:
    flows = api.get("/api/v1/flow", by="policy")["policies"]
    return next((flow["kept"] for flow in flows if flow["policy"] == policy), 0)


def values(api: Member, prefix: str, policy: str) -> Counter[float]:
    """What was kept, but for what `in_force` sent."""
    found = api.records(f"{prefix}/+", policy)
    return Counter(record["value"] for record in found if record["value"] >= 0)


def test_what_any_gateway_takes_is_kept_and_read_back(running: Running) -> None:
    api, (first, second) = running.api, running.gateways
    api.put_policy(name="way-now", topics=["way/#"], type="number", keep="last_value")
    in_force(running, name="way", topics=["way/#"], type="number", keep="archive")
    first.send_batch(numbered("way", 400))
    second.send_batch(numbered("way", 400, start=400))
    first.send_batch(numbered("way", 100))  # sent again, to the same and to the other gateway
    second.send_batch(numbered("way", 100, start=100))
    first.send("way/0", "1000")
    readings = [
        Reading(f"way/{n % TOPICS}", "2026-01-31T12:00:00Z", float(n), f"paho-{n}")
        for n in range(2000, 2200)
    ]
    publish_by_paho(second, readings, 1)

    def all_there() -> bool:
        expected = Counter(map(float, [*range(800), 1000, *range(2000, 2200)]))
        return values(api, "way", "way") == expected

    eventually(all_there, 60)
    flow = api.settle()
    assert flow["dead_letter"] == 0
    assert {topic["topic"] for topic in api.get("/api/v1/topics", filter="way/#")["topics"]} == {
        f"way/{n}" for n in range(TOPICS)
    }
    assert api.get("/api/v1/last", topic="way/0")["records"][0]["value"] == 1000


def test_a_policy_changes_for_all_keepers_without_a_restart(running: Running) -> None:
    api, gateway = running.api, running.gateways[1]
    gateway.send_batch(numbered("live", 64))
    api.settle()
    assert count(api, "live") == 0
    in_force(running, name="live", topics=["live/#"], type="number", keep="archive")
    in_force(
        running, name="live", topics=["live/#"], type="number", keep="archive",
        transform={"scale": 2},
    )  # fmt: skip
    gateway.send_batch(numbered("live", 64, start=64))
    eventually(lambda: len(values(api, "live", "live")) == 64, 60)
    assert values(api, "live", "live") == Counter(2.0 * n for n in range(64, 128))


def test_a_policy_is_filled_in_all_partitions_whichever_keepers_have_them(
    running: Running,
) -> None:
    api, (first, second) = running.api, running.gateways
    first.send_batch(numbered("past", 400))
    second.send_batch(numbered("past", 200))  # duplicates, which only the keepers can know
    document = {"topics": ["past/#"], "type": "number", "keep": "aggregate", "every": "24h"}
    in_force(running, name="past", **document, functions=["count", "max"])
    topics = api.get("/api/v1/flow", by="topic")["topics"]
    mine = [topic for topic in topics if topic["topic"].startswith("past/")]
    assert sum(topic["duplicates"] for topic in mine) == 200
    once = sum(topic["received"] for topic in mine) - 200
    kept, skipped = count(api, "past"), api.settle()["skipped"]
    asked = api.request("POST", "/api/v1/policies/past/fill", json={"from": "2020-01-01T00:00:00Z"})
    assert asked.status_code == 202, asked.text

    def done() -> bool:
        return bool(api.get("/api/v1/policies/past/fill")["state"] == "done")

    eventually(done, 60)
    found = api.get("/api/v1/policies/past/fill")
    assert (found["matched"], found["error"]) == (found["kept"], None)
    assert kept + found["kept"] == count(api, "past") == once
    windows = api.records("past/+", "past")
    assert sum(window["count"] for window in windows) == once
    assert max(window["max"] for window in windows) == 399
    assert api.settle()["skipped"] == skipped


def test_records_are_deleted_in_all_partitions_whichever_keepers_have_them(
    running: Running,
) -> None:
    api = running.api
    api.put_policy(name="gone-now", topics=["gone/#"], type="number", keep="last_value")
    in_force(running, name="gone", topics=["gone/#"], type="number", keep="archive")
    running.gateways[0].send_batch(numbered("gone", 160))
    # not settled: what was acknowledged is covered, seen by a keeper or not
    assert api.request("DELETE", "/api/v1/records", params={"topic": "gone/+"}).status_code == 200
    assert api.records("gone/+", "gone") == []
    assert api.get("/api/v1/last", filter="gone/+")["records"] == []
    running.gateways[1].send_batch(numbered("gone", 16, start=160))
    eventually(lambda: len(api.records("gone/+", "gone")) == 16, 60)


def test_a_token_that_is_revoked_opens_no_gateway(running: Running) -> None:
    api = running.api
    made = api.request("POST", "/api/v1/tokens", json={"owner": "ann", "name": "one"})
    headers = {"Authorization": f"Bearer {made.json()['token']}"}

    def answers() -> set[int]:
        return {
            gateway.request(
                "POST", "/api/v1/messages", params={"topic": "t"}, content=b"1", headers=headers
            ).status_code
            for gateway in running.gateways
        }

    assert answers() == {202}
    api.request("DELETE", "/api/v1/tokens", params={"owner": "ann", "name": "one"})
    eventually(lambda: answers() == {401})


def test_each_process_does_its_own_and_says_who_does_the_rest(running: Running) -> None:
    api, gateway, keeper = running.api, running.gateways[0], running.keepers[0]
    refused = api.request("POST", "/api/v1/messages", params={"topic": "t"}, content=b"1")
    assert (refused.status_code, "gateway" in refused.json()["detail"]) == (404, True)
    for member in (gateway, keeper):
        refused = member.request("GET", "/api/v1/flow")
        assert (refused.status_code, "role api" in refused.json()["detail"]) == (404, True)
    refused = keeper.request("POST", "/api/v1/messages", params={"topic": "t"}, content=b"1")
    assert (refused.status_code, "gateway" in refused.json()["detail"]) == (404, True)
    assert [listens(member.mqtt_port) for member in (gateway, keeper, api)] == [True, False, False]


def test_each_process_tells_of_its_own_parts(running: Running) -> None:
    def parts(member: Member) -> set[str]:
        return set(member.get("/readyz")["parts"])

    assert parts(running.gateways[0]) == {
        "journal", "catalog", "intake", "limits", "disk", "connections", "refusals",
    }  # fmt: skip
    assert parts(running.keepers[0]) == {
        "journal", "catalog", "series", "keeper", "relays", "disk",
    }  # fmt: skip
    assert parts(running.api) == {
        "journal", "catalog", "series", "intake", "limits", "parked", "disk", "refusals",
        "secrets",
    }  # fmt: skip
    assert "lakebed_messages_total" in metrics(running.api)
    assert "lakebed_messages_total" not in metrics(running.gateways[0])
    assert "lakebed_mqtt_publishes_total" in metrics(running.gateways[0])


def test_the_lag_of_each_partition_is_told_by_the_keeper_that_has_it(running: Running) -> None:
    def partitions() -> list[str]:
        return sorted(
            line.partition("{")[2].partition("}")[0]
            for keeper in running.keepers
            for line in metrics(keeper).splitlines()
            if line.startswith("lakebed_keeper_lag_messages{")
        )

    eventually(lambda: partitions() == [f'partition="{n}"' for n in range(4)], 60)


def test_a_gateway_loads_neither_an_analytical_database_nor_arrow(running: Running) -> None:
    gateway = running.cluster.member("gateway")
    gateway.fork = False  # the fork server loads everything
    gateway.start()
    loaded = Path(f"/proc/{gateway.pid}/maps").read_text()
    assert gateway.stop() == 0
    assert "_chdb" not in loaded
    assert "libarrow" not in loaded


@pytest.mark.slow
@pytest.mark.parametrize("gently", [True, False], ids=["stopped", "killed"])
def test_a_keeper_that_ends_is_taken_over_and_no_answer_changes(
    running: Running, gently: bool
) -> None:
    api, name = running.api, f"over-{'stopped' if gently else 'killed'}"
    api.put_policy(
        name=f"{name}-hours", topics=[f"{name}/#"], type="number", keep="aggregate", every="1h",
        filter={"min": 0},
    )  # fmt: skip
    in_force(running, name=name, topics=[f"{name}/#"], type="number", keep="archive")
    done = threading.Event()
    sent = 0

    def send() -> None:
        nonlocal sent
        while not done.is_set():
            running.gateways[sent // 50 % 2].send_batch(numbered(name, 50, start=sent))
            sent += 50

    sender = threading.Thread(target=send)
    sender.start()
    try:
        eventually(lambda: sent >= 500, 60)
        ended = running.keepers.pop(0)
        if gently:
            assert ended.stop() == 0
        else:
            ended.kill()
        reached = sent
        eventually(lambda: sent >= reached + 500, 60)
        running.keepers += running.cluster.start("keeper")
        reached = sent
        eventually(lambda: sent >= reached + 500, 60)
    finally:
        done.set()
        sender.join()
    expected = Counter(map(float, range(sent)))
    eventually(lambda: values(api, name, name) == expected, 90)
    windows = api.records(f"{name}/+", f"{name}-hours")
    assert sum(window["count"] for window in windows) == sent
    assert sum(window["sum"] for window in windows) == sum(range(sent))
    api.settle()


def test_a_gateway_stops_with_nothing_lost(running: Running) -> None:
    in_force(running, name="leave", topics=["leave/#"], type="number", keep="archive")
    gateway = running.cluster.start("gateway")[0]
    acknowledged: list[int] = []

    def send() -> None:
        for n in range(10_000):
            try:
                gateway.send_batch(numbered("leave", 20, start=20 * n))
            except (httpx.HTTPError, AssertionError, json.JSONDecodeError):
                return
            acknowledged.extend(range(20 * n, 20 * n + 20))

    sender = threading.Thread(target=send)
    sender.start()
    eventually(lambda: len(acknowledged) > 200, 60)
    assert gateway.stop() == 0
    sender.join()
    expected = set(map(float, acknowledged))
    eventually(lambda: expected <= set(values(running.api, "leave", "leave")), 60)


def test_an_embedded_series_needs_keeper_and_api_in_one_process_beside_any_gateways(
    on: Servers, tmp_path: Path
) -> None:
    cluster = Cluster(tmp_path, on, settings={"SERIES__URL": "chdb:series"})
    try:
        gateway, both = cluster.start("gateway", "keeper,api")
        both.put_policies([{"name": "p", "topics": ["#"], "type": "number", "keep": "archive"}])
        gateway.send("t", "1")
        eventually(lambda: [r["value"] for r in both.records("t", "p")] == [1.0])
        assert not (gateway.home / "lock").exists()
        second = Member("keeper,api", both.home, cluster.settings)
        second.spawn()
        assert second.wait() == 3
        assert "another process holds the home" in second.output
        second.close()
    finally:
        cluster.close()


def test_prometheus_scrapes_every_role_and_finds_nothing_wrong(
    running: Running, tmp_path: Path
) -> None:
    api, gateway, keeper = running.api, running.gateways[0], running.keepers[0]
    in_force(running, name="scraped", topics=["scraped/#"], type="number", keep="archive")
    with Server(tmp_path / "home") as up:
        up.put_policy(name="all", topics=["#"], type="number", keep="archive")
        up.send("plant/1", "21.5")
        up.settle()
        up.records("plant/1", "all")
        processes = {"api": api, "gateway": gateway, "keeper": keeper, "up": up}
        told = {job: metrics(process) for job, process in processes.items()}
        for job, text in told.items():
            assert complaints(text) == "", job
            shown = set(re.findall(r"^# TYPE (lakebed_\w+)", text, re.MULTILINE))
            assert shown <= declared().keys()
            assert shown
        jobs = {job: f"127.0.0.1:{process.http_port}" for job, process in processes.items()}
        with scraping(jobs, tmp_path / "prometheus") as prometheus:
            well = dict.fromkeys(jobs, "up")
            eventually(lambda: prometheus.targets() == well, 60)
            taken = eventually(lambda: prometheus.ask("lakebed_intake_messages_total"))
            assert taken["up"] == 1
            assert "keeper" not in taken
            seen = prometheus.ask("lakebed_keeper_lag_seconds_count")
            assert seen["up"] == 1
            assert seen.keys() == {"keeper", "up"}
            slowest = (
                "histogram_quantile(1, sum by (job, le) (lakebed_journal_fsync_seconds_bucket))"
            )
            assert 0 < prometheus.ask(slowest)["up"] <= 60
            ready = prometheus.ask("min by (job) (lakebed_ready)")
            assert ready == dict.fromkeys(jobs, 1)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def metrics(member: Member) -> str:
    return member.request("GET", "/metrics").text
