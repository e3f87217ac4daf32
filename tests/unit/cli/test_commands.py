"""What each client command asks of the server, and what it prints."""

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from lakebed.cli import documents, output
from lakebed.documents.sections import DocumentSection

from .conftest import FakeServer, Reply, Request, Run

POLICY = {"name": "raw", "topics": ["a/+"], "type": "number", "keep": "window", "for": "1d"}
FILE = "policies:\n  - {name: raw, topics: ['a/+'], type: number, keep: window, for: 24h}\n"


def stdin(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))


# --- who asks -------------------------------------------------------------------------------------


def test_the_token_is_that_of_the_home(run: Run, server: FakeServer, tmp_path: Path) -> None:
    (tmp_path / "lakebed-data").mkdir()
    (tmp_path / "lakebed-data" / "admin.token").write_text("secret\n")
    server.on("GET", "/api/v1/usage", Reply(200, {"usage": []}))
    run("usage")
    assert server.seen[0].headers["authorization"] == "Bearer secret"


def test_a_token_that_is_given_goes_before_that_of_the_home(
    run: Run, server: FakeServer, tmp_path: Path
) -> None:
    (tmp_path / "admin.token").write_text("secret\n")
    server.on("GET", "/api/v1/usage", Reply(200, {"usage": []}))
    run("usage", "--home", str(tmp_path), "--token", "mine")
    assert server.seen[0].headers["authorization"] == "Bearer mine"


# --- check, apply ---------------------------------------------------------------------------------


def test_check_says_yes_without_a_server(run: Run, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(FILE)
    assert run("check", "-f", "p.yaml") == (0, "", "p.yaml: 1 policy, all right\n")


def test_check_warns_and_says_yes(run: Run, tmp_path: Path) -> None:
    text = "policies:\n- name: x\n  topics: [$share/g/a]\n  type: number\n  keep: archive\n"
    (tmp_path / "p.yaml").write_text(text)
    result = run("check", "-f", "p.yaml")
    assert (result.code, result.out) == (0, "")
    warning, last = result.err.splitlines()
    assert warning.startswith("warning: p.yaml:3: policies[0].topics[0]: matches nothing")
    assert last == "p.yaml: 1 policy, no mistakes"


def test_check_names_file_line_place_and_reason(run: Run, tmp_path: Path) -> None:
    text = "policies:\n  - name: x\n    topics: [a]\n    type: number\n    keep: wndow\n"
    (tmp_path / "p.yaml").write_text(text)
    result = run("check", "-f", "p.yaml")
    assert result.code == 1
    assert result.err.startswith("lakebed: p.yaml:5: policies[0].keep: ")


def test_check_of_a_file_that_is_not_there_is_wrong_usage(run: Run) -> None:
    result = run("check", "-f", "nowhere.yaml")
    assert (result.code, result.err) == (
        2,
        "lakebed: --file: nowhere.yaml: No such file or directory\n",
    )


def test_check_of_bytes_that_are_not_text_says_where(run: Run, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_bytes(b"name: \xff")
    result = run("check", "-f", "p.yaml")
    assert (result.code, result.err) == (1, "lakebed: p.yaml: is not UTF-8: byte 6\n")


def test_apply_sends_the_document_in_one_request_and_says_what_became_of_it(
    run: Run, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = ("created", "unchanged", "changed")
    said = [{"name": f"p-{change}", "change": change} for change in changes]
    server.on("POST", "/api/v1/apply", Reply(200, {"policies": said}))
    stdin(monkeypatch, FILE.encode())
    assert run("apply", "-f", "-").out == (
        "p-created: created\np-unchanged: unchanged\np-changed: changed\n"
    )
    (request,) = server.seen
    assert request.body.decode() == FILE
    assert request.headers["content-type"] == "application/yaml"


def test_apply_writes_nothing_of_a_file_with_one_wrong_policy(
    run: Run, server: FakeServer, tmp_path: Path
) -> None:
    (tmp_path / "p.yaml").write_text(FILE + "  - {name: raw2}\n")
    result = run("apply", "-f", "p.yaml")
    assert result.code == 1
    assert "p.yaml:3: " in result.err
    assert server.seen == []


def test_apply_writes_nothing_that_the_server_would_refuse(
    run: Run, server: FakeServer, tmp_path: Path
) -> None:
    (tmp_path / "p.yaml").write_text(FILE)
    problem = {"where": "policies[0].for", "what": "more than your quota", "line": 2}
    server.on("POST", "/api/v1/apply", Reply(422, {"problems": [problem]}))
    result = run("apply", "-f", "p.yaml")
    assert result.code == 1
    assert result.err == "lakebed: p.yaml:2: policies[0].for: more than your quota\n"
    assert [request.method for request in server.seen] == ["POST"]


def test_apply_names_the_file_where_the_server_denies_a_policy(
    run: Run, server: FakeServer, tmp_path: Path
) -> None:
    (tmp_path / "p.yaml").write_text(FILE)
    denied = {"detail": "line 2: policies[0]: the token may not write a/+"}
    server.on("POST", "/api/v1/apply", Reply(403, denied))
    result = run("apply", "-f", "p.yaml")
    assert result.err == "lakebed: p.yaml: line 2: policies[0]: the token may not write a/+\n"


def test_apply_sends_all_sections_of_a_document_together(
    run: Run, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A section that another feature contributes, beside the policies."""
    shares = DocumentSection("shares", "share", lambda entry: [])
    known = (*documents.sections(), shares)
    monkeypatch.setattr(documents, "sections", lambda: known)
    written = {
        "policies": [{"name": "raw", "change": "created"}],
        "shares": [{"name": "roof", "change": "changed"}],
    }
    server.on("POST", "/api/v1/apply", Reply(200, written))
    text = FILE + "shares:\n  - name: roof\n"
    stdin(monkeypatch, text.encode())
    assert run("apply", "-f", "-").out == "raw: created\nroof: changed\n"
    assert [request.body.decode() for request in server.seen] == [text]


# --- send -----------------------------------------------------------------------------------------


def test_send_gives_payload_id_and_time_as_they_are(run: Run, server: FakeServer) -> None:
    server.on("POST", "/api/v1/messages", Reply(202, {"accepted": 1}))
    assert run("send", "a/ü b", "21.5", "--id", "ünique", "--time", "1700000000").code == 0
    (request,) = server.seen
    assert request.query == {"topic": "a/ü b"}
    assert request.body == b"21.5"
    assert request.headers["x-message-id"].encode("latin-1").decode() == "ünique"
    assert request.headers["x-event-time"] == "2023-11-14T22:13:20Z"


def test_send_of_a_dash_sends_stdin_whole(
    run: Run, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.on("POST", "/api/v1/messages", Reply(202, {"accepted": 1}))
    stdin(monkeypatch, b"\x00\xff\n")
    assert run("send", "a", "-").code == 0
    assert server.seen[0].body == b"\x00\xff\n"


def test_send_of_lines_makes_a_message_of_each_and_counts_lines_through(
    run: Run, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def batch(request: Request) -> Reply:
        lines = [json.loads(line) for line in request.body.splitlines()]
        bad = [i for i, line in enumerate(lines, 1) if line.get("value") == "bad"]
        rejected = [{"line": i, "error": "no"} for i in bad]
        return Reply(202, {"accepted": len(lines) - len(bad), "rejected": rejected})

    server.on("POST", "/api/v1/messages/batch", batch)
    stdin(monkeypatch, b"1\r\n" * 5000 + b"bad\n\xff\n2")
    result = run("send", "a", "--lines", "--time", "0")
    assert result.code == 1
    assert result.err == "5002 accepted, 1 rejected\nline 5001: no\n"
    last = [json.loads(line) for line in server.seen[-1].body.splitlines()]
    assert last == [
        {"topic": "a", "time": "1970-01-01T00:00:00Z", "value": "bad"},
        {"topic": "a", "time": "1970-01-01T00:00:00Z", "payload_base64": "/w=="},
        {"topic": "a", "time": "1970-01-01T00:00:00Z", "value": "2"},
    ]


def test_a_batch_that_was_rejected_whole_is_reported_line_by_line(
    run: Run, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = {"accepted": 0, "rejected": [{"line": 1, "error": "not your topic"}], "status": 422}
    server.on("POST", "/api/v1/messages/batch", Reply(422, answer))
    stdin(monkeypatch, b"1\n")
    result = run("send", "a", "--lines")
    assert (result.code, result.err) == (1, "0 accepted, 1 rejected\nline 1: not your topic\n")


# --- looking --------------------------------------------------------------------------------------


def test_last_asks_by_topic_or_by_filter(run: Run, server: FakeServer) -> None:
    record = {"topic": "a/b", "time": "2026-01-01T00:00:00Z", "value": 21.5}
    server.on("GET", "/api/v1/last", Reply(200, {"records": [record]}))
    assert "21.5" in run("last", "a/b").out
    run("last", "a/+")
    assert [request.query for request in server.seen] == [{"topic": "a/b"}, {"filter": "a/+"}]


def test_last_of_a_topic_nobody_keeps_is_a_no(run: Run, server: FakeServer) -> None:
    server.on("GET", "/api/v1/last", Reply(200, {"records": []}))
    result = run("last", "a")
    assert result.code == 1
    assert "keep: last_value" in result.err


def test_flow_shows_reasons_beside_their_sum(run: Run, server: FakeServer) -> None:
    counts = {"received": 5, "kept": 2, "filtered": {"unique": 2, "min": 1}, "late": 0}
    server.on("GET", "/api/v1/flow", Reply(200, counts))
    lines = [line.split() for line in run("flow").out.splitlines()]
    assert ["filtered", "3"] in lines
    assert ["filtered:", "unique", "2"] in lines


def test_flow_by_topic_is_one_line_each(run: Run, server: FakeServer) -> None:
    rows = [{"topic": "a", "kept": 1}, {"topic": "b", "kept": 2}]
    server.on("GET", "/api/v1/flow", Reply(200, {"topics": rows}))
    assert len(run("flow", "--by", "topic").out.splitlines()) == 3
    assert server.seen[0].query == {"by": "topic"}


def test_topics_follows_pages_to_the_end(run: Run, server: FakeServer) -> None:
    def topics(request: Request) -> Reply:
        first = "after" not in request.query
        page = {"topics": [{"topic": "a" if first else "b"}], "next": "a" if first else None}
        return Reply(200, page)

    server.on("GET", "/api/v1/topics", topics)
    assert run("topics", "--format", "json").out.count('"topic"') == 2


def test_topics_says_what_all_have_before_it_lists_those_asked_for(
    run: Run, server: FakeServer
) -> None:
    total = {"topics": 50_000, "received": 70_000, "kept": 1, "bytes": 2048}
    page = {"topics": [{"topic": "a"}, {"topic": "b"}], "next": "b", "total": total}
    server.on("GET", "/api/v1/topics", Reply(200, page))
    lines = run("topics", "--limit", "2").out.splitlines()
    assert lines[0] == "50,000 topics, 70,000 messages received, 1 kept, 2.0 KiB of payload"
    assert lines[2:] == ["topic", "a", "b"]
    assert [request.query["limit"] for request in server.seen] == ["2"]


def test_usage_shows_policies_before_topics(run: Run, server: FakeServer) -> None:
    row = {"policy": "raw", "keep": "window", "topic": "a", "rows": 3, "bytes": 9}
    policy = {"policy": "raw", "keep": "window", "topics": 2, "rows": 5, "bytes": 11}
    found = {"rows": 5, "bytes": 11, "usage": [row], "policies": [policy]}
    server.on("GET", "/api/v1/usage", Reply(200, found))
    lines = [line.split() for line in run("usage", "--limit", "1").out.splitlines()]
    assert lines[0] == ["5", "rows,", "11", "B", "of", "payload"]
    assert lines.index(["raw", "window", "2", "5", "11"]) < lines.index(
        ["raw", "window", "a", "3", "9"]
    )
    assert server.seen[0].query == {"limit": "1"}


SUMS = {
    "in_messages": 3, "in_bytes": 2048, "kept_messages": 2, "kept_bytes": 9,
    "stored_byte_hours": 0, "out_messages": 1, "out_bytes": 100,
}  # fmt: skip
ROW = {"start": "2026-01-01T00:00:00Z", "end": "2026-02-01T00:00:00Z", "unit": "=cmd", **SUMS}
LEDGER = {
    "from": ROW["start"], "to": ROW["end"], "rows": [ROW], "totals": SUMS,
    "rest": {"in_messages": 7, "in_bytes": 70}, "sampled_hours": 0, "next_cursor": None,
}  # fmt: skip


def test_ledger_shows_sizes_and_what_is_counted_together(run: Run, server: FakeServer) -> None:
    server.on("GET", "/api/v1/ledger", Reply(200, LEDGER))
    lines = run("ledger", "--by", "unit", "--from", "2026-01-01T00:00:00Z").out.splitlines()
    assert lines[0] == "2026-01-01T00:00:00Z to 2026-02-01T00:00:00Z"
    assert lines[3].split("  ")[0] == "=cmd"
    assert "2.0 KiB" in lines[3]
    assert lines[-1] == "topics counted together: 7 messages, 70 B in"
    assert server.seen[0].query["by"] == "unit"
    assert "start" not in run("ledger").out  # the totals


def test_ledger_puts_pages_together_as_csv_and_json(run: Run, server: FakeServer) -> None:
    def page(request: Request) -> Reply:
        return Reply(200, LEDGER | {"next_cursor": None if "cursor" in request.query else "c"})

    server.on("GET", "/api/v1/ledger", page)
    lines = run("ledger", "--by", "unit", "--csv").out.splitlines()
    assert lines[0].startswith("start,end,unit,in_messages,in_bytes,")
    assert [line.split(",")[2] for line in lines[1:]] == ["'=cmd", "'=cmd"]
    assert len(json.loads(run("ledger", "--json").out)["rows"]) == 2
    assert len(json.loads(run("ledger", "--json", "--limit", "1").out)["rows"]) == 1


def test_tables_of_many_rows_look_like_those_of_few(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[dict[str, Any]] = [
        {"topic": "a", "last_seen": None, "kept": 7, "name": "x"},
        {"topic": "комната/温度", "last_seen": "now", "kept": 12345, "other": True},
        {"topic": "b\x1b[2J", "kept": 1.5, "name": ["p", "q"]},
    ]
    output.table(rows)
    few = capsys.readouterr().out
    monkeypatch.setattr(output, "_MANY", 2)
    output.table(rows)
    assert capsys.readouterr().out == few


def test_policies_lists_them_and_shows_one_as_a_file(run: Run, server: FakeServer) -> None:
    server.on("GET", "/api/v1/policies", Reply(200, {"policies": [POLICY]}))
    server.on("GET", "/api/v1/policies/raw", Reply(200, POLICY))
    assert "for=1d" in run("policies").out
    shown = run("policies", "raw").out
    assert shown.startswith("policies:\n- name: raw\n")


def test_a_policy_is_filled_and_followed_to_its_end(
    run: Run, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lakebed.cli.filling._POLL", 0.0)
    path, begun = "/api/v1/policies/raw/fill", "2026-01-31T06:00:00Z"
    running = {
        "policy": "raw", "state": "running", "from": begun, "done": 0.5, "first": begun, "read": 7,
        "matched": 5, "kept": 4, "rows": 4, "bytes": 9, "lost": 0, "error": None,
    }  # fmt: skip
    done = running | {"state": "done", "done": 1.0}
    server.on("POST", path, Reply(202, running | {"reaches": begun}))
    server.on("GET", path, Reply(200, done))
    answer = run("policies", "fill", "raw", "--from", "2020-01-01T00:00:00Z")
    assert answer.code == 0
    assert answer.err == f"the journal reaches back to {begun}: filled from there on\n"
    assert "state    done" in answer.out
    assert json.loads(server.seen[0].body) == {"from": "2020-01-01T00:00:00Z"}
    shown = json.loads(run("policies", "fill", "raw", "--from", "-1h", "--no-wait", "--json").out)
    assert shown["state"] == "running"
    server.on("GET", path, Reply(200, done | {"read": 0, "first": None}))
    assert "nothing was read" in run("policies", "fill", "raw").out
    failed = running | {"state": "failed", "error": "no room"}
    server.on("DELETE", path, Reply(200, failed | {"state": "cancelled", "error": None}))
    assert "cancelled" in run("policies", "fill", "raw", "--cancel").out
    server.on("GET", path, Reply(200, failed))
    answer = run("policies", "fill", "raw")
    assert (answer.code, "no room" in answer.out) == (1, True)
    for wrong in (("raw", "fill"), ("fill", "raw", "--delete"), ("raw", "--from", "-1h")):
        assert run("policies", *wrong).code == 2


def test_tap_prints_messages_and_leaves_out_heartbeats(run: Run, server: FakeServer) -> None:
    body = (
        b'\n{"topic":"a","time":"2026-01-01T00:00:00Z","value":"1"}\n\n{"dropped":7}\n'
        b'{"topic":"a","time":"2026-01-01T00:00:01Z","value":"\\u001b[2J2"}\n'
        b'{"topic":"a","time":"2026-01-01T00:00:02Z","payload_base64":"/w=="}\n'
    )
    server.on("GET", "/api/v1/tap", Reply(200, body))
    result = run("tap", "a/#", "--count", "2")
    assert result.out == "2026-01-01T00:00:00Z a 1\n2026-01-01T00:00:01Z a [2J2\n"
    assert "7 messages" in result.err
    assert server.seen[0].query == {"filter": "a/#"}


def test_token_add_prints_the_secret_and_nothing_else(run: Run, server: FakeServer) -> None:
    server.on("POST", "/api/v1/tokens", Reply(201, {"token": "s3cret", "name": "gate"}))
    result = run("token", "add", "gate", "--owner", "plant", "--publish", "a/#", "--publish", "b")
    assert result.out == "s3cret\n"
    assert json.loads(server.seen[0].body) == {
        "owner": "plant",
        "name": "gate",
        "publish": ["a/#", "b"],
        "read": ["#"],
        "admin": False,
    }


def test_token_show_finds_the_one_of_the_owner(run: Run, server: FakeServer) -> None:
    tokens = [{"owner": owner, "name": "gate", "role": "editor"} for owner in ("plant", "admin")]
    server.on("GET", "/api/v1/tokens", Reply(200, {"tokens": tokens}))
    assert json.loads(run("tokens", "show", "gate", "--json").out) == tokens[1]
    missing = run("token", "show", "gate", "--owner", "eve")
    assert missing.code != 0
    assert "no token 'gate' of 'eve'" in missing.err


@pytest.mark.parametrize("word", ["revoke", "remove"])
def test_token_revoke_names_owner_and_token(run: Run, server: FakeServer, word: str) -> None:
    server.on("DELETE", "/api/v1/tokens", Reply(204))
    assert run("token", word, "gate").code == 0
    assert server.seen[0].query == {"owner": "admin", "name": "gate"}


def test_the_last_token_of_an_admin_is_revoked_after_a_question(
    run: Run, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(request: Request) -> Reply:
        forced = request.query.get("force") == "true"
        return Reply(204) if forced else Reply(409, {"detail": "it is the last token"})

    server.on("DELETE", "/api/v1/tokens", answer)
    stdin(monkeypatch, b"n\n")
    refused = run("token", "revoke", "admin")
    assert (refused.code, len(server.seen)) == (1, 1)
    assert "it is the last token. End it all the same?" in refused.err
    stdin(monkeypatch, b"y\n")
    assert run("token", "revoke", "admin").code == 0
    assert run("token", "revoke", "admin", "--yes").code == 0


def test_tables_in_a_pipe_are_never_cut(run: Run, server: FakeServer) -> None:
    long = "x" * 500
    server.on("GET", "/api/v1/usage", Reply(200, {"usage": [{"topic": long, "rows": 1}]}))
    assert long in run("usage").out


# --- dead letters ---------------------------------------------------------------------------------

LETTER = {
    "id": "raw:0:7", "topic": "a/1", "policy": "raw", "position": "0:7", "size": 2,
    "time": "2026-01-31T12:00:00Z", "received": "2026-01-31T12:00:00Z", "reason": "KeyError: 'x'",
    "payload_base64": "Mf8=",
}  # fmt: skip
LETTERS = "/api/v1/dead-letters"


def test_dead_letters_are_listed_with_what_became_of_others(run: Run, server: FakeServer) -> None:
    counts = {"waiting": 1, "resent": 2, "dropped": 3, "expired": 4}
    server.on("GET", LETTERS, Reply(200, {"dead_letters": [LETTER], **counts}))
    result = run("dead-letters", "list", "--policy", "raw")
    assert server.seen[0].query == {"policy": "raw", "limit": "100"}
    assert "raw:0:7" in result.out
    assert result.err == "1 waiting, 2 resent, 3 dropped, 4 expired\n"


def test_a_dead_letter_is_shown_with_its_payload_and_error(run: Run, server: FakeServer) -> None:
    letter = {**LETTER, "error": "Traceback\n  in \x1b[31mred\n"}
    server.on("GET", f"{LETTERS}/raw%3A0%3A7", Reply(200, letter))
    result = run("dead-letters", "show", "raw:0:7")
    assert result.code == 0
    assert "1\\xff" in result.out
    assert "\n  in [31mred\n" in result.out


def test_dead_letters_are_sent_again_by_name_or_by_choice(run: Run, server: FakeServer) -> None:
    server.on("POST", f"{LETTERS}/raw%3A0%3A7/resend", Reply(200, {"resent": 1}))
    server.on("POST", f"{LETTERS}/resend", Reply(200, {"resent": 5}))
    assert run("dead-letters", "resend", "raw:0:7") == (0, "", "1 sent again\n")
    assert run("dead-letters", "resend", "--reason", "KeyError").err == "5 sent again\n"
    assert server.seen[-1].query == {"reason": "KeyError"}
    assert run("dead-letters", "resend", "raw:0:8").code == 1  # no such letter


def test_dead_letters_are_dropped_by_name_or_by_choice(run: Run, server: FakeServer) -> None:
    server.on("DELETE", f"{LETTERS}/raw%3A0%3A7", Reply(204))
    server.on("DELETE", LETTERS, Reply(200, {"dropped": 5}))
    assert run("dead-letters", "drop", "raw:0:7", "raw:0:7").err == "2 dropped\n"
    assert run("dead-letters", "drop", "--topic", "#").err == "5 dropped\n"


@pytest.mark.parametrize("arguments", [(), ("raw:0:7", "--topic", "#")])
def test_dead_letters_are_chosen_in_one_way(
    run: Run, server: FakeServer, arguments: tuple[str, ...]
) -> None:
    assert run("dead-letters", "drop", *arguments).code == 2
    assert server.seen == []


# --- journal --------------------------------------------------------------------------------------

KEEPER = {
    "name": "keeper", "partition": 0, "offset": 10, "behind": 5, "age": 42.4, "live": True,
    "held_by": "ann/raw@2",
}  # fmt: skip
WHOLE = {"messages": 0, "missing": 0, "salvaged": False, "blocks": [], "files": []}
BROKEN = {
    "messages": 7, "missing": 2, "salvaged": True, "files": ["journal.db.damaged-1"],
    "blocks": [{"position": "0:50", "messages": 5, "written": "2026-01-31T12:00:00Z"}],
}  # fmt: skip


def journal_of(damage: dict[str, Any]) -> Reply:
    held = {"partition": 0, "first": 3, "end": 15, "committed": 9, "lag": 6, "owner": "k1:17"}
    partitions = [held, {**held, "partition": 1, "lag": 70, "owner": None}]
    return Reply(200, {"partitions": partitions, "consumers": [KEEPER], "damage": damage})


def test_the_journal_is_shown_with_who_holds_it(run: Run, server: FakeServer) -> None:
    server.on("GET", "/api/v1/journal", journal_of(WHOLE))
    result = run("journal", "show")
    assert "k1:17" in result.out
    assert re.search(r"70\W+nobody", result.out)
    assert "ann/raw@2" in result.out
    assert "42 s ago" in result.out
    assert result.err == "no damage\n"


def test_damage_is_printed_and_acknowledged_as_it_was_printed(run: Run, server: FakeServer) -> None:
    server.on("GET", "/api/v1/journal", journal_of(BROKEN))
    server.on("POST", "/api/v1/journal/acknowledge-damage", Reply(200, BROKEN))
    result = run("journal", "acknowledge")
    assert server.seen[-1].query == {"messages": "7"}
    for told in ("7 messages", "5 at 0:50", "journal.db.damaged-1"):
        assert told in result.out
    assert result.err == "acknowledged\n"


def test_where_nothing_is_damaged_nothing_is_acknowledged(run: Run, server: FakeServer) -> None:
    server.on("GET", "/api/v1/journal", journal_of(WHOLE))
    assert run("journal", "acknowledge").err == "no damage\n"
    assert [request.method for request in server.seen] == ["GET"]


def test_a_consumer_is_dropped_by_name(run: Run, server: FakeServer) -> None:
    server.on("DELETE", "/api/v1/journal/consumers/old-relay", Reply(204))
    assert run("journal", "drop-consumer", "old-relay").err == "old-relay: dropped\n"


# --- forget ---------------------------------------------------------------------------------------


def test_forget_deletes_what_it_was_told_and_says_how_much(run: Run, server: FakeServer) -> None:
    server.on("DELETE", "/api/v1/records", Reply(200, {"deleted": 12}))
    result = run("forget", "a/+", "--policy", "raw", "--to", "1", "--owner", "ann", "--yes")
    assert result == (0, "", "12 rows deleted\n")
    assert server.seen[0].query == {
        "topic": "a/+", "policy": "raw", "to": "1970-01-01T00:00:01Z", "owner": "ann",
    }  # fmt: skip


@pytest.mark.parametrize("flag", ["--from", "--to"])
def test_forget_refuses_milliseconds_without_asking_anybody(
    run: Run, server: FakeServer, flag: str
) -> None:
    result = run("forget", "a/+", flag, "1790000000000", "--yes")
    assert result.code == 2
    assert f"{flag}: 1790000000000 looks like milliseconds" in result.err
    assert server.seen == []


def test_forget_asks_before_and_takes_silence_for_a_no(
    run: Run, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    stdin(monkeypatch, b"")
    result = run("forget", "a/+")
    assert result.code == 1
    assert "topic a/+" in result.err
    assert server.seen == []


def test_flow_explains_what_was_not_kept(run: Run, server: FakeServer) -> None:
    example = {
        "reason": "not_a_number", "policy": "raw", "topic": "a/1", "time": "2026-01-31T12:00:00Z",
        "received": "2026-01-31T12:00:00Z", "position": "0:1", "size": 5, "payload": "wa\x1b[31mrm",
    }  # fmt: skip
    flow = {"received": 1, "filtered": {"not_a_number": 1}, "examples": [example]}
    server.on("GET", "/api/v1/flow", Reply(200, flow))
    result = run("flow", "--why")
    assert server.seen[0].query == {"examples": "true"}
    assert "not a number" not in result.out
    assert "not_a_number  raw" in result.out
    assert result.out.endswith("wa[31mrm\n")
    server.on("GET", "/api/v1/flow", Reply(200, {"received": 0, "examples": []}))
    assert "every message was kept" in run("flow", "--why").err


CHANGE = {
    "difference": "anew", "message": "the topic lakebed is another one", "hindrance": None,
    "lost": 200, "used": {"id": "first", "partitions": 4},
    "found": {"id": "second", "partitions": 4},
}  # fmt: skip


def test_a_topic_is_adopted_after_it_was_said_what_is_lost(run: Run, server: FakeServer) -> None:
    server.on("GET", "/api/v1/journal", Reply(200, {"change": CHANGE}))
    server.on("POST", "/api/v1/journal/adopt", Reply(200, {"lost": 200}))
    result = run("journal", "adopt")
    assert result.code != 0  # asked, and nobody answered
    assert "200 messages, accepted and never read" in result.out
    assert [request.method for request in server.seen] == ["GET"]
    result = run("journal", "adopt", "--yes")
    assert result.code == 0
    assert server.seen[-1].query == {"id": "second", "partitions": "4", "messages": "200"}
    assert "200 messages are counted as lost" in result.err


def test_a_topic_that_cannot_be_adopted_is_not(run: Run, server: FakeServer) -> None:
    hindered = {**CHANGE, "hindrance": "it has 6 partitions"}
    server.on("GET", "/api/v1/journal", Reply(200, {"change": hindered}))
    result = run("journal", "adopt", "--yes")
    assert result.code != 0
    assert "it has 6 partitions" in result.err
    server.on("GET", "/api/v1/journal", Reply(200, {"change": None}))
    assert run("journal", "adopt", "--yes").code == 0
    assert {request.method for request in server.seen} == {"GET"}
