"""Crashes with limits in force: sums stay exact, and what is released is complete and there once.

numbered batches ──429? later again──> kill, start, kill … ──> flow: kept + over quota, exactly
                                             release, kill in its middle, start
                                                              ──> records: each number once
"""

import random
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.crash.oracle import times
from tests.server import Server, assert_sum, eventually

pytestmark = [pytest.mark.slow(20), pytest.mark.timeout(300)]

ARCHIVE: dict[str, Any] = {"topics": ["#"], "type": "number", "keep": "archive"}
BATCHES, BATCH = times(60, 2000), 100
KILLS = times(3, 40)
LIMITS = {
    "LIMITS__OWNER__MESSAGES": "200/1s",
    "LIMITS__OWNER__OVER": "park",
    "KEEPER__CHECKPOINT": "100ms",
}


def test_what_is_parked_is_released_once_whatever_is_killed(tmp_path: Path) -> None:
    rng = random.Random(7)
    kills = {rng.randrange(BATCHES) for _ in range(KILLS)}
    with Server(tmp_path / "home", LIMITS) as server:
        server.put_policy(name="all", **ARCHIVE)
        server.put_policy(name="short", **ARCHIVE | {"for": "1h"})
        server.wait_in_force()
        for number in range(BATCHES):
            _send(server, number)
            if number in kills:
                server.kill()
                server.start()
        flow = _settled(server)
        parked = flow["over_quota"]
        assert parked > 0
        assert flow["kept"] + parked == BATCHES * BATCH
        _check_ledger(server, flow)
        found = server.get("/api/v1/parked")
        assert found["messages"] == parked
        assert [gap["reason"] for gap in _answer(server)["gaps"]] == ["over_quota"] * len(
            found["parked"]
        )
        ordered = server.request("POST", "/api/v1/parked/release", json={"all": True}).json()
        assert ordered["messages"] == parked
        server.kill()
        server.start()
        eventually(lambda: server.flow()["over_quota"] < parked, 60)
        server.kill()
        server.start()
        eventually(lambda: server.get("/api/v1/parked")["parked"] == [], 60)
        flow = _settled(server)
        assert (flow["kept"], flow["over_quota"]) == (BATCHES * BATCH, 0)
        _check_ledger(server, flow)
        for policy in ("all", "short"):
            rows = server.records("t", policy)
            values = sorted(int(row["value"]) for row in rows)
            assert values == list(range(BATCHES * BATCH))
        assert "gaps" not in _answer(server)


def _send(server: Server, number: int) -> None:
    """Send a batch under ids until it is acknowledged."""
    first = number * BATCH
    lines = [{"topic": "t", "value": n, "id": str(n)} for n in range(first, first + BATCH)]

    def sent() -> bool:
        try:
            server.send_batch(lines)
        except httpx.HTTPError:
            return False
        return True

    eventually(sent, 60)


def _settled(server: Server) -> dict[str, Any]:
    """The flow once nothing is in flight."""
    flow: dict[str, Any] = eventually(
        lambda: found if (found := server.flow())["in_flight"] == 0 else None, 60
    )
    assert_sum(flow)
    return flow


def _check_ledger(server: Server, flow: dict[str, Any]) -> None:
    """The byte ledger has every message once, those that are parked too, and what is kept."""
    sizes = server.get("/api/v1/topics")["total"]["bytes"]
    totals = server.get("/api/v1/ledger")["totals"]
    assert (totals["in_messages"], totals["in_bytes"]) == (flow["received"], sizes)
    assert totals["kept_messages"] == flow["kept"]
    if flow["kept"] == BATCHES * BATCH:
        assert totals["kept_bytes"] == sum(len(str(n)) for n in range(BATCHES * BATCH))


def _answer(server: Server) -> dict[str, Any]:
    answer: dict[str, Any] = server.get("/api/v1/records", topic="t", policy="all", limit=1)
    return answer
