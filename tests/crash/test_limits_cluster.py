"""Two gateways over Kafka share a limit, one of them dies, and what is parked is released once.

numbered batches ──to both, 429? no: parked──> flow: kept + over quota, exactly
    kill a gateway, and the keeper                  kept <= the limit, of both together
release, kill who releases ──> records: each number once
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cluster import Cluster, Member, servers
from tests.server import assert_sum, eventually

pytestmark = [
    pytest.mark.slow(40),
    pytest.mark.timeout(400),
    pytest.mark.server("kafka"),
    pytest.mark.server("postgres"),
]

AMOUNT = 60
LIMITS = {
    "LIMITS__OWNER__MESSAGES": f"{AMOUNT}/1s",
    "LIMITS__OWNER__OVER": "park",
    "KEEPER__CHECKPOINT": "100ms",
}
TOPICS, BATCH = 8, 20


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with servers() as on:
        made = Cluster(tmp_path, on, "&session.timeout.ms=6000", LIMITS)
        try:
            yield made
        finally:
            made.close()


def test_gateways_share_a_limit_and_what_is_parked_is_released_once(cluster: Cluster) -> None:
    first, second, keeper, api = cluster.start("gateway", "gateway", "keeper", "api")
    api.put_policy(name="all", topics=["#"], type="number", keep="archive")
    sender = Sender()
    eventually(lambda: "/all@" in keeper.output, 60)
    eventually(lambda: gateways(first) == gateways(second) == 2, 30)
    # ten times the limit, through both of them
    began = time.monotonic()
    sender.send(first, second, seconds=5)
    passed = time.monotonic() - began
    flow = settled(api)
    assert flow["kept"] + flow["over_quota"] == sender.number
    assert flow["kept"] <= AMOUNT + passed * AMOUNT + 2 + 2 * BATCH  # the last ones leave a debt
    assert flow["kept"] >= 0.5 * passed * AMOUNT
    load = eventually(lambda: known(api.get("/api/v1/load", by="owner")), 30)
    assert load["load"][0]["messages"]["peak"] >= 2 * BATCH
    assert load["age"] < 20
    second.kill()
    sender.send(first, seconds=2)
    keeper.kill()
    keeper.start()
    sender.send(first, seconds=1)
    flow = settled(api)
    assert flow["kept"] + flow["over_quota"] == sender.number
    parked = flow["over_quota"]
    assert parked == api.get("/api/v1/parked")["messages"] > 0
    ordered = api.request("POST", "/api/v1/parked/release", json={"all": True}).json()
    assert ordered["messages"] == parked
    api.kill()
    api.start()
    keeper.kill()
    keeper.start()
    eventually(lambda: api.get("/api/v1/parked")["parked"] == [], 120)
    flow = settled(api)
    assert (flow["kept"], flow["over_quota"]) == (sender.number, 0)
    values = [
        int(row["value"]) for topic in range(TOPICS) for row in api.records(f"t/{topic}", "all")
    ]
    assert sorted(values) == list(range(sender.number))


class Sender:
    """Sends numbered messages under ids, until each is acknowledged."""

    def __init__(self) -> None:
        self.number = 0

    def send(self, *to: Member, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for member in to:
                numbers = range(self.number, self.number + BATCH)
                self.number += BATCH
                lines = [{"topic": f"t/{n % TOPICS}", "value": n, "id": str(n)} for n in numbers]
                eventually(lambda m=member, found=lines: _sent(m, found), 60)
            time.sleep(0.03)


def _sent(member: Member, lines: list[dict[str, Any]]) -> bool:
    try:
        member.send_batch(lines)
    except httpx.HTTPError:
        return False
    return True


def known(load: dict[str, Any]) -> dict[str, Any] | None:
    """Load that both gateways have told of; the API has received nothing."""
    return load if load["gateways"] == 2 and load["load"] else None


def gateways(member: Member) -> int:
    text = member.request("GET", "/metrics").text
    found = [line for line in text.splitlines() if line.startswith("lakebed_limits_gateways ")]
    return int(float(found[0].split()[1])) if found else 0


def settled(api: Member) -> dict[str, Any]:
    """The flow once nothing is in flight."""
    flow: dict[str, Any] = eventually(
        lambda: found if (found := api.flow())["in_flight"] == 0 else None, 120
    )
    assert_sum(flow)
    return flow
