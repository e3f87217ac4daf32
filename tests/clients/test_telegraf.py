"""Telegraf itself sends, by each of its outputs, with the lines of the how-to."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients import building
from tests.server import Server, eventually

pytestmark = [pytest.mark.slow(10), pytest.mark.timeout(300)]
HOWTO = Path(__file__).parents[2] / "docs" / "howto" / "telegraf.md"
LINES = """climate,room=hall celsius=21.5,humidity=40i 1769860800000000000
climate,room=attic celsius=-3,state="off" 1769860801000000000
"""
VALUES = {
    "climate/attic/celsius": "-3",
    "climate/attic/state": "off",
    "climate/hall/celsius": "21.5",
    "climate/hall/humidity": "40",
}
AGENT = """
[agent]
  interval = "1s"
  flush_interval = "1s"
  omit_hostname = true
[[inputs.file]]
  files = ["{lines}"]
  data_format = "influx"
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("telegraf") / "home") as started:
        policy = {"name": "all", "topics": ["#"], "keep": "archive", "type": "text"}
        started.put_policies([policy | {"buffer": "0s"}])
        yield started


def blocks() -> dict[str, str]:
    """The how-to's outputs, by their names."""
    found = re.findall(r"^```\n(\[\[outputs\.(\w+)\]\].*?)^```", HOWTO.read_text(), re.M | re.S)
    return {name: block for block, name in found}


OUTPUTS = {
    **blocks(),
    "mqtt-3": blocks()["mqtt"].replace('protocol = "5"', 'protocol = "3.1.1"'),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_what_telegraf_sends_is_kept_by_topic_and_time(
    server: Server, tmp_path: Path, name: str
) -> None:
    lines, config = tmp_path / "lines", tmp_path / "telegraf.conf"
    lines.write_text(LINES)
    prefix = f"{name}-"
    output = re.sub(r"^(\[\[.*)$", rf'\1\n  name_prefix = "{prefix}"', OUTPUTS[name], flags=re.M)
    for said, is_now in {
        "127.0.0.1:8080": f"127.0.0.1:{server.http_port}",
        "127.0.0.1:1883": f"127.0.0.1:{server.mqtt_port}",
        "TOKEN": server.token,
    }.items():
        output = output.replace(said, is_now)
    config.write_text(AGENT.format(lines=lines) + output)
    with (tmp_path / "log").open("wb") as log:
        telegraf = subprocess.Popen(
            [building.go("telegraf"), config], stdout=log, stderr=log, cwd=tmp_path
        )
        try:
            rows = eventually(lambda: all_there(server, prefix), 30)
        finally:
            telegraf.terminate()
            telegraf.wait(20)
    assert {row["topic"].removeprefix(prefix): row["value"] for row in rows} == VALUES, (
        tmp_path / "log"
    ).read_text()
    if not name.startswith("mqtt"):
        assert {row["time"][:19] for row in rows} == {"2026-01-31T12:00:00", "2026-01-31T12:00:01"}


def all_there(server: Server, prefix: str) -> list[dict[str, str]]:
    rows = [row for row in server.records("#", "all") if row["topic"].startswith(prefix)]
    return rows if len({row["topic"] for row in rows}) == len(VALUES) else []
