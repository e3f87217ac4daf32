"""What bad input gets: an answer that says what is wrong, and no harm to anybody else."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.rawmqtt import CONNACK, DISCONNECT, PUBACK, Raw, connect, packet, publish, text
from tests.server import Server, eventually

HOURS_AGO = "2020-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {"LIMITS__PAYLOAD": "1KiB", "HTTP__MAX_BODY": "64KiB"}
    with Server(tmp_path_factory.mktemp("bad") / "home", settings) as running:
        for kind in ("number", "text", "json"):
            running.put_policy(name=kind, topics=["in/#"], type=kind, keep="archive")
        running.put_policy(name="at", topics=["in/#"], type="number", keep="archive", at="/v")
        running.put_policy(
            name="day", topics=["day"], type="number", keep="window", **{"for": "1d"}
        )
        running.wait_in_force()
        yield running


@pytest.fixture(autouse=True)
def _every_message_is_accounted_for_and_others_are_unaffected(server: Server) -> Iterator[None]:
    """A client that does nothing wrong is connected all the while, and is served to the end."""
    with Raw(server).login(server.token, "bystander") as bystander:
        yield
        bystander.send(publish(b"bystander", b"1", 77))
        assert bystander.receive() == (PUBACK, b"\0\x4d")
    server.settle()
    assert server.request("GET", "/healthz").status_code == 200


def by_policy(server: Server) -> dict[str, dict[str, Any]]:
    server.settle()
    return {row["policy"]: row for row in server.get("/api/v1/flow", by="policy")["policies"]}


def metrics(server: Server) -> dict[str, float]:
    lines = server.request("GET", "/metrics").text.splitlines()
    found = [line.rpartition(" ") for line in lines if line and not line.startswith("#")]
    return {name: float(value) for name, _, value in found}


# --- MQTT that breaks the protocol ----------------------------------------------------------------

MALFORMED, PROTOCOL_ERROR, TOPIC_INVALID, TOO_LARGE = 0x81, 0x82, 0x90, 0x95
BROKEN = {
    "QoS 3": (publish(b"in/x", b"1", head=0x36), MALFORMED),
    "a topic that is not UTF-8": (publish(b"in/\xff\xfe", b"1"), MALFORMED),
    "a surrogate in a topic": (publish(b"in/\xed\xa0\x80", b"1"), MALFORMED),
    "a NUL in a topic": (publish(b"in/\0", b"1"), MALFORMED),
    "a wildcard in a topic": (publish(b"in/+/x", b"1"), TOPIC_INVALID),
    "a hash in a topic": (publish(b"in/#", b"1"), TOPIC_INVALID),
    "no topic and no alias": (publish(b"", b"1"), PROTOCOL_ERROR),
    "packet identifier 0": (publish(b"in/x", b"1", packet_id=0), MALFORMED),
    "a length that never ends": (b"\x32\xff\xff\xff\xff\x7f", MALFORMED),
    "a packet beyond the maximum": (b"\x32\xff\xff\xff\x7f", TOO_LARGE),
    "a topic longer than its packet": (packet(0x32, b"\xff\xffin"), MALFORMED),
    "a second CONNECT": (connect("x"), PROTOCOL_ERROR),
    "a packet that only servers send": (b"\xd0\x00", PROTOCOL_ERROR),
    "reserved packet type 0": (b"\x00\x00", None),
    "reserved flags of SUBSCRIBE": (packet(0x80, b"\0\1\0", text("x"), b"\0"), MALFORMED),
    "a property that does not exist": (packet(0x32, text("in/x"), b"\0\1\2\x7f\0", b"1"), None),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_packet_ends_the_connection_with_its_reason(server: Server, name: str) -> None:
    data, reason = BROKEN[name]
    received = server.settle()["received"]
    with Raw(server).login(server.token, "broken") as client:
        client.send(data)
        kind, body = client.receive()
        assert kind == DISCONNECT
        assert body[0] == reason or (reason is None and body[0] in (MALFORMED, PROTOCOL_ERROR))
        assert client.receive() == (0, b"")
    assert server.settle()["received"] == received


def test_messages_before_the_broken_packet_are_taken(server: Server) -> None:
    with Raw(server).login(server.token, "halfway") as client:
        client.send(publish(b"halfway", b"1", 5) + publish(b"halfway/+", b"2", 6))
        heard = []
        while (kind := client.receive()[0]) != 0:
            heard.append(kind)
        assert DISCONNECT in heard
    eventually(lambda: _topic(server, "halfway")["received"] == 1)


def _topic(server: Server, topic: str) -> dict[str, Any]:
    rows = server.get("/api/v1/flow", by="topic")["topics"]
    found = [row for row in rows if row["topic"] == topic]
    return found[0] if found else {"received": 0}


@pytest.mark.parametrize(
    "greeting",
    [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00", b"\0" * 64, b"\x32\x05\0\1a1"],
    ids=["HTTP", "TLS", "zeros", "PUBLISH"],
)
def test_what_does_not_begin_with_connect_is_cut_off(server: Server, greeting: bytes) -> None:
    with Raw(server) as client:
        client.send(greeting)
        assert client.receive() == (0, b"")


def test_another_version_of_the_protocol_is_refused(server: Server) -> None:
    with Raw(server) as client:
        client.send(connect(server.token, version=3, protocol="MQIsdp"))
        assert client.receive() == (CONNACK, b"\0\0")
    with Raw(server) as client:  # as 3.1.1 says it: a client of more than 5 falls back then
        client.send(connect(server.token, version=6))
        assert client.receive() == (CONNACK, b"\0\1")


def test_broken_connections_are_counted(server: Server) -> None:
    before = sum(value for name, value in metrics(server).items() if "disconnect" in name)
    with Raw(server).login(server.token, "counted") as client:
        client.send(BROKEN["QoS 3"][0])
        while client.receive()[0]:
            pass
    eventually(
        lambda: sum(v for name, v in metrics(server).items() if "disconnect" in name) > before
    )


def test_a_payload_beyond_the_limit_is_refused_and_the_next_one_taken(server: Server) -> None:
    with Raw(server).login(server.token, "large") as client:
        client.send(publish(b"in/large", b"x" * 1025, 1) + publish(b"in/large", b"y" * 1024, 2))
        kind, body = client.receive()
        assert (kind, body[:2]) == (PUBACK, b"\0\1")
        assert body[2] == 0x97
        assert client.receive() == (PUBACK, b"\0\2")
    answer = server.request("POST", "/api/v1/messages?topic=in/large", content=b"x" * 1025)
    assert answer.status_code == 413
    server.settle()
    assert _topic(server, "in/large")["received"] == 1


# --- who may do what ------------------------------------------------------------------------------


def test_wrong_credentials_are_refused_and_nothing_is_stored(server: Server) -> None:
    received = server.settle()["received"]
    for version, code in ((5, 0x86), (4, 4)):
        with Raw(server) as client:
            client.send(connect("wrong", version=version))
            kind, body = client.receive()
            assert (kind, body[1]) == (CONNACK, code)
            assert client.receive() == (0, b"")
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic eDp5"}):
        for path in ("/api/v1/messages?topic=x", "/api/v1/messages/batch", "/api/v1/policies"):
            answer = httpx.post(server.url + path, content=b"1", headers=headers, timeout=20)
            assert answer.status_code == 401, path
            assert answer.headers["content-type"] == "application/problem+json"
    assert server.settle()["received"] == received


def test_a_topic_that_is_not_yours_is_refused_and_nothing_is_stored(server: Server) -> None:
    wanted = {"owner": "plant", "name": "gateway", "publish": ["mine/#"], "read": ["mine/#"]}
    answer = server.request("POST", "/api/v1/tokens", json=wanted)
    assert answer.status_code == 201, answer.text
    token = answer.json()["token"]
    headers = {"Authorization": f"Bearer {token}"}
    with Raw(server).login(token, "gateway") as client:
        client.send(publish(b"yours/x", b"1", 1) + publish(b"mine/x", b"1", 2))
        kind, body = client.receive()
        assert (kind, body[:3]) == (PUBACK, b"\0\1\x87")
        assert client.receive() == (PUBACK, b"\0\2")
    for path, status in (("yours/x", 403), ("mine/x", 202)):
        url = f"{server.url}/api/v1/messages?topic={path}"
        assert httpx.post(url, content=b"1", headers=headers, timeout=20).status_code == status
    lines = "\n".join(json.dumps({"topic": t, "value": 1}) for t in ("yours/x", "mine/x"))
    url = f"{server.url}/api/v1/messages/batch"
    found = httpx.post(url, content=lines, headers=headers, timeout=20).json()
    assert (found["accepted"], [row["line"] for row in found["rejected"]]) == (1, [1])
    for query in ("topic=yours/x", "topic=%23"):
        url = f"{server.url}/api/v1/records?{query}&policy=any"
        assert httpx.get(url, headers=headers, timeout=20).status_code == 403
    # what is theirs is not the admin's, and the other way round
    flow = httpx.get(f"{server.url}/api/v1/flow?by=topic", headers=headers, timeout=20).json()
    assert [row["topic"] for row in flow["topics"]] == ["mine/x"]
    assert _topic(server, "mine/x")["received"] == 0


# --- payloads and times ---------------------------------------------------------------------------


def test_a_payload_that_does_not_fit_is_counted_and_other_policies_get_it(server: Server) -> None:
    before = by_policy(server)
    bad = [b"abc", b"nan", b"-inf", b"1e400", b"\xff\xfe", b'{"v": 1}', b'{"w": 1}', b'{"v": "x"}']
    for payload in bad:
        server.send("in/bad", payload)
    after = by_policy(server)

    def gained(policy: str) -> dict[str, int]:
        old = before.get(policy, {"kept": 0, "filtered": {}})
        new = after[policy]
        counts = {r: n - old["filtered"].get(r, 0) for r, n in new["filtered"].items()}
        counts["kept"] = new["kept"] - old["kept"]
        return {reason: count for reason, count in counts.items() if count}

    assert gained("number") == {"not_a_number": 5, "not_finite": 2, "out_of_range": 1}
    assert gained("text") == {"kept": 7, "not_text": 1}
    # 1e400 is JSON (RFC 8259 section 6 sets no limit), nan is not
    assert gained("json") == {"kept": 4, "not_json": 4}
    assert gained("at") == {"kept": 1, "missing_path": 2, "not_a_number": 1, "not_json": 4}


def test_times_far_ahead_or_past_the_retention_are_counted_and_not_stored(server: Server) -> None:
    assert "day" not in by_policy(server)
    server.send("day", "1")
    server.send("day", "2", **{"X-Event-Time": "2099-01-01T00:00:00Z"})
    server.send("day", "3", **{"X-Event-Time": HOURS_AGO})
    day = by_policy(server)["day"]
    assert (day["kept"], day["late"], day["filtered"]) == (1, 1, {"out_of_range_time": 1})
    eventually(lambda: [row["value"] for row in server.records("day", "day")] == [1])


# --- documents and queries ------------------------------------------------------------------------

BAD_POLICIES = [
    ({"every": "7m"}, "every", "5m|6m|10m"),
    ({"keep": "window"}, "for", "24h"),
    ({"keep": "windw", "every": None}, "keep", "window"),
    ({"type": "image"}, "type", "not available"),
    ({"topics": ["a/#/b"]}, r"topics\[0\]", "#"),
    ({"filter": {"min": 5, "max": 1}}, "filter.max", "below"),
    ({"functions": ["median"]}, r"functions\[0\]", "p50"),
    ({"timezone": "Mars/Base"}, "timezone", "Mars"),
    ({"at": "celsius"}, "at", "/celsius"),
    ({"evry": "5m"}, "evry", "every"),
    ({"active": {"from": "2026-02-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"}}, "until", ""),
]


@pytest.mark.parametrize(("change", "where", "what"), BAD_POLICIES, ids=lambda x: str(x)[:30])
def test_a_bad_policy_is_refused_with_place_and_reason_and_changes_nothing(
    server: Server, change: dict[str, Any], where: str, what: str
) -> None:
    before = server.get("/api/v1/policies")
    good = {"name": "bad", "topics": ["x"], "type": "number", "keep": "aggregate", "every": "5m"}
    document = {key: value for key, value in (good | change).items() if value is not None}
    for method, path in (
        ("POST", "/policies"),
        ("PUT", "/policies/bad"),
        ("POST", "/policies/check"),
    ):
        answer = server.request(method, f"/api/v1{path}", json=document)
        assert answer.status_code == 422, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        problems = answer.json()["problems"]
        assert any(re.search(where, problem["where"]) for problem in problems), problems
        assert any(re.search(what, problem["what"]) for problem in problems), problems
    assert server.get("/api/v1/policies") == before


def test_a_checked_file_names_the_line(server: Server) -> None:
    lines = ["policies:", "- name: a", "  topics: [x]", "  type: number", "  keep: last_n"]
    answer = server.request(
        "POST", "/api/v1/policies/check", content="\n".join([*lines, "  count: 0"]),
        headers={"Content-Type": "application/yaml"},
    )  # fmt: skip
    assert answer.status_code == 422
    assert [(p["where"], p["line"]) for p in answer.json()["problems"]] == [
        ("policies[0].count", 6)
    ]


BAD_QUERIES = [
    ({"policy": "nobody"}, "policy"),
    ({"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, "from"),
    ({"from": "yesterday"}, "from"),
    ({"to": "nan"}, "to"),
    ({"limit": "0"}, "limit"),
    ({"limit": "100001"}, "limit"),
    ({"limit": "many"}, "limit"),
    ({"offset": "-1"}, "offset"),
    ({"order": "random"}, "order"),
    ({"cursor": "Zm9yZWlnbg"}, "cursor"),
    ({"cursor": "ä!"}, "cursor"),
    ({"format": "xml"}, "format"),
    ({"topic": "a/#/b"}, "topic"),
    ({"topic": ""}, "topic"),
    ({"frm": "5"}, "frm"),
]


@pytest.mark.parametrize(("change", "parameter"), BAD_QUERIES, ids=lambda x: str(x))
def test_a_bad_query_is_told_which_parameter(
    server: Server, change: dict[str, str], parameter: str
) -> None:
    asked = {"topic": "in/x", "policy": "number"} | change
    answer = server.request("GET", "/api/v1/records", params=asked)
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert parameter in [problem["where"] for problem in answer.json()["problems"]], answer.text


def test_a_cursor_of_another_query_is_refused(server: Server) -> None:
    for value in range(3):
        server.send("in/cursor", str(value))
    eventually(lambda: len(server.records("in/cursor", "number")) == 3)
    asked = {"topic": "in/cursor", "policy": "number", "limit": 1}
    cursor = server.get("/api/v1/records", **asked)["next_cursor"]
    for change in (
        {"order": "desc"},
        {"policy": "text"},
        {"topic": "in/+"},
        {"to": "2030-01-01T00:00:00Z"},
    ):
        answer = server.request(
            "GET", "/api/v1/records", params=asked | change | {"cursor": cursor}
        )
        assert answer.status_code == 400
        assert answer.json()["problems"][0]["where"] == "cursor"


def test_good_lines_of_a_batch_are_taken_and_bad_ones_listed_by_number(server: Server) -> None:
    lines = [
        '{"topic": "in/batch", "value": 1}',
        '{"topic": "in/batch"}',
        "not json",
        "",
        '{"topic": "in/+", "value": 2}',
        '{"topic": "in/batch", "payload_base64": "Mg=="}',
        '{"topic": "in/batch", "payload_base64": "?"}',
        '{"topic": "in/batch", "value": 1, "time": "never"}',
        '{"topic": "in/batch", "value": 1, "colour": "red"}',
        '{"topic": "in/batch", "value": "' + "x" * 1025 + '"}',
        '{"topic": "in/batch", "value": 3, "id": ""}',
        '{"topic": "in/batch", "value": 4}',
    ]
    answer = server.request("POST", "/api/v1/messages/batch", content="\n".join(lines))
    assert answer.status_code == 202, answer.text
    found = answer.json()
    rejected = [row["line"] for row in found["rejected"]]
    assert (found["accepted"], rejected) == (3, [2, 3, 5, 7, 8, 9, 10, 11])
    assert all(row["error"] for row in found["rejected"])
    eventually(lambda: [r["value"] for r in server.records("in/batch", "number")] == [1, 2, 4])


def test_a_body_beyond_the_limit_is_refused_whole(server: Server) -> None:
    body = b'{"topic": "in/body", "value": 1}\n' * 3000
    answer = server.request("POST", "/api/v1/messages/batch", content=body)
    assert answer.status_code == 413
    assert _topic(server, "in/body")["received"] == 0


# --- no room --------------------------------------------------------------------------------------


def test_when_the_disk_is_nearly_full_sources_wait_and_go_on_once_there_is_room(
    tmp_path: Path,
) -> None:
    disk = os.statvfs(tmp_path)
    free = disk.f_bavail * disk.f_frsize
    spare, ballast = 2**30, tmp_path / "ballast"
    if free < 3 * spare:
        pytest.skip("too little free room on this disk")
    with Server(tmp_path / "home", {"LIMITS__DISK_FREE": str(free - spare)}) as server:
        server.put_policy(name="all", topics=["x"], type="number", keep="archive")
        server.wait_in_force()
        server.send("x", "1")
        eventually(lambda: [row["value"] for row in server.records("x", "all")] == [1])
        with ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, 2 * spare)
        eventually(lambda: server.request("GET", "/readyz").status_code == 503)
        assert server.request("GET", "/healthz").status_code == 200
        answer = server.request("POST", "/api/v1/messages?topic=x", content=b"2")
        assert answer.status_code == 503
        assert "disk" in answer.text
        with Raw(server) as client:  # MQTT is not answered with no, it waits
            client.send(connect(server.token, "patient") + publish(b"x", b"3"))
            assert [row["value"] for row in server.records("x", "all")] == [1]
            ballast.unlink()
            kinds = [client.receive()[0] for _ in range(2)]
            assert kinds == [CONNACK, PUBACK]
        eventually(lambda: server.request("GET", "/readyz").status_code == 200)
        server.send("x", "4")
        eventually(lambda: [row["value"] for row in server.records("x", "all")] == [1, 3, 4])
        flow = server.settle()
        assert flow["received"] == flow["kept"] == 3


def test_while_the_journal_is_full_nothing_is_acknowledged_and_later_all_goes_on(
    tmp_path: Path,
) -> None:
    message = {"params": {"topic": "x"}, "content": b"1", "headers": {"X-Message-Id": "one"}}
    with Server(tmp_path / "home", {"JOURNAL__LIMIT": "4KiB"}) as server:
        server.put_policy(name="all", topics=["x"], type="number", keep="archive")
        answer = server.request("POST", "/api/v1/messages", **message)
        assert answer.status_code == 503
        assert "retry-after" in answer.headers
        eventually(lambda: server.request("GET", "/readyz").status_code == 503)
        assert server.stop() == 0
    with Server(tmp_path / "home") as server:
        assert server.request("POST", "/api/v1/messages", **message).status_code == 202
        eventually(lambda: [row["value"] for row in server.records("x", "all")] == [1])
        assert server.settle()["received"] == 1


def _accepted(server: Server, message: dict[str, Any]) -> bool:
    return server.request("POST", "/api/v1/messages", **message).status_code == 202


def test_a_quiet_policy_with_a_long_buffer_does_not_hold_the_journal_full(tmp_path: Path) -> None:
    settings = {"JOURNAL__LIMIT": "2MiB", "LIMITS__PAYLOAD": "64KiB"}
    with Server(tmp_path / "home", settings) as server:
        server.put_policy(name="slow", topics=["x"], type="text", keep="archive", buffer="12h")
        server.wait_in_force()
        server.send("x", "waits for its buffer")
        for number in range(100):  # three times what the journal may hold
            message = {
                "params": {"topic": "y"},
                "content": os.urandom(2**15).hex(),
                "headers": {"X-Message-Id": f"y{number}"},
            }
            # 503 tells a sender to wait for a moment; here it must not take hours
            eventually(lambda m=message: _accepted(server, m), 60)
        eventually(lambda: len(server.records("x", "slow")) == 1)
        flow = server.settle()
        assert flow["received"] - flow["duplicates"] == 101
