"""In a cluster the tables of the series are dropped: keepers put them together again, exactly."""

import re
import shutil
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import Cluster, Member, Servers, servers
from tests.server import Api, eventually

pytestmark = [
    pytest.mark.server("kafka"),
    pytest.mark.server("postgres"),
    pytest.mark.slow(60),
    pytest.mark.timeout(400),
]

TOPICS = [f"plant/{n}" for n in range(8)]  # each of four partitions has some
_COMMON = {"topics": ["plant/#"], "type": "number"}
POLICIES: list[dict[str, Any]] = [
    {"name": "all", "keep": "archive", **_COMMON},
    {"name": "ten", "keep": "last_n", "count": 10, **_COMMON},
    {"name": "hours", "keep": "aggregate", "every": "1h", "functions": ["count", "sum"], **_COMMON},
]
HOURS = 6
BASE = (int(time.time()) // 3600 - HOURS) * 3600  # windows that are over, and one that is open
SMALL = {"KEEPER__READ": "100", "KEEPER__CHECKPOINT": "300ms"}
"""A rebuild of many steps, and checkpoints that a keeper is ahead of."""


@pytest.fixture(scope="module")
def on() -> Iterator[Servers]:
    with servers() as found:
        yield found


def _lines(first: int, last: int) -> list[dict[str, Any]]:
    """A message for each number: its topic, hour and value follow from the number."""
    return [
        {
            "topic": TOPICS[n % len(TOPICS)],
            "value": n,
            "id": f"n{n}",
            "time": BASE + n // len(TOPICS) % (HOURS + 1) * 3600,
        }
        for n in range(first, last)
    ]


def _answers(api: Api, topic: str) -> dict[str, Any]:
    def rows(policy: str, *fields: str) -> list[Any]:
        found = api.records(topic, policy, limit=10_000)
        return sorted(tuple(row[field] for field in fields) for row in found)

    return {
        "all": rows("all", "value"),
        "ten": rows("ten", "value"),
        "hours": rows("hours", "start", "count", "sum", "complete"),
        "last": api.get("/api/v1/last", topic=topic)["records"],
    }


def _right(api: Api, count: int) -> bool:
    """Whether the answers are those to the first `count` messages, each counted once."""
    for topic in TOPICS:
        answers = _answers(api, topic)
        values = [line["value"] for line in _lines(0, count) if line["topic"] == topic]
        assert [value for (value,) in answers["all"]] == values
        assert [value for (value,) in answers["ten"]] == sorted(values[-10:])
        assert sum(row[1] for row in answers["hours"]) == len(values)
        assert sum(row[2] for row in answers["hours"]) == sum(values)
    return True


def _series(member: Member) -> dict[str, Any]:
    part: dict[str, Any] = member.request("GET", "/readyz").json()["parts"]["series"]
    return part


def _in_force(*keepers: Member) -> set[str]:
    """The partitions in which all policies are in force."""
    pattern = rf"policies in force.*count={len(POLICIES)} partition=(\d)"
    return {number for keeper in keepers for number in re.findall(pattern, keeper.output)}


def _drop_tables(on: Servers) -> None:
    request = urllib.request.Request(f"http://{on.clickhouse.address}/", b"DROP DATABASE lakebed")
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 200


def test_dropped_tables_are_filled_again_by_keepers_without_a_home_and_no_answer_changes(
    on: Servers, tmp_path: Path
) -> None:
    """One keeper is killed during the rebuild with its home, another is at work all the time."""
    cluster = Cluster(tmp_path, on, "&session.timeout.ms=6000", SMALL)
    try:
        gateway, keeper, other, api = cluster.start("gateway", "keeper", "keeper", "api")
        for policy in POLICIES:
            api.put_policy(**policy)
        eventually(lambda: _in_force(keeper, other) == {"0", "1", "2", "3"}, 60)
        for first in range(0, 6000, 1000):
            gateway.send_batch(_lines(first, first + 1000))
        gateway.send_batch(_lines(0, 500))  # second copies, which stand in the journal as well
        api.settle(lambda flow: flow["kept"] == 6000)
        eventually(lambda: _right(api, 6000), 60)

        _drop_tables(on)
        for member in (keeper, other, api):
            assert not _series(member)["ok"]
            assert "tables are missing" in _series(member)["message"]

        keeper.kill()
        shutil.rmtree(keeper.home)
        keeper.spawn()
        eventually(lambda: api.get("/api/v1/series")["loss"], 60)
        keeper.kill()
        shutil.rmtree(keeper.home)
        assert not api.get("/api/v1/series")["loss"]["done"]
        assert "being rebuilt" in _series(api)["message"]
        gateway.send_batch(_lines(6000, 6500))
        gateway.send_batch(_lines(200, 700))
        keeper.start()
        for member in (keeper, other, api):
            member.wait_ready()
        api.settle(lambda flow: flow["kept"] == 6500)
        eventually(lambda: _right(api, 6500), 60)
        assert api.get("/api/v1/series") == {"loss": None}

        # and once more, nothing having come since: nothing at all may differ
        before = {topic: _answers(api, topic) for topic in TOPICS}
        keeper.stop()
        other.stop()
        _drop_tables(on)
        keeper.spawn()
        other.start()
        keeper.wait_ready()
        assert {topic: _answers(api, topic) for topic in TOPICS} == before
    finally:
        cluster.close()
