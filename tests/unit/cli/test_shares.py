"""`lakebed shares` and `lakebed export`: what they ask of the server, and what they print."""

import json

import yaml

from .conftest import FakeServer, Reply, Run

WEATHER = {"name": "weather", "topics": ["roof/#"], "with": ["instance"], "may": ["read"]}
SHARES = "/api/v1/shares"


def test_add_opens_for_reading_where_nothing_else_is_said(run: Run, server: FakeServer) -> None:
    server.on("POST", SHARES, Reply(201, WEATHER))
    given = ("--topic", "roof/#", "--with", "instance", "--owner", "ann", "--json")
    assert json.loads(run("shares", "add", "weather", *given).out) == WEATHER
    assert json.loads(server.seen[0].body) == WEATHER
    assert server.seen[0].query == {"owner": "ann"}


def test_change_sends_what_is_given_with_what_is_there(run: Run, server: FakeServer) -> None:
    server.on("GET", f"{SHARES}/weather", Reply(200, WEATHER, {"ETag": '"7"'}))
    server.on("PUT", f"{SHARES}/weather", Reply(200, WEATHER))
    assert run("shares", "change", "weather", "--with", "public").code == 0
    assert json.loads(server.seen[1].body) == WEATHER | {"with": ["public"]}
    assert server.seen[1].headers["if-match"] == '"7"'
    assert run("shares", "change", "weather").code == 2


def test_list_show_and_remove(run: Run, server: FakeServer) -> None:
    server.on("GET", SHARES, Reply(200, {"shares": [WEATHER]}))
    server.on("GET", f"{SHARES}/weather", Reply(200, WEATHER))
    server.on("DELETE", f"{SHARES}/weather", Reply(204))
    assert "roof/#" in run("shares", "list").out
    assert "instance" in run("shares", "show", "weather").out
    assert run("shares", "remove", "weather").code == 0


def test_an_export_is_a_document_that_apply_takes(run: Run, server: FakeServer) -> None:
    policy = {"name": "raw", "topics": ["a"], "type": "number", "keep": "archive"}
    unit = {"uuid": "u", "owner": "ann", "name": "lamp", "publish": ["a"], "blocked": False}
    server.on("GET", "/api/v1/policies", Reply(200, {"policies": [policy]}))
    server.on("GET", "/api/v1/units", Reply(200, {"units": [unit], "next_cursor": None}))
    server.on("GET", SHARES, Reply(200, {"shares": [WEATHER]}))
    board = {"name": "roof", "tiles": [{"kind": "plot", "topics": ["roof/#"]}]}
    server.on("GET", "/api/v1/boards", Reply(200, {"boards": [board]}))
    relay = {
        "name": "hook",
        "from": {"topics": ["a"]},
        "to": {"postgres": "secret:w", "table": "t"},
    }
    server.on("GET", "/api/v1/relays", Reply(200, {"relays": [relay]}))
    server.on("GET", "/api/v1/me", Reply(200, {"owner": "ann"}))
    topics = {"state": ["plant/{unit}/state"], "log": []}
    server.on("GET", "/api/v1/owners/ann", Reply(200, {"owner": "ann", **topics}))
    text = run("export").out
    assert yaml.safe_load(text) == {
        "policies": [policy],
        "units": [{"name": "lamp", "publish": ["a"]}],
        "shares": [WEATHER],
        "reports": [{"name": "state", "topics": ["plant/{unit}/state"]}],
        "boards": [board],
        "relays": [relay],
    }
    with open("all.yaml", "w") as file:
        file.write(text)
    assert run("check", "-f", "all.yaml").code == 0
