"""`lakebed boards`: what it asks of the server, and what it prints."""

import json
from pathlib import Path

import pytest
import yaml

from .conftest import FakeServer, Reply, Run

HOUSE = {"name": "house", "title": "House", "tiles": [{"kind": "plot", "topics": ["a"]}]}
BOARDS = "/api/v1/boards"


@pytest.fixture
def file(run: Run) -> str:
    Path("house.yaml").write_text(yaml.safe_dump({"boards": [HOUSE]}))
    return "house.yaml"


def test_add_sends_the_board_of_a_file(run: Run, server: FakeServer, file: str) -> None:
    server.on("POST", BOARDS, Reply(201, HOUSE))
    assert json.loads(run("boards", "add", "-f", file, "--owner", "ann", "--json").out) == HOUSE
    assert json.loads(server.seen[0].body) == HOUSE
    assert server.seen[0].query == {"owner": "ann"}


def test_a_mistake_is_told_with_its_line_and_nothing_is_sent(run: Run, server: FakeServer) -> None:
    Path("wrong.yaml").write_text("boards:\n  - name: a\n    range: 1s\n")
    result = run("boards", "add", "-f", "wrong.yaml")
    assert result.code != 0
    assert "wrong.yaml:3: boards[0].range" in result.err
    Path("two.yaml").write_text(yaml.safe_dump({"boards": [HOUSE, HOUSE | {"name": "b"}]}))
    assert "lakebed apply" in run("boards", "add", "-f", "two.yaml").err
    assert server.seen == []


def test_change_sends_what_is_given_with_what_is_there(
    run: Run, server: FakeServer, file: str
) -> None:
    server.on("GET", f"{BOARDS}/house", Reply(200, HOUSE, {"ETag": '"7"'}))
    server.on("PUT", f"{BOARDS}/house", Reply(200, HOUSE))
    assert run("boards", "change", "house", "--share", "public").code == 0
    assert json.loads(server.seen[1].body) == HOUSE | {"share": "public"}
    assert server.seen[1].headers["if-match"] == '"7"'
    assert run("boards", "change", "house", "-f", file, "--title", "X").code == 0
    assert json.loads(server.seen[3].body) == HOUSE | {"title": "X"}
    assert run("boards", "change", "house").code == 2


def test_list_show_and_remove(run: Run, server: FakeServer) -> None:
    server.on("GET", BOARDS, Reply(200, {"boards": [HOUSE]}))
    server.on("GET", f"{BOARDS}/house", Reply(200, HOUSE))
    server.on("DELETE", f"{BOARDS}/house", Reply(204))
    assert "House" in run("boards", "list").out
    assert yaml.safe_load(run("boards", "show", "house").out) == {"boards": [HOUSE]}
    assert json.loads(run("boards", "remove", "house", "--json").out) == {"removed": "house"}
