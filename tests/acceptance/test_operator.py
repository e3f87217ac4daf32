"""What an operator does to a running server: delete by request, look after damage."""

import sqlite3
import subprocess
import time
from pathlib import Path

import httpx

from tests import processes
from tests.server import Server, eventually

POLICIES = [
    {"name": "all", "topics": ["f/#"], "type": "number", "keep": "archive"},
    {"name": "slow", "topics": ["f/#"], "type": "number", "keep": "window", "for": "9d",
     "buffer": "1h"},
    {"name": "ring", "topics": ["f/#"], "type": "number", "keep": "last_n", "count": 5},
    {"name": "now", "topics": ["f/#"], "type": "number", "keep": "last_value"},
    {"name": "hours", "topics": ["f/#"], "type": "number", "keep": "aggregate", "every": "1h",
     "functions": ["sum"]},
]  # fmt: skip
EARLY = int(time.time()) // 3600 * 3600 - 50 * 3600
LATE = EARLY + 20 * 3600


def lakebed(server: Server, *arguments: str) -> subprocess.CompletedProcess[str]:
    return processes.lakebed(*arguments, "--home", server.home, "--url", server.url)


class Unready(Server):
    """Started is one that answers, whatever it says of itself."""

    def wait_ready(self) -> None:
        def answers() -> bool:
            try:
                return self.ready() in (200, 503)
            except httpx.TransportError:
                return False

        eventually(answers, 60)

    def ready(self) -> int:
        return self.request("GET", "/readyz").status_code


def kept(server: Server, topic: str) -> dict[str, list[float]]:
    """By policy what is left of a topic; of an aggregate the counts."""
    return {
        policy["name"]: [
            record.get("value", record.get("count"))
            for record in server.records(topic, str(policy["name"]))
        ]
        for policy in POLICIES
    }


def test_a_deletion_by_milliseconds_deletes_nothing(tmp_path: Path) -> None:
    with Server(tmp_path / "home") as server:
        server.put_policy(**POLICIES[0])
        server.send_batch([{"topic": "f/1", "value": i, "time": EARLY + i} for i in range(4)])
        server.settle()
        done = lakebed(server, "forget", "f/1", "--to", str(LATE * 1000), "--yes")
        assert done.returncode == 2
        assert "looks like milliseconds" in done.stderr
        for to in (LATE * 1000, "9999-12-31T23:59:59Z"):
            params = {"topic": "f/1", "to": to}
            answer = server.request("DELETE", "/api/v1/records", params=params)
            assert answer.status_code == 422, answer.text
            assert answer.json()["problems"][0]["where"] == "to"
        done = lakebed(server, "forget", "f/1", "--to", "2099-01-01T00:00:00Z", "--yes")
        assert done.returncode == 1
        assert "where events may lie" in done.stderr
        assert len(server.records("f/1", str(POLICIES[0]["name"]))) == 4


def test_what_was_deleted_does_not_come_back_after_a_kill(tmp_path: Path) -> None:
    with Server(tmp_path / "home") as server:
        for policy in POLICIES:
            server.put_policy(**policy)
        for topic in ("f/1", "f/2"):
            lines = [{"topic": topic, "value": i, "time": EARLY + i} for i in range(4)]
            lines += [{"topic": topic, "value": 10 + i, "time": LATE + i} for i in range(3)]
            server.send_batch(lines)
        # at once: nothing says that any policy has seen them by now
        done = lakebed(server, "forget", "f/1", "--from", str(LATE), "--yes")
        assert done.returncode == 0, done.stderr
        expected = {
            "all": [0, 1, 2, 3], "slow": [0, 1, 2, 3], "ring": [2, 3], "now": [], "hours": [4],
        }  # fmt: skip
        assert kept(server, "f/1") == expected
        other = kept(server, "f/2")
        assert other["all"] == [0, 1, 2, 3, 10, 11, 12]
        server.kill()
    with Server(tmp_path / "home") as server:
        server.settle()
        assert kept(server, "f/1") == expected
        assert kept(server, "f/2") == other
        server.send_batch([{"topic": "f/1", "value": 20, "time": LATE + 20}])
        expected = {
            "all": [0, 1, 2, 3, 20], "slow": [0, 1, 2, 3], "ring": [2, 3, 20],
            "now": [20], "hours": [4, 1],
        }  # fmt: skip
        # the long buffer of one is written when it is needed: a request to delete needs it
        assert lakebed(server, "forget", "nothing/there", "--yes").stderr == "0 rows deleted\n"
        expected["slow"] = [*expected["slow"], 20]
        eventually(lambda: kept(server, "f/1") == expected)
        assert server.settle()["kept"] == 15  # what was counted stays counted


def test_damage_makes_a_server_unready_until_it_was_acknowledged(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with Server(home, {"JOURNAL__SPAN": "1d"}) as server:
        server.send_batch([{"topic": "t", "value": i} for i in range(20)])
        server.settle()
        assert "no damage" in lakebed(server, "journal", "show").stderr
    with sqlite3.connect(home / "journal.db") as editor:
        editor.execute("INSERT INTO damaged VALUES (1, 7, 1790000000000000, x'00')")
    editor.close()
    with Unready(home) as server:
        assert server.ready() == 503
        told = lakebed(server, "journal", "acknowledge")
        assert told.returncode == 0, told.stderr
        assert "7 at 0:1" in told.stdout
        eventually(lambda: server.ready() == 200)
        assert server.get("/api/v1/journal")["damage"]["messages"] == 0
