"""A broker in front: units behind it report, and strangers are told; EMQX asks about them."""

from pathlib import Path
from typing import Any

import paho.mqtt.publish as publishing
import pytest

from tests.broker import Mosquitto
from tests.server import Server, eventually

pytestmark = [pytest.mark.slow(8), pytest.mark.server("mosquitto")]

SECRET = "a-secret-that-emqx-has"
CONFIG = """\
[auth]
emqx_secret = "{secret}"
[units]
log = "direct/{{unit}}/log"
[[sources]]
name = "site"
url = "mqtt://127.0.0.1:{port}"
topics = ["site/#"]
topic = "site/{{unit}}/value"
state = "site/out/{{unit}}/state"
log = "site/out/{{unit}}/log"
"""


def make_unit(server: Server, name: str, **fields: Any) -> str:
    answer = server.request("POST", "/api/v1/units", json={"name": name} | fields)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["uuid"])


def test_units_behind_a_broker(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker") as broker:
        home = tmp_path / "home"
        home.mkdir()
        (home / "lakebed.toml").write_text(CONFIG.format(port=broker.port, secret=SECRET))
        with Server(home) as server:
            units_report_and_strangers_are_told(server, broker)
            emqx_is_answered(server)


def units_report_and_strangers_are_told(server: Server, broker: Mosquitto) -> None:
    def say(topic: str, payload: str) -> None:
        publishing.single(topic, payload, 1, hostname="127.0.0.1", port=broker.port)

    uuid = make_unit(server, "lamp", publish=["site/#"], read=["site/{unit}/set"])
    server.put_policies([{"name": "all", "keep": "archive", "topics": ["site/#"], "type": "text"}])

    def is_known() -> bool:
        say(f"site/{uuid}/value", "on")
        return bool(server.flow()["kept"])

    eventually(is_known)
    say("site/out/lamp/state", '{"mem_free": 9000}')
    say("site/out/lamp/log", '[{"level": "Info", "text": "up"}, {"level": "Info"}]')
    server.send("direct/lamp/log", '{"level": "Error", "text": "down"}')
    say("site/nobody/value", "1")

    def is_told() -> bool:
        unit, entries = server.get("/api/v1/units/lamp"), server.get("/api/v1/units/lamp/log")
        found = sorted((entry["level"], entry["text"]) for entry in entries["entries"])
        return (
            unit["last_state"] == {"mem_free": 9000}
            and unit["last_log"] is not None
            and found == [("Error", "down"), ("Info", "up")]
        )

    eventually(is_told)
    (source,) = eventually(lambda: server.get("/api/v1/sources")["sources"])
    assert source["topic"][0] == "site/{unit}/value"

    def strangers() -> Any:
        (source,) = server.get("/api/v1/sources")["sources"]
        return [one["topic"] for one in source["examples"] if one["reason"] == "unknown"]

    eventually(lambda: "site/nobody/value" in strangers())
    assert {row["topic"] for row in server.get("/api/v1/topics")["topics"]} == {
        f"site/{uuid}/value", "site/out/lamp/state", "site/out/lamp/log", "direct/lamp/log",
    }  # fmt: skip
    metrics = server.request("GET", "/metrics").text
    assert 'lakebed_source_not_stored_total{reason="unknown",source="site"}' in metrics
    assert 'lakebed_unit_reports_refused_total{kind="log",reason="bad"} 1.0' in metrics


def emqx_is_answered(server: Server) -> None:
    token = server.request("POST", "/api/v1/units/lamp/token", json={}).json()["token"]
    headers = {"Authorization": f"Bearer {SECRET}"}

    def authn() -> dict[str, Any]:
        answer = server.request(
            "POST", "/api/v1/auth/emqx/authn", headers=headers, json={"password": token}
        )
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    found = authn()
    assert found["result"] == "allow"
    assert {"permission": "allow", "action": "publish", "topic": "site/lamp/value"} in found["acl"]
    answer = server.request("PATCH", "/api/v1/units/lamp", json={"blocked": True})
    assert answer.status_code == 200, answer.text
    eventually(lambda: authn() == {"result": "deny"}, 3)
