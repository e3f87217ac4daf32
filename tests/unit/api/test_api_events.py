"""Reading events over HTTP from the real engine: conditions, pages, counts, formats, indexes."""

import io
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakebed.ports.series import Series
from lakebed.stores.series.clickhouse.reading import event_conditions, event_counts
from lakebed.vocabulary.times import SECOND

from .conftest import ANN, EVE, ROOMS, Api, Open, problem
from .test_api_reading import Insert

T0 = 1_790_000_000_000_000  # 2026-09-21T14:13:20Z
EVENTS = "/api/v1/events"
SENT: list[dict[str, Any]] = [
    {"name": "play", "user_id": 42, "track": "t1", "seconds": 30},
    {"name": "play", "user_id": 42.0, "track": "t2", "seconds": 12.5, "stored": "shelf"},
    {"name": "play", "user_id": "42", "track": "100%_x"},
    {"name": "pause", "user_id": 7, "paid": True, "order": {"total": 5, "shop": "o'ne\\"}},
    {"name": "pause", "user_id": None, "track": "T1", "lag": "long"},
    {"name": "stop", "user_id": -1, "id": "e-5"},
]


@pytest.fixture(scope="module")
def api(open_api: Open, series: Series, insert: Insert) -> Api:
    api = open_api(series)
    for policy in (
        {"name": "events", "topics": ["events/#"], "type": "json", "keep": "archive"},
        {"name": "plays", "topics": ["other/#"], "type": "number", "keep": "archive"},
    ):
        assert api.post("/api/v1/policies", json=policy).status_code == 201
    rows = [
        {
            "topic": f"events/{event['name']}", "time": T0 + n * SECOND, "offset": n,
            "text": json.dumps(event), "id": event.get("id", ""),
            "received": T0 + n * SECOND, "stored": T0 + n * SECOND + 250_000 * (n + 1),
        }
        for n, event in enumerate(SENT)
    ]  # fmt: skip
    insert("archive", *rows, policy="events", type="json", field="", element=0)
    again = {**rows[1], "stored": T0 + 9 * SECOND}  # as a replay writes it
    insert("archive", again, policy="events", type="json", field="", element=0)
    old = {**rows[0], "topic": "events/old", "offset": 99, "received": 0, "stored": 0}
    insert("archive", old, policy="events", type="json", field="", element=0, owner="eve")
    return api


@pytest.fixture(scope="module", params=["without an index", "with an index"])
def indexed(request: pytest.FixtureRequest, series: Series) -> Iterator[None]:
    """Each condition has the same answer by a column and by looking into the texts."""
    if request.param == "with an index":
        series.index([("user_id",), ("track",), ("order", "total"), ("order", "shop"), ("paid",)])
    yield
    series.index([])


def ask(api: Api, path: str = EVENTS, token: str = ANN, **parameters: Any) -> httpx.Response:
    named = {key.rstrip("_"): value for key, value in parameters.items()}
    return api.get(path, params=named, token=token)


def numbers(api: Api, *where: str, **more: Any) -> list[int]:
    """Which of the events sent an answer has, by their times."""
    answer = ask(api, where=list(where), **more)
    assert answer.status_code == 200, answer.text
    return [int(event["time"][17:19]) - 20 for event in answer.json()["events"]]


def test_an_event_is_read_as_it_was_sent_with_both_of_its_times(api: Api) -> None:
    answer = ask(api, name="stop").json()
    assert answer == {
        "events": [
            {
                "name": "stop", "time": "2026-09-21T14:13:25Z", "id": "e-5",
                "accepted": "2026-09-21T14:13:25Z", "stored": "2026-09-21T14:13:26.500Z",
                "user_id": -1,
            }
        ],
        "next_cursor": None,
    }  # fmt: skip


def test_what_the_sender_called_stored_is_not_lost(api: Api) -> None:
    (event,) = ask(api, where="track:eq:t2").json()["events"]
    assert event["sent"] == {"stored": "shelf"}
    assert event["stored"].startswith("2026-09-21T14:13:2")


def test_times_that_an_earlier_version_did_not_note_are_null(api: Api) -> None:
    assert api.post(
        "/api/v1/policies", token=EVE,
        json={"name": "events", "topics": ["events/#"], "type": "json", "keep": "archive"},
    ).status_code == 201  # fmt: skip
    (event,) = ask(api, token=EVE).json()["events"]
    assert (event["accepted"], event["stored"]) == (None, None)
    assert ask(api, token=EVE, where="lag:ge:0").json()["events"] == []


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("user_id:eq:42", [0, 1, 2]),  # a number, however it is written, and a text
        ("user_id:eq:42.0", [0, 1, 2]),
        ("user_id:ne:42", [3, 5]),  # those without the field are not asked about
        ("user_id:lt:42", [3, 5]),
        ("user_id:le:42", [0, 1, 2, 3, 5]),
        ("user_id:gt:-1", [0, 1, 2, 3]),
        ("user_id:ge:42", [0, 1, 2]),
        ("user_id:in:7,-1", [3, 5]),
        ("user_id:exists:true", [0, 1, 2, 3, 5]),
        ("user_id:exists:false", [4]),
        ("track:eq:t1", [0]),
        ("track:prefix:t", [0, 1]),
        ("track:contains:%_", [2]),
        ("track:lt:t", [2, 4]),  # texts are compared as texts
        ("track:in:t1,T1", [0, 4]),
        ("/order/total:ge:5", [3]),
        ("/order/shop:eq:o'ne\\", [3]),
        ("/order/shop:eq:' OR 1=1 --", []),
        ("paid:eq:true", [3]),
        ("name:eq:pause", [3, 4]),
        ("name:prefix:p", [0, 1, 2, 3, 4]),
        ("id:eq:e-5", [5]),
        ("time:ge:2026-09-21T14:13:24Z", [4, 5]),
        ("accepted:lt:2026-09-21T14:13:21Z", [0]),
        ("lag:le:0.25", [0]),
        ("/lag:eq:long", [4]),
        ("seconds:gt:12.25", [0, 1]),
    ],
)
def test_conditions(api: Api, indexed: None, where: str, found: list[int]) -> None:
    assert numbers(api, where) == found


def test_conditions_together_are_all_true(api: Api) -> None:
    assert numbers(api, "user_id:eq:42", "track:prefix:t", name="play") == [0, 1]
    assert numbers(api, name=["stop", "pause"]) == [3, 4, 5]
    assert numbers(api, from_="2026-09-21T14:13:21Z", to="2026-09-21T14:13:23Z") == [1, 2]


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages_have_each_event_once(api: Api, order: str) -> None:
    names = ["play", "pause", "stop"]
    found: list[int] = []
    cursor = ""
    while cursor is not None:
        answer = ask(api, name=names, order=order, limit=2, cursor=cursor)
        found += [int(event["time"][17:19]) - 20 for event in answer.json()["events"]]
        cursor = answer.json()["next_cursor"]
    assert found == (list(range(6)) if order == "asc" else list(range(5, -1, -1)))


def test_a_cursor_belongs_to_its_conditions(api: Api) -> None:
    cursor = ask(api, limit=1).json()["next_cursor"]
    problem(ask(api, limit=1, cursor=cursor, where="user_id:eq:42"), 400, "cursor")


def stats(api: Api, **parameters: Any) -> list[dict[str, Any]]:
    answer = ask(api, f"{EVENTS}/stats", name=["play", "pause", "stop"], **parameters)
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = answer.json()["rows"]
    return rows


def test_events_are_counted_each_once(api: Api, indexed: None) -> None:
    assert stats(api) == [{"count": 6}]
    assert stats(api, by="name") == [
        {"name": "play", "count": 3}, {"name": "pause", "count": 2}, {"name": "stop", "count": 1},
    ]  # fmt: skip
    assert stats(api, by="user_id", limit=1) == [{"user_id": "42", "count": 3}]
    assert stats(api, where="user_id:eq:42", by="track") == [
        {"track": "100%_x", "count": 1}, {"track": "t1", "count": 1}, {"track": "t2", "count": 1},
    ]  # fmt: skip
    assert stats(api, where="user_id:eq:nobody") == []


def test_counts_over_time_with_functions(api: Api) -> None:
    rows = stats(api, every="3s", functions="count,avg:seconds,max:lag,unique:user_id")
    assert rows == [
        {"start": "2026-09-21T14:13:18Z", "end": "2026-09-21T14:13:21Z", "count": 1,
         "avg:seconds": 30, "max:lag": 0.25, "unique:user_id": 1},
        {"start": "2026-09-21T14:13:21Z", "end": "2026-09-21T14:13:24Z", "count": 3,
         "avg:seconds": 12.5, "max:lag": rows[1]["max:lag"], "unique:user_id": 2},
        {"start": "2026-09-21T14:13:24Z", "end": "2026-09-21T14:13:27Z", "count": 2,
         "avg:seconds": None, "max:lag": 1.5, "unique:user_id": 1},
    ]  # fmt: skip


@pytest.mark.parametrize("every", ["1h", "24h", "7d", "1mo", "1y"])
def test_windows_are_those_of_the_calendar(api: Api, every: str) -> None:
    begin = {"1h": "2026-09-21T14:00:00Z", "24h": "2026-09-21T00:00:00Z",
             "7d": "2026-09-21T00:00:00Z", "1mo": "2026-09-01T00:00:00Z",
             "1y": "2026-01-01T00:00:00Z"}  # fmt: skip
    assert [row["start"] for row in stats(api, every=every)] == [begin[every]]


@pytest.mark.parametrize(
    ("parameters", "where", "allowed"),
    [
        ({"where": "user_id"}, "where", "FIELD:OPERATOR:VALUE"),
        ({"where": "user_id:like:4%"}, "where", "eq, ne, lt"),
        ({"where": "user_id:exists:1"}, "where", "true or false"),
        ({"where": ":eq:1"}, "where", "1 to 200 characters"),
        ({"where": "time:eq:soon"}, "where", "time"),
        ({"where": "lag:eq:soon"}, "where", "number of seconds"),
        ({"where": "/a~b:eq:1"}, "where", "JSON pointer"),
        ({"name": "a/#/b"}, "name", "#"),
        ({"from_": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, "from", "before `to`"),
        ({"order": "up"}, "order", "asc"),
        ({"limit": 0}, "limit", "1"),
        ({"wehre": "user_id:eq:1"}, "wehre", "no such parameter"),
        ({"format": "xml"}, "format", "parquet"),
        ({"policy": "plays"}, "policy", "type: json"),
        ({"policy": "none"}, "policy", "no policy"),
        ({"path": "/stats", "by": "a,b,c,d"}, "by", "3"),
        ({"path": "/stats", "every": "7m"}, "every", "6m"),
        ({"path": "/stats", "functions": "median:x"}, "functions", "p50:FIELD"),
    ],
)
def test_mistakes_are_named_with_what_is_allowed(
    api: Api, parameters: dict[str, Any], where: str, allowed: str
) -> None:
    path = EVENTS + parameters.pop("path", "")
    document = problem(ask(api, path, **parameters), 400, where)
    assert allowed in document["detail"]


def test_a_field_without_an_index_is_looked_for_in_a_bounded_number_of_events(
    api: Api, series: Series, monkeypatch: pytest.MonkeyPatch
) -> None:
    series.index([("track",)])
    monkeypatch.setattr(event_conditions, "MOST_SCANNED", 3)
    document = problem(ask(api, where="user_id:eq:42"), 400, "where")
    assert "name the field in `index`" in document["detail"]
    problem(ask(api, f"{EVENTS}/stats", by="user_id"), 400, "where")
    assert numbers(api, "user_id:eq:42", "track:eq:t1") == [0]  # the index leaves few
    assert numbers(api, "user_id:eq:42", to="2026-09-21T14:13:21Z") == [0]


def test_the_groups_of_a_count_are_bounded(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_counts, "MOST_GROUPS", 2)
    document = problem(ask(api, f"{EVENTS}/stats", by="track"), 400, "by")
    assert "a longer `every`" in document["detail"]


def test_all_mistakes_are_named_at_once(api: Api) -> None:
    document = problem(ask(api, where=["a", "b:is:1"]), 400, "where")
    assert len(document["problems"]) == 2


def test_a_narrow_token_reads_none_of_them(api: Api) -> None:
    assert ask(api, token=ROOMS).status_code == 403
    assert ask(api, f"{EVENTS}/stats", token=ROOMS).status_code == 403


def test_the_formats_hold_the_same_events(api: Api) -> None:
    lines = ask(api, name="play", format="ndjson").text.splitlines()
    assert [json.loads(line)["track"] for line in lines] == ["t1", "t2", "100%_x"]
    head, *rows = ask(api, name="play", format="csv").text.splitlines()
    assert head == "name,time,id,accepted,stored,event"
    assert rows[0].startswith("play,2026-09-21T14:13:20Z,,2026-09-21T14:13:20Z,")
    table = pq.read_table(io.BytesIO(ask(api, name="play", format="parquet").content))
    assert table["accepted"].type == pa.timestamp("us", "UTC")
    with pa.ipc.open_stream(ask(api, name="play", format="arrow").content) as stream:
        assert stream.read_all() == table
    answer = ask(api, f"{EVENTS}/stats", name="play", by="name", format="csv")
    assert answer.text.splitlines() == ["name,count", "play,3"]


def test_sending_and_reading_share_the_path(api: Api) -> None:
    assert api.post(EVENTS, json={"name": "play"}).status_code == 202
    assert api.ask("HEAD", EVENTS).status_code == 200
    answer = api.ask("PUT", EVENTS)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, POST, OPTIONS")


def test_events_are_indexed_whether_they_come_before_the_index_or_after(
    api: Api, series: Series, insert: Insert
) -> None:
    series.index([("later",)])
    row = {"topic": "events/later", "time": T0, "offset": 1000, "received": T0, "stored": T0}
    insert(
        "archive", {**row, "text": '{"name":"later","later":1}'},
        policy="events", type="json", field="", element=0,
    )  # fmt: skip
    assert len(ask(api, where="later:eq:1").json()["events"]) == 1
    series.index([])
    assert len(ask(api, where="later:eq:1").json()["events"]) == 1
    assert len(ask(api, where=["later:eq:1", "user_id:exists:true"]).json()["events"]) == 0
