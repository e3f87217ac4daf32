"""The disk below a server becomes read-only, as a kernel makes it after an error, or is full."""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import processes
from tests.crash.surroundings import FULL, READ_ONLY, WELL, Weather
from tests.server import Server, eventually

pytestmark = [
    pytest.mark.slow(10),
    pytest.mark.timeout(300),
    pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler"),
]


class Logging(Server):
    """Its log is beside the home, whose disk may refuse it; each line is JSON."""

    def __init__(self, home: Path) -> None:
        home.mkdir()
        (home / "output.log").symlink_to(home.with_name("said.log"))
        super().__init__(home, {"LOG__FORMAT": "json"})

    @property
    def output(self) -> str:
        return self.home.with_name("said.log").read_text(errors="replace")

    @property
    def log(self) -> list[dict[str, Any]]:
        """All but the greeting, which is on stdout."""
        said = re.sub(r"lakebed listens:.*?stops it\.\n", "", self.output, flags=re.DOTALL)
        return [json.loads(line) for line in said.splitlines()]


@contextmanager
def _tap(server: Server) -> Iterator[None]:
    headers = {"Authorization": f"Bearer {server.token}"}
    url = f"{server.url}/api/v1/tap?filter=%23"
    with httpx.stream("GET", url, headers=headers, timeout=30) as answer:
        assert answer.status_code == 200
        yield


def test_a_server_leaves_with_3_and_says_why_in_json_however_it_ends(tmp_path: Path) -> None:
    server = Logging(tmp_path / "home")
    weather = Weather(server, tmp_path)
    with server:
        server.put_policy(name="all", topics=["#"], type="number", keep="archive")
        server.send("plant/1", "1")
        with _tap(server):
            weather.disk(READ_ONLY)
            answer = server.request("POST", "/api/v1/messages", params={"topic": "t"}, content="2")
            assert answer.status_code in (500, 503)
            assert server.wait(30) == 3
        *_, last = server.log
        assert last["level"] == "critical"
        assert "writing to the journal failed" in last["event"]
        assert "has become read-only" in last["event"]
        weather.disk(WELL)
        server.start()
        with _tap(server):
            eventually(lambda: [r["value"] for r in server.records("plant/1", "all")] == [1])
            assert server.stop() == 0
    assert not [line for line in server.log if "exception" in line]


def test_a_start_on_a_full_disk_waits_for_room_and_says_so(tmp_path: Path) -> None:
    server = Logging(tmp_path / "home")
    weather = Weather(server, tmp_path)
    with server:
        server.put_policy(name="all", topics=["#"], type="number", keep="archive")
        server.send("plant/1", "1")
        server.kill()
        weather.disk(FULL)
        server.spawn()
        message = eventually(lambda: _answered(server, "/readyz")["parts"]["disk"]["message"], 60)
        assert message.startswith("waiting for room: 0 MiB")
        assert _answered(server, "/healthz")["status"] == "alive"
        assert "waiting for room" in _answered(server, "/api/v1/flow")["detail"]
        assert "BAD  disk       waiting for room" in _doctor(server)
        assert [line["level"] for line in server.log if "room" in line["event"]] == ["error"]
        weather.disk(WELL)
        server.wait_ready()
        eventually(lambda: [r["value"] for r in server.records("plant/1", "all")] == [1])


def _doctor(server: Server) -> str:
    """It finds the server by what that left in its home: no port is given."""
    return processes.lakebed("doctor", "--home", server.home).stdout


def _answered(server: Server, path: str) -> Any:
    try:
        return server.request("GET", path).json()
    except httpx.TransportError as error:
        raise AssertionError(error) from None
