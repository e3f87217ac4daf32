"""A server is killed while it fills policies: they are exact, and nothing is kept twice."""

import time
from pathlib import Path
from typing import Any

import pytest

from tests.server import Server

pytestmark = [pytest.mark.slow(20), pytest.mark.timeout(300)]

TOPICS, BATCHES, LENGTH = 10, 60, 200
NOON = 1_790_000_000 // 3600 * 3600
COMMON: dict[str, Any] = {"topics": ["plant/#"], "type": "number"}
POLICIES = [
    {"name": "raw", "keep": "archive", **COMMON},
    {"name": "hours", "keep": "aggregate", "every": "1h", "functions": ["sum", "count"], **COMMON},
    {"name": "newest", "keep": "last_n", "count": 50, **COMMON},
]


def message(number: int) -> dict[str, Any]:
    return {"topic": f"plant/{number % TOPICS}", "value": number, "time": NOON + number}


def state(server: Server, name: str) -> dict[str, Any]:
    found: dict[str, Any] = server.get(f"/api/v1/policies/{name}/fill")
    return found


def test_a_server_that_is_killed_fills_on_and_keeps_nothing_twice(tmp_path: Path) -> None:
    settings = {"KEEPER__READ": "200", "JOURNAL__SPAN": "1h"}
    with Server(tmp_path / "home", settings) as server:
        number = 0
        for _ in range(BATCHES):
            server.send_batch([message(number + i) for i in range(LENGTH)])
            number += LENGTH
        flow = server.settle(lambda flow: flow["received"] == number)
        assert flow["skipped"] == number
        for policy in POLICIES:
            server.put_policy(**policy)
        server.send_batch([message(number + i) for i in range(LENGTH)])
        server.settle(lambda flow: flow["kept"] == LENGTH)
        for policy in POLICIES:
            answer = server.request(
                "POST",
                f"/api/v1/policies/{policy['name']}/fill",
                json={"from": "2020-01-01T00:00:00Z"},
            )
            assert answer.status_code == 202, answer.text
            assert answer.json()["reaches"] == answer.json()["from"]
        kills, total = 0, number + LENGTH
        for part in (0.05, 0.3, 0.6):
            while (found := state(server, "hours"))["done"] < part:
                time.sleep(0.01)
            kills += found["state"] == "running"
            server.kill()
            server.start()
            server.send_batch([message(total + i) for i in range(LENGTH)])
            total += LENGTH
        assert kills, "it was filled before it could be killed"
        deadline = time.monotonic() + 60
        while any(state(server, p["name"])["state"] == "running" for p in POLICIES):
            assert time.monotonic() < deadline, server.output
            time.sleep(0.05)
        for policy in POLICIES:
            found = state(server, policy["name"])
            assert found["state"] == "done", found
            assert (found["read"], found["matched"], found["kept"]) == (number, number, number)
        flow = server.settle()
        kept = total - number
        assert (flow["received"], flow["kept"], flow["skipped"]) == (total, kept, number)
        counts = server.get("/api/v1/flow", by="policy")["policies"]
        assert {(row["policy"], row["kept"]) for row in counts} == {
            (p["name"], total) for p in POLICIES
        }
        for topic in range(TOPICS):
            mine = [n for n in range(total) if n % TOPICS == topic]
            raw = server.records(f"plant/{topic}", "raw", limit=10_000)
            assert sorted(r["value"] for r in raw) == mine
            hours = server.records(f"plant/{topic}", "hours")
            assert sum(r["count"] for r in hours) == len(mine)
            assert sum(r["sum"] for r in hours) == sum(mine)
            newest = server.records(f"plant/{topic}", "newest")
            assert sorted(r["value"] for r in newest) == mine[-50:]
