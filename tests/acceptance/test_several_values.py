"""Messages with several values, integers and truth values, through the real program and back."""

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.server import Server

pytestmark = [pytest.mark.slow(8), pytest.mark.timeout(200)]

COUNTER = 9_007_199_254_740_993  # 2**53 + 1: a float64 would round it


def test_every_value_of_a_message_is_read_back_exactly(server: Server) -> None:
    fields = {"celsius": "/t", "humidity": "/h"}
    base = {"topics": ["room/+"], "type": "number", "fields": fields}
    whole = {"topics": ["meter"], "type": "integer"}
    server.put_policies(
        [
            {"name": "raw", **base, "keep": "archive"},
            {"name": "now", **base, "keep": "last_value", "every": 0},
            {"name": "hours", **base, "keep": "aggregate", "every": "1h"},
            {"name": "count", **whole, "keep": "archive"},
            {"name": "sums", **whole, "keep": "aggregate", "every": "1h", "functions": ["sum"]},
            {"name": "lamp", "topics": ["lamp"], "type": "boolean", "keep": "archive",
             "map": {"ON": True, "OFF": False}},
        ]
    )  # fmt: skip
    server.send("room/1", '{"t": 21.5, "h": 40}')
    server.send("room/1", '{"t": 22.5}')
    server.send("room/1", "{}")
    for payload in (COUNTER, COUNTER + 1):
        server.send("meter", str(payload))
    server.send("lamp", "ON")
    server.settle(lambda flow: flow["kept"] == 5)

    named = [(row["field"], row["value"]) for row in server.records("room/1", "raw")]
    assert named == [("celsius", 21.5), ("humidity", 40), ("celsius", 22.5)]
    assert [row["value"] for row in server.records("room/1", "raw", field="humidity")] == [40]
    windows = server.records("room/1", "hours", field="celsius")
    assert [(row["count"], row["max"]) for row in windows] == [(2, 22.5)]
    last = server.get("/api/v1/last", topic="room/1")["records"]
    assert {row["field"]: row["value"] for row in last} == {"celsius": 22.5, "humidity": 40}
    assert [row["value"] for row in server.records("meter", "count")] == [COUNTER, COUNTER + 1]
    assert [row["sum"] for row in server.records("meter", "sums")] == [2 * COUNTER + 1]
    assert [row["value"] for row in server.records("lamp", "lamp")] == [True]

    asked = {"topic": "room/1", "policy": "raw", "format": "csv"}
    csv = server.request("GET", "/api/v1/records", params=asked).text.splitlines()
    assert csv[0].startswith("topic,field,time,value")
    assert csv[1].startswith("room/1,celsius,")
    asked = {"topic": "meter", "policy": "count", "format": "parquet"}
    table = pq.read_table(
        io.BytesIO(server.request("GET", "/api/v1/records", params=asked).content)
    )
    assert table.schema.field("value").type == pa.int64()
    assert table["value"].to_pylist() == [COUNTER, COUNTER + 1]

    found = {row["policy"]: row for row in server.get("/api/v1/flow", by="policy")["policies"]}
    assert found["raw"]["fields"] == {
        "celsius": {"kept": 2, "missed": {"missing_path": 1}},
        "humidity": {"kept": 1, "missed": {"missing_path": 2}},
    }
    wrong = server.request("GET", "/api/v1/records", params=asked | {"field": "celsius"})
    assert wrong.status_code == 400
    assert "no field 'celsius'" in wrong.text
    gone = server.request("DELETE", "/api/v1/records", params={"topic": "room/1"}).json()
    assert gone["deleted"] == 3 + 2 + 2
    assert server.records("room/1", "raw") == []
