"""`with` of a policy: what surrounds a message is kept with its value, and answered with it."""

import csv
import io
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from paho.mqtt.client import Client, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.server import Server, eventually

pytestmark = [pytest.mark.slow(6), pytest.mark.timeout(200)]

NAMES = [
    "client", "content_type", "qos", "retain", "response_topic", "correlation_data",
    "properties.site",
]  # fmt: skip
ARCHIVE = {"name": "w", "topics": ["a/#"], "type": "number", "keep": "archive", "with": NAMES}
POLICIES = [
    ARCHIVE,
    {"name": "last", "topics": ["a/#"], "type": "number", "keep": "last_value", "with": ["client"]},
    {"name": "plain", "topics": ["a/#"], "type": "number", "keep": "window", "for": "1d"},
]
GIVEN = {
    "client": "shed-1", "content_type": "text/plain", "qos": 1, "retain": True,
    "response_topic": "answers/7", "correlation_data": "AP8=", "properties.site": "north",
}  # fmt: skip


def joined(server: Server, version: int) -> Client:
    client = Client(CallbackAPIVersion.VERSION2, "shed-1", protocol=version)
    client.username_pw_set("me", server.token)
    client.connect("127.0.0.1", server.mqtt_port)
    client.loop_start()
    return client


def surroundings() -> Properties:
    found = Properties(PacketTypes.PUBLISH)
    found.ContentType = "text/plain"
    found.ResponseTopic = "answers/7"
    found.CorrelationData = b"\x00\xff"
    found.UserProperty = [("site", "north")]
    found.UserProperty = [("unit", "K")]  # paho appends
    return found


def test_they_are_kept_and_answered_in_every_form(tmp_path: Path) -> None:
    with Server(tmp_path / "home") as server:
        client = joined(server, MQTTv5)  # before anybody asks for it
        client.publish("a/5", "1", 1).wait_for_publish(10)
        server.put_policies(POLICIES)

        def asked() -> bool:
            client.publish("a/probe", "1", 1).wait_for_publish(10)
            found = server.records("a/probe", "w")
            assert any("with" in one for one in found)
            return True

        eventually(asked)
        client.publish("a/5", "2", 1, retain=True, properties=surroundings()).wait_for_publish(10)
        client.publish("a/5", "3", 0).wait_for_publish(10)
        client.publish("a/5", "4", 2).wait_for_publish(10)
        client.disconnect()
        old = joined(server, MQTTv311)
        old.publish("a/3", "1", 1, retain=True).wait_for_publish(10)
        old.disconnect()
        headers = {"Content-Type": "text/csv", "X-Property-Site": "south"}
        server.request(
            "POST", "/api/v1/messages", params={"topic": "a/http"}, content=b"1", headers=headers
        ).raise_for_status()
        flags = {"client": "shed-1", "retain": False}
        expected = {
            "a/5": [GIVEN, flags | {"qos": 0}, flags | {"qos": 2}],
            "a/3": [{"client": "shed-1", "qos": 1, "retain": True}],
            "a/http": [{"content_type": "text/csv", "properties.site": "south"}],
        }

        def kept() -> bool:
            for topic, wanted in expected.items():
                found = [one.get("with") for one in server.records(topic, "w")]
                found = [{k: v for k, v in one.items() if k != "client" or v == "shed-1"}
                         for one in found if one]  # fmt: skip
                assert found == wanted, topic
            return True

        eventually(kept)
        assert not any("with" in one for one in server.records("a/5", "plain"))
        last = server.request("GET", "/api/v1/last", params={"topic": "a/5"}).json()["records"]
        assert [one["with"] for one in last] == [{"client": "shed-1"}]
        asked_for = {"topic": "a/5", "policy": "w", "from": "2020-01-01T00:00:00Z"}
        text = server.request("GET", "/api/v1/records", params=asked_for | {"format": "csv"}).text
        rows = list(csv.DictReader(io.StringIO(text)))
        assert json.loads(rows[-3]["with"]) == GIVEN
        data = server.request("GET", "/api/v1/records", params=asked_for | {"format": "parquet"})
        column = pq.read_table(io.BytesIO(data.content))["with"].to_pylist()
        assert json.loads(column[-3]) == GIVEN
        assert (
            "with"
            not in server.request(
                "GET", "/api/v1/records", params=asked_for | {"policy": "plain", "format": "csv"}
            ).text.splitlines()[0]
        )
    with Server(tmp_path / "home") as server:
        assert server.records("a/5", "w")[-1]["with"] == flags | {"qos": 2}
