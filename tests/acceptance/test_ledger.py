"""Who sent, kept and read how much, told by the real command though the server is killed."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from tests import processes
from tests.server import Server, eventually


@pytest.mark.slow(12)
def test_a_bill_names_senders_and_survives_a_kill(tmp_path: Path) -> None:
    with Server(tmp_path / "home", {"INGEST__RECORD": "principal"}) as server:
        server.put_policy(name="raw", topics=["shed/#"], type="number", keep="archive")
        server.send_batch([{"topic": "shed/1", "value": "12345"}] * 10)
        server.send_batch([{"topic": "hall", "value": "12"}] * 3)
        server.settle()
        server.kill()
        server.start()
        server.send_batch([{"topic": "shed/2", "value": "1"}])
        server.settle()
        eventually(lambda: len(server.records("shed/#", "raw")) == 11)
        (row,) = _ledger(server, "--by", "owner,unit")
        assert (row["owner"], row["unit"]) == ("admin", "token:admin")
        assert (row["in_messages"], row["in_bytes"]) == (14, 57)
        assert (row["kept_messages"], row["kept_bytes"]) == (11, 51)
        server.stop()  # what was read is flushed
        server.start()
        read = [row for row in _ledger(server, "--by", "topic") if row["out_bytes"]]
        assert [row["topic"] for row in read] == ["shed/#"]
        assert read[0]["out_messages"] >= 11
        lines = list(csv.DictReader(io.StringIO(_told(server, "--by", "topic", "--csv"))))
        assert {line["topic"]: line["in_bytes"] for line in lines}["shed/1"] == "50"


def _ledger(server: Server, *arguments: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(_told(server, *arguments, "--json"))["rows"]
    return rows


def _told(server: Server, *arguments: str) -> str:
    done = processes.lakebed("ledger", *arguments, "--home", server.home, "--url", server.url)
    assert done.returncode == 0, done.stderr
    return done.stdout
