"""`lakebed up --events`: every event accepted can be read exactly once, soon, and after a kill."""

import json
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests import processes
from tests.server import Server

EVENTS = "/api/v1/events"
SENDERS, EACH = 8, 100
COUNTED = "unique:n,max:n,p99:lag"


class EventService(Server):
    command = ("up", "--events")


def send(server: Server, sender: int) -> None:
    for n in range(sender * EACH, (sender + 1) * EACH):
        event = {"name": "play", "id": f"e-{n}", "n": n, "user_id": n % 10, "track_id": f"t{n % 7}"}
        for _ in range(2 if n % 50 == 0 else 1):  # some twice, as after a lost answer
            answer = server.request("POST", EVENTS, json=event)
            assert (answer.status_code, answer.json()["accepted"]) == (202, 1)


def counted(server: Server) -> dict[str, float]:
    (row,) = server.get(f"{EVENTS}/stats", name="play", functions=COUNTED)["rows"] or [{}]
    return dict(row)


@pytest.mark.slow(10)
def test_each_event_is_read_exactly_once_with_its_lag(tmp_path: Path) -> None:
    with EventService(tmp_path / "home") as server:
        with ThreadPoolExecutor(SENDERS) as pool:
            list(pool.map(lambda sender: send(server, sender), range(SENDERS)))
        total = SENDERS * EACH
        server.settle(lambda flow: flow["kept"] >= total)
        row = counted(server)
        assert (row["count"], row["unique:n"], row["max:n"]) == (total, total, total - 1)
        assert 0 < row["p99:lag"] < 30
        metrics = server.request("GET", "/metrics").text
        found = re.search(r"lakebed_event_store_lag_seconds_count (\S+)", metrics)
        assert found is not None
        assert float(found[1]) >= total
        server.kill()
        server.start()
        assert counted(server)["count"] == total
        assert server.get(f"{EVENTS}/stats", by="user_id", where="track_id:eq:t3")["rows"]
        by_command(server, tmp_path)


def by_command(server: Server, folder: Path) -> None:
    """The commands that the greeting and the page name."""
    environment = processes.clean() | {"LAKEBED_URL": server.url, "LAKEBED_TOKEN": server.token}
    command = processes.command(folder / "bin") / "lakebed"

    def run(*arguments: str, input: str = "") -> str:
        done = subprocess.run(
            [command, "events", *arguments], env=environment, input=input,
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout

    lines = '{"name": "stop", "n": 1}\n{"name": "stop", "n": 2}\n'
    assert json.loads(run("send", "--lines", "--json", input=lines))["accepted"] == 2
    assert json.loads(run("send", "stop", "n=3", "why=done", "--json"))["accepted"] == 1
    server.settle(lambda flow: flow["in_flight"] == 0)
    listed = run("list", "--name", "stop", "--where", "n:ge:2", "--format", "ndjson")
    assert sorted(json.loads(line)["n"] for line in listed.splitlines()) == [2, 3]
    assert "p99:lag" in run("stats", "--by", "name", "--function", "p99:lag")
    assert "constant-arrival-rate" in run("script")
