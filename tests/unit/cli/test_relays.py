"""`lakebed relays`: what it asks of the server, and what it prints."""

import json
from pathlib import Path
from typing import Any

import yaml

from .conftest import FakeServer, Reply, Run

RELAYS = "/api/v1/relays"
HOOK = {"name": "hook", "from": {"topics": ["a/#"]}, "to": {"http": "https://example.com/in"}}
STATUS: dict[str, Any] = {
    "state": "retrying", "why": "", "lag": {"messages": 7, "bytes": 70, "seconds": 1.5},
    "rate": 2.5, "error": "connection refused",
}  # fmt: skip
SHOWN = {**HOOK, "status": STATUS}


def test_a_relay_is_added_out_of_a_file(run: Run, server: FakeServer, tmp_path: Path) -> None:
    file = tmp_path / "hook.yaml"
    file.write_text(yaml.safe_dump({"relays": [HOOK]}))
    server.on("POST", RELAYS, Reply(201, SHOWN))
    assert json.loads(run("relays", "add", "-f", str(file), "--json").out) == SHOWN
    file.write_text("relays:\n  - name: a\n    from: {topics: [a]}\n    to: {nowhere: 1}\n")
    assert "hook.yaml:4: relays[0].to" in run("relays", "add", "-f", str(file)).err


def test_relays_are_listed_with_how_they_fare(run: Run, server: FakeServer) -> None:
    server.on("GET", RELAYS, Reply(200, {"relays": [SHOWN]}))
    out = run("relays", "list").out
    assert "retrying" in out
    assert "connection refused" in out
    assert json.loads(run("relays", "list", "--json").out) == [SHOWN]
    server.on("GET", f"{RELAYS}/hook", Reply(200, SHOWN))
    shown = run("relays", "show", "hook")
    assert yaml.safe_load(shown.out) == {"relays": [HOOK]}
    assert "hook: retrying, 7 records wait" in shown.err


def test_a_relay_is_paused_resumed_and_rewound(run: Run, server: FakeServer) -> None:
    for order in ("pause", "resume"):
        server.on("POST", f"{RELAYS}/hook/{order}", Reply(200, SHOWN))
        assert "hook: retrying" in run("relays", order, "hook").err
    server.on(
        "POST", f"{RELAYS}/hook/rewind", Reply(200, {**SHOWN, "reaches": "2026-01-31T12:00:00Z"})
    )
    assert "2026-01-31T12:00:00Z" in run("relays", "rewind", "hook", "--to", "2026-01-01").err


def test_removing_says_what_is_lost(run: Run, server: FakeServer) -> None:
    server.on("GET", f"{RELAYS}/hook", Reply(200, SHOWN))
    server.on("DELETE", f"{RELAYS}/hook", Reply(204))
    done = json.loads(run("relays", "remove", "hook", "--yes", "--json").out)
    assert done == {"removed": "hook", "dropped": 7}


def test_letters_are_listed_sent_again_and_dropped(run: Run, server: FakeServer) -> None:
    letter = {"id": "$relay:hook:0:7", "topic": "a", "time": "t", "size": 1, "reason": "no", "x": 1}
    server.on("GET", "/api/v1/dead-letters", Reply(200, {"dead_letters": [letter]}))
    assert "$relay:hook:0:7" in run("relays", "letters", "hook").out
    server.on("POST", "/api/v1/dead-letters/resend", Reply(200, {"resent": 1}))
    assert "1 sent again" in run("relays", "letters", "hook", "--resend").err
    server.on("DELETE", "/api/v1/dead-letters", Reply(200, {"dropped": 1}))
    assert "1 dropped" in run("relays", "letters", "hook", "--drop").err


def test_a_backfill_is_ordered_shown_and_cancelled(run: Run, server: FakeServer) -> None:
    fill = {
        "state": "reading", "topics": 3, "topics_done": 1, "records": 40, "waiting": 10,
        "error": "",
    }  # fmt: skip
    shown = {**HOOK, "status": {**STATUS, "backfill": fill}}
    server.on("POST", f"{RELAYS}/hook/backfill", Reply(202, shown))
    server.on("GET", f"{RELAYS}/hook", Reply(200, shown))
    server.on("DELETE", f"{RELAYS}/hook/backfill", Reply(204))
    said = "hook: reading, 1 of 3 topics, 40 records read, 10 wait"
    assert said in run("relays", "backfill", "hook", "--from", "0").err
    assert json.loads(run("relays", "backfill", "hook", "--json").out) == fill
    assert "cancelled" in run("relays", "backfill", "hook", "--cancel").err
    server.on("GET", f"{RELAYS}/hook", Reply(200, {**HOOK, "status": {"backfill": None}}))
    assert "no backfill" in run("relays", "backfill", "hook").err
