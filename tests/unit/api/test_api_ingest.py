"""Messages by HTTP: what is taken is durable when the answer leaves, what is not is named."""

import base64
import gzip
import json
from typing import Any

import msgspec
import pytest
import zstandard

from lakebed.ingest.recording import AttributeRecorder
from lakebed.ingest.settings import IngestSection
from lakebed.sources.http import door
from lakebed.stores.journal.memory import MemoryJournal
from lakebed.stores.journal.settings import JournalSection
from lakebed.vocabulary.attributes import Attributes
from lakebed.vocabulary.times import UNSET

from .conftest import ADMIN, ANN, EVE, ROOMS, Api, NoSeries, Open, problem

BATCH, EVENTS = "/api/v1/messages/batch", "/api/v1/events"


def send(api: Api, topic: str = "room/1", content: bytes = b"21.5", **more: Any) -> Any:
    return api.post("/api/v1/messages", params={"topic": topic}, content=content, **more)


def test_a_message_is_in_the_journal_when_it_is_acknowledged(api: Api) -> None:
    before = api.end
    answer = send(api)
    assert (answer.status_code, answer.json()) == (202, {"accepted": 1})
    assert api.appended(before) == [("ann", "room/1", b"21.5")]


def test_a_payload_may_be_any_bytes_and_none(api: Api) -> None:
    before = api.end
    send(api, content=bytes(range(256)))
    send(api, content=b"")
    assert [payload for *_, payload in api.appended(before)] == [bytes(range(256)), b""]


def test_a_topic_may_hold_whatever_percent_encoding_can_say(api: Api) -> None:
    before = api.end
    for topic in ("a b/é", "a&b=c", "100%", "a+b", "/"):
        answer = send(api, topic)
        assert answer.status_code == (202 if "+" not in topic else 400)
    assert [topic for _, topic, _ in api.appended(before)] == ["a b/é", "a&b=c", "100%", "/"]


@pytest.mark.parametrize("query", ["", "?topic=", "?topic=a/%23", "?topic=%00", "?topic=%ff",
                                   "?topic=a&topic=b", "?tpoic=a"])  # fmt: skip
def test_a_wrong_topic_is_refused_by_name(api: Api, query: str) -> None:
    before = api.end
    where = "tpoic" if "tpoic" in query else "topic"
    problem(api.post("/api/v1/messages" + query, content=b"1"), 400, where)
    assert api.end == before


def test_headers_give_a_message_its_time_and_id(api: Api) -> None:
    before = api.end
    headers = {"X-Event-Time": "2026-01-31T12:00:00Z", "X-Message-Id": "m-1"}
    send(api, headers=headers)
    send(api, headers={"X-Event-Time": "1.5"})
    batches = [entry.batch for entry in api.entries(before)]
    assert [int(t) for batch in batches for t in batch.sparse.event] == [
        1_769_860_800_000_000,
        1_500_000,
    ]
    assert batches[0].sparse.ids == ["m-1"]


def test_a_message_sent_again_under_its_id_is_acknowledged_and_stored_once(api: Api) -> None:
    before = api.end
    for _ in range(3):
        assert send(api, headers={"X-Message-Id": "once"}).status_code == 202
    assert send(api, headers={"X-Message-Id": "once"}, token=EVE).status_code == 202
    assert [owner for owner, *_ in api.appended(before)] == ["ann", "eve"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Event-Time", "yesterday"),
        ("X-Event-Time", "nan"),
        ("X-Event-Time", "2026-01-31"),
        ("X-Event-Time", "2126-01-31T12:00:00Z"),
        ("X-Event-Time", "-1"),
        ("X-Message-Id", ""),
        ("X-Message-Id", "x" * 2000),
    ],
)
def test_a_wrong_header_is_refused_by_name(api: Api, name: str, value: str) -> None:
    problem(send(api, headers={name: value}), 400, name)


def test_nobody_sends_without_a_token_they_know(api: Api) -> None:
    before = api.end
    for token in (None, "", "wrong"):
        answer = send(api, token=token)
        problem(answer, 401)
        assert answer.headers["www-authenticate"].startswith("Bearer")
    problem(send(api, headers={"Authorization": "Basic YTpi"}, token=None), 401)
    assert api.end == before


@pytest.mark.parametrize("form", ["Token {}", "Basic {}"])
def test_a_token_is_taken_in_each_form_on_all_routes(api: Api, form: str) -> None:
    shown = base64.b64encode(f"ann:{ANN}".encode()).decode() if "Basic" in form else ANN
    headers = {"Authorization": form.format(shown)}
    assert send(api, headers=headers, token=None).status_code == 202
    assert api.get("/api/v1/me", headers=headers, token=None).status_code == 200


def test_a_page_of_another_site_does_not_use_the_password_that_a_browser_adds(api: Api) -> None:
    shown = base64.b64encode(f"ann:{ANN}".encode()).decode()
    headers = {"Authorization": f"Basic {shown}", "Sec-Fetch-Site": "cross-site"}
    problem(api.post("/api/v1/policies", headers=headers, token=None), 403)
    problem(send(api, headers=headers, token=None), 403)


def test_nobody_sends_to_a_topic_that_is_not_theirs(api: Api) -> None:
    before = api.end
    problem(send(api, "hall/1", token=ROOMS), 403)
    assert send(api, "room/1", token=ROOMS).status_code == 202
    problem(send(api, "hall/1", token=ROOMS), 403)
    assert len(api.appended(before)) == 1


def test_a_payload_beyond_the_limit_is_refused(api: Api) -> None:
    assert send(api, content=b"x" * 1000).status_code == 202
    problem(send(api, content=b"x" * 1001), 413)

    async def pieces() -> Any:  # no Content-Length
        for _ in range(11):
            yield b"x" * 100

    problem(api.post("/api/v1/messages?topic=t", content=pieces()), 413)


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_bodies_may_be_compressed_but_not_bombs(api: Api, pack: Any) -> None:
    name = "gzip" if pack is gzip.compress else "zstd"
    headers = {"Content-Encoding": name}
    before = api.end
    assert send(api, content=pack(b"21.5"), headers=headers).status_code == 202
    assert api.appended(before) == [("ann", "room/1", b"21.5")]
    problem(send(api, content=pack(bytes(10**8))[:999_999], headers=headers), 413)
    problem(send(api, content=b"not packed", headers=headers), 400)
    problem(send(api, content=pack(b"abc")[:-6], headers=headers), 400)
    two = pack(b"ab") + pack(b"cd")
    assert send(api, content=two, headers=headers).status_code == 202
    assert api.appended(before)[-1][2] == b"abcd"
    answer = send(api, headers={"Content-Encoding": "br"})
    problem(answer, 415)
    assert answer.headers["accept-encoding"] == "gzip, zstd"


def test_only_post_sends(api: Api) -> None:
    for path in ("/api/v1/messages", BATCH):
        answer = api.get(path)
        problem(answer, 405)
        assert "POST" in answer.headers["allow"]
        assert api.ask("OPTIONS", path).status_code == 204


def batch(api: Api, *lines: Any, **more: Any) -> Any:
    raw = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    return api.post(BATCH, content=b"\n".join(raw), **more)


def test_a_batch_takes_values_as_they_were_written(api: Api) -> None:
    before = api.end
    answer = batch(
        api,
        b'{"topic":"a","value":"on"}',
        b'{"topic":"a","value":21.50}',
        b'{"topic":"b","value":-1e3}',
        b'{"topic":"b","value":true}',
        b'{"topic":"b","value":null}',
        b'{"topic":"b","value": {"x": [1, 2]} }',
        b'{"topic":"b","value":""}',
        '{"topic":"b","value":"é \\u00fc \\n"}'.encode(),
        {"topic": "b", "payload_base64": base64.b64encode(b"\x00\xff").decode()},
    )
    assert (answer.status_code, answer.json()) == (202, {"accepted": 9, "rejected": []})
    payloads = [payload for *_, payload in api.appended(before)]
    assert payloads == [
        b"on", b"21.50", b"-1e3", b"true", b"null", b'{"x": [1, 2]}', b"", "é ü \n".encode(),
        b"\x00\xff",
    ]  # fmt: skip


@pytest.mark.parametrize("end", [b"", b"\n"])
@pytest.mark.parametrize("bad", [b"", b'\n{"topic":"a/+","value":1}'])
def test_a_mark_before_utf_8_is_no_part_of_the_first_line(api: Api, bad: bytes, end: bytes) -> None:
    before = api.end
    body = b'\xef\xbb\xbf{"topic":"a","value":"on"}' + bad + end
    assert api.post(BATCH, content=body).json()["accepted"] == 1
    event = api.post(EVENTS, content=b'\xef\xbb\xbf{"name":"a"}' + end)
    assert event.json() == {"accepted": 1, "rejected": []}
    assert [payload for *_, payload in api.appended(before)] == [b"on", b'{"name":"a"}']


def test_lines_of_a_batch_may_have_time_and_id(api: Api) -> None:
    before = api.end
    lines = [
        {"topic": "a", "value": 1, "time": 1.5, "id": "b-1"},
        {"topic": "a", "value": 2, "time": "2026-01-31T12:00:00Z"},
        {"topic": "a", "value": 3, "id": 77},
        {"topic": "a", "value": 4, "id": "b-1"},
    ]
    assert batch(api, *lines).json()["accepted"] == 4
    (entry,) = api.entries(before)
    assert entry.batch.sparse.event.tolist() == [
        1_500_000, 1_769_860_800_000_000, UNSET, UNSET,
    ]  # fmt: skip
    assert entry.batch.sparse.ids == ["b-1", "", "77", ""]
    assert entry.batch.sparse.duplicate.tolist() == [-1, -1, -1, 1]


def test_a_number_is_another_id_than_the_text_of_its_digits(api: Api) -> None:
    ids = [1, "1", "1.0", "01", 0, "0", -1, "-1", 10**30, str(10**30), "true", "null"]
    lines = [{"topic": "number-or-text", "value": n, "id": id} for n, id in enumerate(ids)]
    for repeated in (False, True):
        before = api.end
        assert batch(api, *lines).json()["accepted"] == len(ids)
        (entry,) = api.entries(before)
        found = entry.batch.sparse.duplicate
        again = [False] * len(ids) if found is None else (found >= 0).tolist()
        assert again == [repeated] * len(ids)


def test_every_way_to_give_an_id_as_text_is_the_same_id(api: Api) -> None:
    event = b'{"name":"by-all-ways","id":"1"}'
    before = api.end
    for content in (event, b"[" + event + b"]"):
        assert api.post(EVENTS, content=content).json()["accepted"] == 1
    assert batch(api, {"topic": "events/by-all-ways", "value": 1, "id": "1"}).status_code == 202
    single = {"params": {"topic": "events/by-all-ways"}, "headers": {"X-Message-Id": "1"}}
    assert api.post("/api/v1/messages", content=b"1", **single).status_code == 202
    assert api.post(EVENTS, content=event.replace(b'"1"', b"1")).json()["accepted"] == 1
    counts = [e.batch.sparse.counts for e in api.entries(before)]
    new = sum(len(c) if k is None else int(k.sum()) for k, c in
              zip(counts, (e.batch for e in api.entries(before)), strict=True))  # fmt: skip
    assert new == 2  # "1" and 1


BAD_LINES = [
    (b"{", "truncated"),
    (b"[1]", "object"),
    (b'{"value":1}', "topic"),
    (b'{"topic":"a"}', "needs `value`"),
    (b'{"topic":"a","value":1,"payload_base64":""}', "not both"),
    (b'{"topic":"a","payload_base64":"*"}', "base64"),
    (b'{"topic":"a","value":1,"extra":2}', "extra"),
    (b'{"topic":"a/#","value":1}', "wildcards"),
    (b'{"topic":"","value":1}', "empty"),
    (b'{"topic":"a","value":NaN}', "malformed"),
    (b'{"topic":"a","value":1,"time":"noon"}', "noon"),
    (b'{"topic":"a","value":1,"time":true}', "bool"),
    (b'{"topic":"a","value":1,"time":1e300}', "time"),
    (b'{"topic":"a","value":1,"id":""}', "id"),
    (b'{"topic":"a","value":1,"id":1.0}', "id"),
    (b'{"topic":"a","value":1,"id":1e3}', "id"),
    (b'{"topic":"a","value":1,"id":true}', "id"),
    (b'{"topic":"a","value":1,"id":null}', "id"),
    (b'{"topic":"a","value":1,"id":["1"]}', "id"),
    (b'{"topic":"a","value":1,"id":"1\\u00002"}', "NUL"),
    (b'{"topic":"a","value":1,"id":"' + b"1" * 1025 + b'"}', "1024 bytes"),
    (b'{"topic":"a","value":1,"id":' + b"1" * 1025 + b"}", "1024 bytes"),
    (b'{"topic":"a","value":1,"id":' + b"1" * 5000 + b"}", "out of range"),
    (b'{"topic":"a","value":"\xff"}', "UTF-8"),
    (b'{"topic":"a","value":"\\ud800"}', "truncated"),
    (b'{"topic":"a","value":' + b"[" * 5000 + b"]" * 5000 + b"}", "nested"),
    (b'{"topic":"a","value":"' + b"x" * 1001 + b'"}', "1000 bytes"),
    (b'{"topic":"a","value":1} x', "malformed"),
]


@pytest.mark.parametrize(("bad", "says"), BAD_LINES)
def test_a_bad_line_is_named_and_the_others_are_taken(api: Api, bad: bytes, says: str) -> None:
    before = api.end
    answer = batch(api, {"topic": "a", "value": 1}, bad, b"  ", {"topic": "a", "value": 2})
    assert answer.status_code == 202
    assert answer.json()["accepted"] == 2
    (rejected,) = answer.json()["rejected"]
    assert rejected["line"] == 2
    assert says in rejected["error"]
    assert [payload for *_, payload in api.appended(before)] == [b"1", b"2"]


def test_a_batch_of_nothing_but_bad_lines_is_refused(api: Api) -> None:
    before = api.end
    document = problem(batch(api, *(bad for bad, _ in BAD_LINES)), 422)
    assert document["accepted"] == 0
    assert [entry["line"] for entry in document["rejected"]] == list(range(1, len(BAD_LINES) + 1))
    assert api.end == before


def test_topics_that_are_not_the_senders_are_rejected_line_by_line(api: Api) -> None:
    lines = [{"topic": topic, "value": 1} for topic in ("room/1", "hall/1", "room/2")]
    answer = batch(api, *lines, token=ROOMS).json()
    assert answer["accepted"] == 2
    assert [entry["line"] for entry in answer["rejected"]] == [2]


def test_an_empty_batch_is_no_error(api: Api) -> None:
    assert batch(api, b"\n \n").json() == {"accepted": 0, "rejected": []}


def test_windows_line_ends_and_blank_lines_do_not_matter(api: Api) -> None:
    body = b'\r\n{"topic":"a","value":1}\r\n\r\n{"topic":"a","value":2}\r\nbad\r\n'
    answer = api.post(BATCH, content=body).json()
    assert answer["accepted"] == 2
    assert [entry["line"] for entry in answer["rejected"]] == [5]


def test_a_body_beyond_the_limit_is_refused(api: Api) -> None:
    problem(api.post(BATCH, content=b"\n" * 100_001), 413)


def test_events_come_alone_as_an_array_or_as_lines(api: Api) -> None:
    before = api.end
    one = b'{"name": "door/opened", "by": "ann",\n "time": 2}'
    assert api.post(EVENTS, content=one).json()["accepted"] == 1
    assert api.post(EVENTS, content=b'[{"name":"a","id":1}, {"name":"b"}]').json()["accepted"] == 2
    assert api.post(EVENTS, content=b'{"name":"a"}\n\n{"name":"b"}\n').json()["accepted"] == 2
    assert api.appended(before) == [
        ("ann", "events/door/opened", one),
        ("ann", "events/a", b'{"name":"a","id":1}'),
        ("ann", "events/b", b'{"name":"b"}'),
        ("ann", "events/a", b'{"name":"a"}'),
        ("ann", "events/b", b'{"name":"b"}'),
    ]
    first, second, _ = api.entries(before)
    assert first.batch.sparse.event.tolist() == [2_000_000]
    assert second.batch.sparse.ids == ["1", ""]


@pytest.mark.parametrize(
    "body",
    [b"", b"[]"],
)
def test_no_events_are_no_error(api: Api, body: bytes) -> None:
    assert api.post(EVENTS, content=body).json() == {"accepted": 0, "rejected": []}


@pytest.mark.parametrize(
    "event",
    [b'{"name":""}', b'{"name":"a/+"}', b'{"nom":"a"}', b'{"name":7}', b'"a"', b"7",
     b'{"name":"a","time":"soon"}', b'{\n"name":\n7}', b"[", b'{"name":"a","x":"\xff"}'],
)  # fmt: skip
def test_a_wrong_event_is_refused(api: Api, event: bytes) -> None:
    before = api.end
    problem(api.post(EVENTS, content=event), 422)
    assert api.end == before


def test_good_events_of_an_array_are_taken_beside_bad_ones(api: Api) -> None:
    answer = api.post(EVENTS, content=b'[{"name":"a"},{"nom":"b"},{"name":"c"}]').json()
    assert answer["accepted"] == 2
    assert [entry["line"] for entry in answer["rejected"]] == [2]


def test_a_journal_without_room_puts_senders_off(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    full = MemoryJournal(JournalSection(limit=0))
    monkeypatch.setattr(api.journal, "append", full.append)
    monkeypatch.setattr(door, "TIMEOUT", 0.05)
    try:
        for _ in range(2):
            answer = send(api)
            problem(answer, 503)
            assert int(answer.headers["retry-after"]) > 0
        problem(batch(api, {"topic": "a", "value": 1}), 503)
    finally:
        monkeypatch.undo()
    while not api.intake.is_open:
        pass
    assert send(api).status_code == 202


@pytest.mark.parametrize("way", ["plain", "with an id", "batch"])
def test_principal_and_content_type_are_recorded_where_the_setting_says_so(
    api: Api, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    section = IngestSection(record=("principal", "content_type"))
    monkeypatch.setattr(api.intake, "recorder", AttributeRecorder(section))
    before = api.end
    headers = {"Content-Type": "text/plain"}
    if way == "batch":
        api.post(BATCH, content=b'{"topic":"a","value":1}', headers=headers)
    else:
        send(api, headers=headers | ({"X-Message-Id": "recorded"} if way == "with an id" else {}))
    [entry] = api.entries(before)
    attributes = entry.batch.sparse.attributes
    assert attributes is not None
    kept = "" if way == "batch" else "text/plain"  # a batch has a type, its messages have not
    assert list(attributes) == [Attributes(kept, "token:all")]


def refusals(api: Api) -> list[tuple[str | None, ...]]:
    api.services.audit.flush()
    asked = {"action": "messages.publish"}
    found = api.get("/api/v1/audit", token=ADMIN, params=asked).json()["entries"]
    keys = ("owner", "actor", "resource", "result")
    return [tuple(entry[key] for key in keys) for entry in reversed(found)]


def test_refused_messages_are_in_the_audit_log_a_few_of_a_kind(open_api: Open) -> None:
    api = open_api(NoSeries())
    for _ in range(5):
        assert send(api, token=None).status_code == 401
        assert send(api, token="guessed-" + "x" * 40).status_code == 401
        assert send(api, "hall", token=ROOMS).status_code == 403
        answer = api.post("/api/v1/messages?topic=roof/1&owner=ann", content=b"1", token=EVE)
        assert answer.status_code == 403
    api.post(f"{BATCH}?owner=ann", content=b"{}", token=EVE)  # of the same kind
    assert refusals(api) == [
        (None, "nobody:", "messages/room/1", "denied"),
        ("ann", "token:rooms", "messages/hall", "denied"),
        ("ann", "token:all", "messages/roof/1", "denied"),
    ]
    trail = api.services.audit
    assert trail.left_out == 18
    for number in range(200):
        api.post(f"/api/v1/messages?topic=a&owner=o{number}%00", content=b"1", token=EVE)
    trail.flush()
    assert trail.written == 60  # and the others find room beside them
    assert api.get("/api/v1/policies?owner=ann", token=EVE).status_code == 403
    trail.flush()
    assert trail.written == 61


TELEGRAF = (
    b'{"metrics":[{"fields":{"usage_idle":97.5},"name":"cpu","tags":{"host":"a"},'
    b'"timestamp":1769860800}]}'
)


def test_the_json_of_telegraf_is_one_message(api: Api) -> None:
    since = api.end
    answer = api.post("/api/v1/messages", params={"topic": "telegraf"}, content=TELEGRAF)
    assert (answer.status_code, answer.json()) == (202, {"accepted": 1})
    assert api.appended(since) == [("ann", "telegraf", TELEGRAF)]


@pytest.mark.parametrize("space", [b"", b" \n"])
def test_elsewhere_the_json_of_telegraf_is_told_where_it_belongs(api: Api, space: bytes) -> None:
    body = TELEGRAF.replace(b"[", b"[" + space.replace(b"\n", b""))
    for path in ("/api/v1/messages/batch", "/api/v1/events"):
        document = problem(api.post(path, content=body), 422)
        assert 'data_format = "influx"' in document["rejected"][0]["error"], path
    assert "/write" in problem(api.post("/api/v1/messages", content=body), 400)["detail"]


def test_a_metric_of_telegraf_alone_is_an_event(api: Api) -> None:
    since, (metric,) = api.end, msgspec.json.decode(TELEGRAF)["metrics"]
    assert api.post("/api/v1/events", content=msgspec.json.encode(metric)).status_code == 202
    assert [(owner, topic) for owner, topic, _ in api.appended(since)] == [("ann", "events/cpu")]
