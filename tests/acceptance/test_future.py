"""A clock was ahead once: who says so, and how to go on."""

from pathlib import Path

import pytest

from lakebed.cli.main import main
from tests.server import Server, eventually

pytestmark = [pytest.mark.slow(12), pytest.mark.timeout(200)]


def test_a_last_value_of_the_future_is_told_and_can_be_deleted(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def lakebed(*arguments: str) -> str:
        main([*arguments, "--home", str(server.home)])
        captured = capsys.readouterr()
        return captured.out + captured.err

    asked = ("--url", server.url)
    server.put_policies([
        {"name": "now", "topics": ["#"], "type": "number", "keep": "last_value", "every": "0s"},
        {"name": "all", "topics": ["rec/#"], "type": "number", "keep": "archive"},
    ])  # fmt: skip
    server.send("right", "1")
    assert lakebed("send", "fast", "2", "--time", "+20h", *asked) == ""
    server.settle(lambda flow: flow["kept"] == 2)
    shown = lakebed("last", "#", *asked)
    assert "fast: its time lies in the future" in shown
    told = lakebed("doctor")
    assert told.count("of the future") == told.count("1 topics of admin have records") == 1
    assert "lakebed forget TOPIC --from now --owner admin\n" in told
    lakebed("forget", "fast", "--from", "now", "--owner", "admin", "--yes", *asked)
    server.send("fast", "4")
    server.settle(lambda flow: flow["kept"] == 3)
    shown = lakebed("last", "#", *asked)
    assert "future" not in shown
    assert [row["value"] for row in server.get("/api/v1/last", topic="fast")["records"]] == [4]
    assert "of the future" not in lakebed("doctor")
    lakebed("send", "rec/fast", "2", "--time", "+20h", *asked)
    server.settle(lambda flow: flow["kept"] == 4)
    lakebed("forget", "rec/fast", "--policy", "now", "--from", "now", "--yes", *asked)
    eventually(lambda: ": rec/fast" in lakebed("doctor"))
