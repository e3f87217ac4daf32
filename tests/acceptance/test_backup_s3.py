"""Backups in an object store, by the real commands, against a real S3 server."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.test_backup import POLICIES, TOPICS, answers, expected, lakebed, lines
from tests.server import Server
from tests.servers import s3

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PLACE = f"s3://{s3.BUCKET}/backups/plant"


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[s3.S3Server]:
    """Commands and servers find it by their environment."""
    with s3.running() as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        yield running


def listed() -> list[dict[str, Any]]:
    said = lakebed("backups", PLACE, "--check", "--format", "json")
    found: list[dict[str, Any]] = json.loads(said)["backups"]
    return found


def test_a_home_comes_back_from_an_object_store_that_was_away_for_a_while(
    store: s3.S3Server, tmp_path: Path
) -> None:
    count = 500
    with Server(tmp_path / "home") as server:
        server.put_policies(POLICIES)
        for topic in TOPICS:
            server.send_batch(lines(topic, 0, count // 2))
        server.settle(lambda flow: flow["kept"] == len(TOPICS) * count // 2)
        lakebed("backup", PLACE, "--home", str(server.home))
        store.kill()
        said = lakebed("backup", PLACE, "--home", str(server.home), fails=True)
        assert PLACE in said
        for topic in TOPICS:  # a place that is away holds up nobody
            server.send_batch(lines(topic, count // 2, count))
        server.settle(lambda flow: flow["kept"] == len(TOPICS) * count)
        store.start()
        lakebed("backup", PLACE, "--home", str(server.home))
    assert [(row["state"], row["messages"]) for row in listed()] == [
        ("whole", len(TOPICS) * count // 2),
        ("whole", len(TOPICS) * count),
    ]
    lakebed("restore", PLACE, "--home", str(tmp_path / "other"))
    with Server(tmp_path / "other") as other:
        other.settle(lambda flow: flow["kept"] == len(TOPICS) * count)
        for topic in TOPICS:
            assert answers(other, topic) == expected(topic, count)
