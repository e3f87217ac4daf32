"""Reading over HTTP from the real engine: choice of policy, pages, formats, values as they were."""

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakebed.ports.catalog.last_values import LastValue
from lakebed.ports.erasure import Erasure
from lakebed.ports.series import Series
from lakebed.vocabulary.times import SECOND, now

from .conftest import ADMIN, EVE, ROOMS, Api, Open, problem

T0 = 1_790_000_000_000_000
RECORDS = "/api/v1/records"
Insert = Callable[..., None]


def document(name: str, keep: str, topics: list[str], **more: Any) -> dict[str, Any]:
    more = {"window": {"for": "10w"}, "last_n": {"count": 3}, "aggregate": {"every": "1h"}}.get(
        keep, {}
    ) | more
    return {"name": name, "keep": keep, "topics": topics, "type": "number", **more}


@pytest.fixture(scope="module")
def api(open_api: Open, series: Series, insert: Insert) -> Api:
    api = open_api(series)
    for policy in (
        document("raw", "archive", ["room/+"]),
        document("hours", "aggregate", ["room/#", "only/hours"]),
        document("now", "last_value", ["#"], type="json"),
        document("one", "window", ["twice/#"]),
        document("two", "window", ["twice/x"]),
        document("texts", "archive", ["text"], type="text"),
        document("json", "archive", ["json"], type="json"),
    ):
        assert api.post("/api/v1/policies", json=policy).status_code == 201
    rows = [
        {"time": T0 + i * 500_000, "offset": i, "number": i + (0.5 if i % 2 else 0.0)}
        for i in range(5)
    ]
    rows[1]["id"] = "m-1"
    insert("archive", *rows, policy="raw", topic="room/1")
    texts = ["=1+1", "-1", "@x", "plain", 'with "quotes", and\nlines', "\tx"]
    insert(
        "archive",
        *({"time": T0 + i, "offset": i, "type": "text", "text": t} for i, t in enumerate(texts)),
        policy="texts",
        topic="text",
    )
    parts = ['{"a": [1,\n 2]}', '"text"', "-5", "null", " [] "]
    insert(
        "archive",
        *({"time": T0 + i, "offset": i, "type": "json", "text": t} for i, t in enumerate(parts)),
        policy="json",
        topic="json",
    )
    window = {
        "start": 1_790_002_800, "end": 1_790_006_400, "count": 2, "complete": 0,
        "first_time": T0, "first_offset": 1, "last_time": T0, "last_offset": 2,
        "sum": 3.0, "min": 1.0, "max": 2.0, "first": 1.0, "last": 2.0, "mean": 1.5, "m2": 0.5,
        "bins": [], "counts": [],
    }  # fmt: skip
    insert("aggregate", window, policy="hours", topic="only/hours")
    api.catalog.upsert_last(
        [
            LastValue("ann", "now", "room/1", "json", T0, '{"c": 2}', 8, 0, 4, "m-9"),
            LastValue("ann", "now", "room/2", "number", T0 + 1, 7.0, 1, 0, 5),
            LastValue("ann", "now", "hall", "text", T0 + 2, "on", 2, 0, 6),
            LastValue("eve", "now", "room/1", "number", T0, 1.0, 1, 0, 7),
        ]
    )
    return api


def records(api: Api, topic: str = "room/1", **parameters: Any) -> Any:
    token = parameters.pop("token", "ann-token")
    return api.get(RECORDS, params={"topic": topic, **parameters}, token=token)


def test_a_record_is_shown_with_its_time_value_size_and_position(api: Api) -> None:
    answer = records(api, limit=2)
    assert json.loads(answer.text) == {
        "policy": "raw",
        "keep": "archive",
        "records": [
            {"topic": "room/1", "time": "2026-09-21T14:13:20Z", "value": 0, "size": 4,
             "position": "0:0"},
            {"topic": "room/1", "time": "2026-09-21T14:13:20.500Z", "value": 1.5, "size": 4,
             "position": "0:1", "id": "m-1"},
        ],
        "next_cursor": answer.json()["next_cursor"],
    }  # fmt: skip
    assert '"value":0,' in answer.text  # whole numbers are written without .0
    assert answer.json()["next_cursor"]


def test_an_aggregate_is_shown_with_its_window_and_functions(api: Api) -> None:
    (row,) = records(api, "only/hours").json()["records"]
    assert row == {
        "topic": "only/hours", "start": "2026-09-21T15:00:00Z", "end": "2026-09-21T16:00:00Z",
        "complete": False, "count": 2, "min": 1, "max": 2, "sum": 3, "avg": 1.5,
    }  # fmt: skip


def test_times_are_epoch_seconds_or_rfc_3339(api: Api) -> None:
    for start in ("1790000001", "1790000001.0", "2026-09-21T14:13:21Z"):
        answer = records(api, **{"from": start, "to": "2026-09-21T14:13:22Z"})
        assert [row["value"] for row in answer.json()["records"]] == [2, 3.5]


def test_pages_follow_each_other_by_cursor_in_every_format(api: Api) -> None:
    first = records(api, limit=3, order="desc", format="ndjson")
    assert [json.loads(line)["value"] for line in first.text.splitlines()] == [4, 3.5, 2]
    cursor = first.headers["x-next-cursor"]
    second = records(api, limit=3, order="desc", cursor=cursor)
    assert [row["value"] for row in second.json()["records"]] == [1.5, 0]
    assert second.json()["next_cursor"] is None
    assert "x-next-cursor" not in second.headers


def test_raw_records_are_preferred_and_the_policy_named(api: Api) -> None:
    assert records(api).json()["policy"] == "raw"
    assert records(api, keep="aggregate").json()["policy"] == "hours"
    assert records(api, "anything/else").json()["policy"] == "now"
    assert records(api, "room/#").json()["policy"] == "raw"


def test_several_policies_of_the_best_kind_ask_for_a_choice(api: Api) -> None:
    document = problem(records(api, "twice/x"), 400, "policy")
    assert "one, two" in document["detail"]
    assert records(api, "twice/x", policy="two").json()["policy"] == "two"


def test_a_topic_that_no_policy_keeps_is_not_found(api: Api) -> None:
    problem(records(api, token=EVE), 404)
    problem(records(api, "anything/else", keep="window"), 404)


def test_what_a_deleted_or_changed_policy_kept_stays_readable(api: Api, insert: Insert) -> None:
    api.ask("PUT", "/api/v1/policies/old", json=document("old", "archive", ["gone"]))
    insert("archive", {"time": T0, "offset": 1, "number": 9.0}, policy="old", topic="gone")
    api.ask("PUT", "/api/v1/policies/old", json=document("old", "last_value", ["gone"]))
    api.ask("DELETE", "/api/v1/policies/old")
    assert records(api, "gone", policy="old").json()["keep"] == "last_value"
    answer = records(api, "gone", policy="old", keep="archive").json()
    assert [row["value"] for row in answer["records"]] == [9]
    problem(records(api, "gone", policy="old", keep="window"), 400, "keep")


@pytest.mark.parametrize(
    ("parameters", "where"),
    [
        ({"policy": "nobody"}, "policy"),
        ({"from": "yesterday"}, "from"),
        ({"to": "2026-01-01"}, "to"),
        ({"from": "2", "to": "1"}, "from"),
        ({"from": "1", "to": "1"}, "from"),
        ({"order": "random"}, "order"),
        ({"limit": "0"}, "limit"),
        ({"limit": "100001"}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"offset": "-1"}, "offset"),
        ({"cursor": "AAAA"}, "cursor"),
        ({"cursor": "AAAA", "offset": "1"}, "offset"),
        ({"format": "xml"}, "format"),
        ({"keep": "sometimes"}, "keep"),
        ({"form": "csv"}, "form"),
        ({"topic": "a/#/b"}, "topic"),
        ({"topic": ""}, "topic"),
    ],
)
def test_a_wrong_parameter_is_named(api: Api, parameters: dict[str, str], where: str) -> None:
    problem(records(api, **{"topic": "room/1", **parameters}), 400, where)


@pytest.mark.parametrize("where", ["from", "to"])
def test_milliseconds_are_no_time_to_delete_by_and_told_apart(api: Api, where: str) -> None:
    params = {"topic": "room/1", "owner": "ann", where: "1790000000000"}
    document = problem(api.ask("DELETE", RECORDS, token=ADMIN, params=params), 422, where)
    assert document["detail"] == (
        f"{where}: 1790000000000 looks like milliseconds: give a time such as 2026-09-21T14:13:20Z"
    )


def test_questions_may_be_asked_in_milliseconds(api: Api) -> None:
    ends = {"from": str(T0 // 1000 + 500), "to": str(T0 // 1000 + 1001)}
    assert [row["value"] for row in records(api, **ends).json()["records"]] == [1.5, 2]
    last = {"topic": "room/1", "from": str(T0 // 1000 + 1)}
    assert api.get("/api/v1/last", params=last, token="ann-token").json()["records"] == []


def test_no_route_that_deletes_guesses_what_a_number_counts(api: Api) -> None:
    found = 0
    for path, methods in api.get("/api/openapi.json", token=None).json()["paths"].items():
        for method, route in methods.items():
            if method != "delete":
                continue
            names = {parameter["name"] for parameter in route.get("parameters", ())}
            for where in names & {"from", "to", "since", "until", "before", "after_time"}:
                given = {"topic": "room/1", "owner": "ann", where: "1790000000000"}
                params = {name: value for name, value in given.items() if name in names}
                answer = api.ask(method.upper(), path, token=ADMIN, params=params)
                assert "looks like milliseconds" in problem(answer, 422, where)["detail"]
                found += 1
    assert found >= 2


def test_the_topic_must_be_given(api: Api) -> None:
    problem(api.get(RECORDS), 400, "topic")


def test_a_cursor_of_another_query_is_refused(api: Api) -> None:
    cursor = records(api, limit=1).json()["next_cursor"]
    problem(records(api, limit=1, cursor=cursor, order="desc"), 400, "cursor")


def test_a_token_reads_only_what_its_filters_cover(api: Api) -> None:
    assert records(api, token=ROOMS).status_code == 200
    problem(records(api, "only/hours", token=ROOMS), 403)
    problem(records(api, "#", token=ROOMS), 403)


def test_admins_read_for_others(api: Api) -> None:
    problem(records(api, token=ADMIN), 404)
    assert len(records(api, token=ADMIN, owner="ann").json()["records"]) == 5
    problem(records(api, token=EVE, owner="ann"), 403)


def test_json_values_are_json_and_not_text(api: Api) -> None:
    expected = [{"a": [1, 2]}, "text", -5, None, []]
    assert [row["value"] for row in records(api, "json").json()["records"]] == expected
    lines = records(api, "json", format="ndjson").text.splitlines()
    assert [json.loads(line)["value"] for line in lines] == expected


def test_csv_is_exact_or_runs_no_formulas(api: Api) -> None:
    answer = records(api, "text", format="csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert list(rows[0]) == ["topic", "time", "value", "size", "position", "id"]
    values = [row["value"] for row in rows]
    assert values == ["=1+1", "-1", "@x", "plain", 'with "quotes", and\nlines', "\tx"]
    answer = records(api, "text", format="csv", csv="safe")
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    values = [row["value"] for row in rows]
    assert values == ["'=1+1", "'-1", "'@x", "plain", 'with "quotes", and\nlines', "'\tx"]
    numbers = list(csv.DictReader(io.StringIO(records(api, format="csv").text)))
    assert [row["value"] for row in numbers] == ["0", "1.5", "2", "3.5", "4"]
    assert [row["id"] for row in numbers] == ["", "m-1", "", "", ""]


def test_arrow_and_parquet_hold_typed_columns(api: Api) -> None:
    arrow = pa.ipc.open_stream(records(api, format="arrow").content).read_all()
    parquet = pq.read_table(io.BytesIO(records(api, format="parquet").content))
    for table in (arrow, parquet):
        assert table["value"].to_pylist() == [0.0, 1.5, 2.0, 3.5, 4.0]
        assert str(table.schema.field("time").type) == "timestamp[us, tz=UTC]"
        assert table["position"].to_pylist()[:2] == ["0:0", "0:1"]
        assert table["id"].to_pylist()[:2] == [None, "m-1"]
    texts = pa.ipc.open_stream(records(api, "text", format="arrow").content).read_all()
    assert texts["value"].to_pylist()[0] == "=1+1"
    hours = pa.ipc.open_stream(records(api, "only/hours", format="arrow").content).read_all()
    assert hours["avg"].to_pylist() == [1.5]


@pytest.mark.parametrize("form", ["json", "ndjson", "csv", "arrow", "parquet"])
@pytest.mark.parametrize("topic", ["room/none", "only/none", "text"])
def test_an_empty_page_is_well_formed_in_every_format(api: Api, form: str, topic: str) -> None:
    answer = records(api, topic, format=form, to="0", limit=1)
    assert answer.status_code == 200
    if form == "json":
        assert answer.json()["records"] == []
    elif form == "csv":
        assert answer.text.count("\r\n") == 1
    elif form == "ndjson":
        assert answer.text == ""


def test_the_accept_header_chooses_unless_format_does(api: Api) -> None:
    def ask(accept: str, **parameters: str) -> str:
        answer = api.get(
            RECORDS, params={"topic": "room/1", **parameters}, headers={"Accept": accept}
        )
        kind: str = answer.headers["content-type"]
        return kind.partition(";")[0]

    assert ask("text/csv") == "text/csv"
    assert ask("text/html, application/x-ndjson;q=0.9") == "application/x-ndjson"
    assert ask("*/*") == "application/json"
    assert ask("text/csv", format="arrow") == "application/vnd.apache.arrow.stream"


def test_last_values_of_a_topic_or_of_a_filter(api: Api) -> None:
    (one,) = api.get("/api/v1/last", params={"topic": "room/1"}).json()["records"]
    assert one == {
        "topic": "room/1", "policy": "now", "time": "2026-09-21T14:13:20Z", "value": {"c": 2},
        "size": 8, "position": "0:4", "id": "m-9",
    }  # fmt: skip
    under = api.get("/api/v1/last", params={"filter": "room/+"}).json()["records"]
    assert [(row["topic"], row["value"]) for row in under] == [("room/1", {"c": 2}), ("room/2", 7)]
    everything = api.get("/api/v1/last", params={"filter": "#"}).json()["records"]
    assert len(everything) == 3
    assert api.get("/api/v1/last", params={"topic": "never"}).json() == {"records": []}


def test_last_values_need_a_topic_or_a_filter(api: Api) -> None:
    problem(api.get("/api/v1/last"), 400, "topic")
    problem(api.get("/api/v1/last", params={"topic": "a", "filter": "b"}), 400, "topic")
    problem(api.get("/api/v1/last", params={"filter": "a#"}), 400, "filter")
    problem(api.get("/api/v1/last", params={"filter": "#"}, token=ROOMS), 403)


def test_last_values_are_paged_like_records(api: Api) -> None:
    seen, cursor = [], ""
    while cursor is not None:
        answer = records(api, "#", policy="now", limit=1, order="desc", cursor=cursor).json()
        seen += [row["topic"] for row in answer["records"]]
        cursor = answer["next_cursor"]
    assert seen == ["hall", "room/2", "room/1"]


def test_windows_of_a_changed_policy_say_their_width_and_which_are_cut(
    api: Api, insert: Insert
) -> None:
    start = 1_790_002_800
    widths = {
        "1h": {"end": start + 3600, "complete": 0},
        "15m": {"end": start + 900, "complete": 3},
        "15m later": {"start": start + 900, "end": start + 1800, "complete": 1},
    }
    for every in ("1h", "15m"):
        changed = document("changed", "aggregate", ["changed"], every=every)
        assert api.ask("PUT", "/api/v1/policies/changed", json=changed).status_code < 300
    window = {
        "start": start, "count": 2, "first_time": T0, "first_offset": 1, "last_time": T0,
        "last_offset": 2, "sum": 3.0, "min": 1.0, "max": 2.0, "first": 1.0, "last": 2.0,
        "mean": 1.5, "m2": 0.5, "bins": [], "counts": [],
    }  # fmt: skip
    rows = [window | more for more in widths.values()]
    insert("aggregate", *rows, policy="changed", topic="changed")
    asked = {"topic": "changed", "policy": "changed"}
    found = api.get(RECORDS, params=asked).json()["records"]
    assert [(row["every"], row["complete"], row.get("cut")) for row in found] == [
        ("15m", True, True), ("1h", False, True), ("15m", True, None),
    ]  # fmt: skip
    lines = api.get(RECORDS, params=asked | {"format": "csv"}).text.splitlines()
    assert lines[0].split(",")[-3:] == ["cut", "late", "every"]
    assert [line.split(",")[-3:] for line in lines[1:]] == [
        ["true", "false", "15m"], ["true", "false", "1h"], ["false", "false", "15m"],
    ]  # fmt: skip
    for form in ("arrow", "parquet"):
        assert api.get(RECORDS, params=asked | {"format": form}).status_code == 200


def test_counters_and_durations_are_columns_of_every_format(api: Api, insert: Insert) -> None:
    start = 1_790_002_800
    meter = document(
        "meter", "aggregate", ["meter"], every="1mo", functions=["increase", "rate", "delta"]
    )
    valve = document("valve", "aggregate", ["valve"], every="1h", functions=["durations", "mode"])
    valve["type"] = "text"
    for one in (meter, valve):
        assert api.ask("PUT", f"/api/v1/policies/{one['name']}", json=one).status_code < 300
    second, first = 1_000_000, (start - 10) * 1_000_000
    window = {
        "start": start, "end": start + 3600, "complete": 1, "count": 2, "first_time": T0,
        "first_offset": 1, "last_time": T0, "last_offset": 2,
    }  # fmt: skip
    moments = [first, first + 20 * second, first + 30 * second]
    insert(
        "aggregate",
        window | {"moments": moments, "levels": [7.0, 9.0, 3.0], "sum": 12.0, "min": 3.0},
        policy="meter", topic="meter",
    )  # fmt: skip
    insert(
        "aggregate_text",
        window | {"moments": moments, "levels": ["=on", "off", "=on"], "states": ["off"],
                  "spans": [10 * second, 0], "tops": ["off", "=on"], "counts": [2, 1]},
        policy="valve", topic="valve",
    )  # fmt: skip
    (row,) = api.get(RECORDS, params={"topic": "meter"}).json()["records"]
    assert (row["increase"], row["rate"], row["delta"]) == (5, 5 / 30, -4)
    (row,) = api.get(RECORDS, params={"topic": "valve"}).json()["records"]
    durations = [{"value": "=on", "seconds": 3590}, {"value": "off", "seconds": 10}]
    assert (row["durations"], row["mode"]) == (durations, "off")
    for topic, names in (("meter", ["increase", "rate", "delta"]), ("valve", ["durations"])):
        for form in ("csv", "ndjson", "arrow", "parquet"):
            found = api.get(RECORDS, params={"topic": topic, "format": form})
            assert found.status_code == 200
            if form == "csv":
                assert set(names) <= set(found.text.splitlines()[0].split(","))
            if form == "parquet":
                assert set(names) <= set(pq.read_table(io.BytesIO(found.content)).column_names)


def test_usage_weighs_what_each_policy_keeps(api: Api) -> None:
    usage = api.get("/api/v1/usage").json()
    kept = {(row["policy"], row["topic"]): row for row in usage["usage"]}
    raw = kept["raw", "room/1"]
    assert (raw["keep"], raw["rows"], raw["bytes"]) == ("archive", 5, 20)
    assert kept["now", "room/1"]["bytes"] == 8
    assert kept["hours", "only/hours"]["rows"] == 1
    assert usage["rows"] == sum(row["rows"] for row in usage["usage"])
    for total in usage["policies"]:
        rows = [row for row in usage["usage"] if row["policy"] == total["policy"]]
        assert total["topics"] == len(rows)
        assert (total["rows"], total["bytes"]) == (
            sum(row["rows"] for row in rows), sum(row["bytes"] for row in rows),
        )  # fmt: skip
    heaviest = api.get("/api/v1/usage", params={"limit": 2}).json()
    ordered = sorted((row["bytes"] for row in usage["usage"]), reverse=True)
    assert [row["bytes"] for row in heaviest["usage"]] == ordered[:2]
    assert heaviest["bytes"] == usage["bytes"]
    rooms = api.get("/api/v1/usage", token=ROOMS).json()["usage"]
    assert {row["topic"] for row in rooms} == {"room/1", "room/2"}


# --- deleting -------------------------------------------------------------------------------------


def test_records_are_deleted_by_admins_as_asked(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Erasure] = []

    def forget(wanted: Erasure) -> int:
        asked.append(wanted)
        return 7

    kept = replace(api.services, erase=forget)
    monkeypatch.setitem(api.app.control.state._state, "services", kept)
    given = {"topic": "room/+", "policy": "raw", "from": "1", "to": "2", "owner": "ann"}
    answer = api.ask("DELETE", RECORDS, token=ADMIN, params=given)
    assert answer.json() == {"deleted": 7}
    assert asked == [Erasure("ann", "room/+", "raw", 1_000_000, 2_000_000)]
    api.ask("DELETE", RECORDS, token=ADMIN, params={"topic": "x"})
    assert asked[1:] == [Erasure("admin", "x")]


@pytest.mark.parametrize(
    ("params", "where"),
    [
        ({}, "topic"),
        ({"topic": "a#"}, "topic"),
        ({"topic": "a", "policy": "nobody"}, "policy"),
        ({"topic": "a", "from": "5", "to": "5"}, "from"),
        ({"topic": "a", "form": "5"}, "form"),  # a typing error must not delete everything
        ({"topic": "a", "to": "yesterday"}, "to"),
    ],
)
def test_a_wrong_request_deletes_nothing(api: Api, params: dict[str, str], where: str) -> None:
    problem(api.ask("DELETE", RECORDS, token=ADMIN, params=params), 400, where)


@pytest.mark.parametrize(
    ("params", "where"),
    [
        ({"to": "1790000000000"}, "to"),  # milliseconds
        ({"from": "1790000000000000"}, "from"),  # microseconds
        ({"to": "9999-12-31T23:59:59Z"}, "to"),
        ({"to": "2099-12-31T23:59:59Z"}, "to"),
        ({"from": "-1"}, "from"),
        ({"from": "1969-12-31T23:59:59Z"}, "from"),
        ({"from": "20260921"}, "from"),  # a day
    ],
)
def test_a_time_that_cannot_be_meant_deletes_nothing(
    api: Api, monkeypatch: pytest.MonkeyPatch, params: dict[str, str], where: str
) -> None:
    asked: list[Erasure] = []
    kept = replace(api.services, erase=lambda wanted: asked.append(wanted) or 0)
    monkeypatch.setitem(api.app.control.state._state, "services", kept)
    answer = api.ask("DELETE", RECORDS, token=ADMIN, params={"topic": "room/1", **params})
    problem(answer, 422, where)
    assert asked == []


def test_what_may_have_been_kept_can_be_deleted(api: Api) -> None:
    tomorrow = str(now() // SECOND + 86_000)  # limits.future is a day
    for params in ({"from": "0"}, {"to": tomorrow}, {"from": "0", "to": tomorrow}):
        answer = api.ask("DELETE", RECORDS, token=ADMIN, params={"topic": "a", **params})
        assert answer.json() == {"deleted": 0}


def test_deleting_is_for_admins(api: Api) -> None:
    problem(api.ask("DELETE", RECORDS, params={"topic": "a"}), 403)
