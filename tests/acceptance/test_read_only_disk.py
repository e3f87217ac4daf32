"""The disk becomes read-only below a server, as a kernel makes it after an error."""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.crash.surroundings import READ_ONLY, WELL, Weather
from tests.server import Server

pytestmark = [
    pytest.mark.slow(10),
    pytest.mark.timeout(300),
    pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler"),
]


class Logging(Server):
    """Its log is beside the home, whose disk may refuse it."""

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
    home = tmp_path / "home"
    home.mkdir()
    (home / "output.log").symlink_to(tmp_path / "said.log")
    server = Logging(home, {"LOG__FORMAT": "json"})
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
        assert "the journal" in last["event"]
        weather.disk(WELL)
        server.start()
        with _tap(server):
            assert [row["value"] for row in server.records("plant/1", "all")] == [1]
            assert server.stop() == 0
    assert not [line for line in server.log if "exception" in line]
