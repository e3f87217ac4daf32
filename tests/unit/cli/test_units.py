"""`lakebed units`: what it asks of the server, and what it prints."""

import json

from .conftest import FakeServer, Reply, Request, Run

LAMP = {"uuid": "u-1", "name": "lamp", "publish": ["a"], "blocked": False}
UNITS = "/api/v1/units"


def test_list_goes_through_all_pages(run: Run, server: FakeServer) -> None:
    def page(request: Request) -> Reply:
        last = request.query.get("cursor") == "lamp"
        units = [{**LAMP, "name": "desk"}] if last else [LAMP]
        return Reply(200, {"units": units, "next_cursor": None if last else "lamp"})

    server.on("GET", UNITS, page)
    found = json.loads(run("units", "list", "--owner", "ann", "--tag", "x", "--json").out)
    assert [unit["name"] for unit in found] == ["lamp", "desk"]
    assert (server.seen[0].query["owner"], server.seen[0].query["tag"]) == ("ann", "x")
    assert "lamp" in run("units", "list").out


def test_add_sends_what_is_given(run: Run, server: FakeServer) -> None:
    server.on("POST", UNITS, Reply(201, LAMP))
    given = ("--publish", "a", "--publish", "b", "--limits", '{"messages": "1/1s"}')
    assert json.loads(run("units", "add", "lamp", *given, "--json").out) == LAMP
    assert json.loads(server.seen[0].body) == {
        "name": "lamp", "publish": ["a", "b"], "limits": {"messages": "1/1s"}
    }  # fmt: skip
    assert run("units", "add", "lamp", "--limits", "{").code == 2


def test_token_prints_the_token_alone(run: Run, server: FakeServer) -> None:
    server.on("POST", f"{UNITS}/lamp/token", Reply(201, {"token": "lb_x", **LAMP}))
    assert run("units", "token", "lamp", "--grace", "1h").out == "lb_x\n"
    assert json.loads(server.seen[0].body) == {"grace": "1h"}


def test_change_block_and_remove(run: Run, server: FakeServer) -> None:
    server.on("PATCH", f"{UNITS}/lamp", Reply(200, LAMP))
    server.on("DELETE", f"{UNITS}/lamp", Reply(204))
    for arguments in (("change", "lamp", "--tag", "x"), ("block", "lamp"), ("unblock", "lamp")):
        assert run("units", *arguments).code == 0
    assert [json.loads(seen.body) for seen in server.seen] == [
        {"tags": ["x"]}, {"blocked": True}, {"blocked": False}
    ]  # fmt: skip
    assert run("units", "remove", "lamp").code == 0
    assert run("units", "change", "lamp").code == 2


def test_show_prints_a_unit_or_its_log(run: Run, server: FakeServer) -> None:
    server.on("GET", f"{UNITS}/lamp", Reply(200, LAMP))
    server.on("GET", f"{UNITS}/lamp/log", Reply(200, {"entries": []}))
    assert "u-1" in run("units", "show", "lamp").out
    assert run("units", "show", "lamp", "--log", "--json").out == "[]\n"


def test_an_owner_s_topics_of_reports_are_named_and_taken_away(
    run: Run, server: FakeServer
) -> None:
    server.on("PATCH", "/api/v1/owners/club", Reply(200, {"owner": "club"}))
    assert run("owners", "change", "club", "--state", "a/{unit}", "--state", "b/{unit}").code == 0
    assert run("owners", "change", "club", "--log", "").code == 0
    assert [json.loads(seen.body) for seen in server.seen] == [
        {"state": ["a/{unit}", "b/{unit}"]}, {"log": []}
    ]  # fmt: skip
