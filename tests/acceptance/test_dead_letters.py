"""A version with a mistake puts messages aside; the next one gets them back."""

import json
from pathlib import Path

import pytest

from tests import processes
from tests.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

POLICIES = (
    {"name": "all", "keep": "archive", "buffer": "0s"},
    {"name": "hours", "keep": "aggregate", "every": "1h", "functions": ["sum", "max", "count"]},
)
NOON = "2026-01-31T12:00:00Z"


def lakebed(server: Server, *arguments: str) -> str:
    done = processes.lakebed("dead-letters", *arguments, "--url", server.url, "--home", server.home)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def letters(server: Server) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(lakebed(server, "list", "--format", "json"))[
        "dead_letters"
    ]
    return found


def test_what_a_mistake_put_aside_is_sent_again_to_the_version_without_it(tmp_path: Path) -> None:
    server = Server(tmp_path / "home")
    server.module = "tests.acceptance.stumbling"
    with server:
        server.put_policies([p | {"topics": ["t/#"], "type": "number"} for p in POLICIES])
        for value in ("20", "13", "22"):
            server.send("t/1", value, **{"X-Message-Id": f"m-{value}", "X-Event-Time": NOON})
        server.settle(lambda flow: flow["received"] == 3)
        [letter] = letters(server)
        assert (letter["topic"], letter["policy"]) == ("t/1", "hours")
        assert "thirteen at table" in letter["reason"]
        shown = lakebed(server, "show", letter["id"])
        assert "_stumble" in shown, "where in the code it was"
        [hour] = server.records("t/1", "hours")
        assert (hour["sum"], hour["count"]) == (42, 2)

        server.kill()
        server.start()
        server.send("t/1", "1", **{"X-Message-Id": "m-1", "X-Event-Time": NOON})
        server.settle(lambda flow: flow["received"] == 4)
        assert [one["id"] for one in letters(server)] == [letter["id"]]

    with Server(tmp_path / "home") as server:
        assert "1 sent again" in lakebed(server, "resend", "--topic", "t/#")
        server.settle()
        [hour] = server.records("t/1", "hours")
        assert (hour["sum"], hour["count"], hour["max"]) == (56, 4, 22)
        assert sorted(r["value"] for r in server.records("t/1", "all")) == [1, 13, 20, 22]
        assert letters(server) == []
        assert "0 sent again" in lakebed(server, "resend", "--topic", "t/#")
