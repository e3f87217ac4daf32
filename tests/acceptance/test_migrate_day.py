"""A whole day of a plant moves from an embedded home to servers, where three roles serve it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests import processes
from tests.cluster import Cluster, servers
from tests.server import Server

pytestmark = [
    pytest.mark.slow(60),
    pytest.mark.server("kafka"),
    pytest.mark.server("postgres"),
    pytest.mark.timeout(900),
]

SENSORS = 60
EVERY = 30  # seconds between two readings of a sensor
READINGS = 24 * 3600 // EVERY
LINES = 8640  # of one request
NUMBERS: dict[str, Any] = {"topics": ["plant/#"], "type": "number"}
POLICIES: list[dict[str, Any]] = [
    {"name": "all", "keep": "archive", **NUMBERS},
    {"name": "days", "keep": "window", "for": "72h", **NUMBERS},
    {"name": "quarters", "keep": "aggregate", "every": "15m", **NUMBERS,
     "functions": ["count", "min", "max", "sum", "avg", "first", "last", "p95"]},
    {"name": "now", "keep": "last_value", "every": "1s", **NUMBERS},
    {"name": "few", "keep": "last_n", "count": 100, **NUMBERS},
]  # fmt: skip


def test_a_day_of_a_plant_is_the_same_on_servers(tmp_path: Path) -> None:
    until = (datetime.now(UTC) - timedelta(minutes=20)).replace(second=0, microsecond=0)
    with servers() as on:
        cluster = Cluster(tmp_path, on)
        with Server(tmp_path / "home") as home:
            home.put_policies(POLICIES)
            send_day(home, until - timedelta(hours=24))
            settle(home, SENSORS * READINGS)
            home.stop()  # what waits is written
            home.start()
            wanted = answers(home)
            home.stop()
        migrate(home.home, configured(tmp_path, cluster))
        try:
            gateway, _, api = cluster.start("gateway", "keeper", "api")
            settle(api, SENSORS * READINGS)
            assert_same(answers(api), wanted)
            send(gateway, [reading(sensor, READINGS, until) for sensor in range(SENSORS)])
            settle(api, SENSORS * (READINGS + 1))
            assert len(api.records("#", "all", limit=10_000)) == SENSORS * (READINGS + 1)
        finally:
            cluster.close()


def reading(sensor: int, number: int, at: datetime) -> dict[str, Any]:
    value = (sensor * 7919 + number * 104_729) % 4001 / 100
    return {"topic": f"plant/{sensor:02}/celsius", "time": at.isoformat(), "value": value}


def send_day(server: Server, begin: datetime) -> None:
    lines: list[dict[str, Any]] = []
    for number in range(READINGS):
        at = begin + timedelta(seconds=EVERY * number)
        lines += [reading(sensor, number, at) for sensor in range(SENSORS)]
        if len(lines) >= LINES:
            send(server, lines)
            lines = []
    send(server, lines)


def send(server: Server, lines: Sequence[dict[str, Any]]) -> None:
    if lines:
        server.send_batch(lines)


def settle(server: Server, messages: int) -> None:
    flow = server.settle(lambda flow: flow["received"] == messages, 120)
    assert flow["kept"] == messages, flow


def configured(folder: Path, cluster: Cluster) -> Path:
    config = folder / "cluster.toml"
    config.write_text(
        f'home = "{folder / "servers"}"\n'
        + "".join(
            f'{store}.url = "{cluster.settings[f"{store.upper()}__URL"]}"\n'
            for store in ("journal", "catalog", "series")
        )
    )
    return config


def migrate(home: Path, config: Path) -> None:
    done = processes.lakebed("migrate", "--from", home, "--to", config)
    assert done.returncode == 0, done.stderr


def answers(server: Server) -> dict[str, Any]:
    found: dict[str, Any] = {
        policy["name"]: server.records("#", policy["name"], limit=10_000)
        for policy in POLICIES
        if policy["keep"] != "last_value"
    }
    found["last"] = server.get("/api/v1/last", filter="#")["records"]
    found["by topic"] = server.get("/api/v1/flow", by="topic")
    found["by policy"] = server.get("/api/v1/flow", by="policy")
    return found


def assert_same(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Windows that end while this runs may be complete in one answer and not yet in the other."""
    assert found.keys() == wanted.keys()
    for name, answer in wanted.items():
        assert _settled(found[name]) == _settled(answer), f"{name} differs"


def _settled(answer: Any) -> Any:
    if not isinstance(answer, list):
        return answer
    return [{key: value for key, value in row.items() if key != "complete"} for row in answer]
