"""What is refused at the door is told to whoever looks; a stock bridge of Mosquitto works."""

import base64
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client, MQTTv31, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

from tests import processes
from tests.broker import Mosquitto
from tests.server import Server, eventually

pytestmark = [pytest.mark.slow(15), pytest.mark.timeout(300)]
PATIENCE = 30.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(
        tmp_path_factory.mktemp("refusals") / "home", {"LIMITS__PAYLOAD": "10KiB"}
    ) as started:
        started.put_policies(
            [{"name": "all", "topics": ["#"], "keep": "archive", "type": "text", "buffer": "0s"}]
        )
        yield started


def command(server: Server, *arguments: str) -> str:
    done = processes.lakebed(*arguments, "--url", server.url, "--home", server.home)
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


def refusals(server: Server, **parameters: Any) -> dict[tuple[str, str], dict[str, Any]]:
    found = server.get("/api/v1/refusals", **parameters)["refusals"]
    return {(one["door"], one["reason"]): one for one in found}


def narrow(server: Server, name: str) -> str:
    made = server.request(
        "POST", "/api/v1/tokens", json={"name": name, "publish": ["own/#"], "read": ["own/#"]}
    )
    return str(made.json()["token"])


def test_a_refused_message_of_3_1_1_stops_nothing_and_is_found_again(server: Server) -> None:
    client = Client(CallbackAPIVersion.VERSION2, "shed", protocol=MQTTv311)
    client.username_pw_set("me", narrow(server, "shed"))
    client.connect("127.0.0.1", server.mqtt_port)
    client.loop_start()
    sent = [
        client.publish("foreign", b"lost?", 1),
        client.publish("own/big", bytes(2**20), 1),
        client.publish("own/good", b"1", 1),
    ]
    for one in sent:
        one.wait_for_publish(PATIENCE)
    client.disconnect()
    client.loop_stop()
    wrong = Client(CallbackAPIVersion.VERSION2, "intruder", protocol=MQTTv31)
    answers: list[Any] = []
    wrong.on_connect = lambda *event: (answers.append(event[3]), wrong.disconnect())
    wrong.username_pw_set("me", "no token")
    wrong.connect("127.0.0.1", server.mqtt_port)
    wrong.loop_forever()
    assert str(answers[0]) == "Bad user name or password"
    assert server.request("POST", "/api/v1/messages", params={"topic": "a\x01"}).status_code == 400
    unknown = {"Authorization": "Bearer nobody"}
    for body, headers in ((b"1", unknown), (bytes(2**20), {})):
        server.request("POST", "/api/v1/messages", params={"topic": "own/x"}, content=body,
                       headers=headers)  # fmt: skip

    found: dict[tuple[str, str], dict[str, Any]] = {}
    wanted = {("mqtt", "not_authorized"), ("mqtt", "quota_exceeded"), ("http", "bad_request"),
              ("mqtt", "bad_user_name_or_password"), ("http", "not_authenticated"),
              ("http", "payload_too_large")}  # fmt: skip
    eventually(lambda: wanted <= refusals(server).keys(), PATIENCE)
    found = refusals(server)
    assert found["mqtt", "not_authorized"]["client"] == "shed"
    assert found["mqtt", "not_authorized"]["topic"] == "foreign"
    assert found["mqtt", "bad_user_name_or_password"]["owner"] is None
    assert found["mqtt", "bad_user_name_or_password"]["address"] == "127.0.0.1"
    assert "foreign" in command(server, "refusals")
    assert "refused in the last hour" in processes.lakebed("doctor", "--home", server.home).stdout
    assert 'lakebed_refusals_total{door="mqtt",reason="not_authorized"} 1' in (
        server.request("GET", "/metrics").text
    )
    log = [line for line in server.output.splitlines() if "refused" in line]
    assert any("foreign" in line and "127.0.0.1" in line for line in log)

    letters = json.loads(command(server, "dead-letters", "list", "--json"))["dead_letters"]
    kept = {letter["topic"]: letter for letter in letters}
    assert base64.b64decode(kept["foreign"]["payload_base64"]) == b"lost?"
    assert kept["foreign"]["policy"] == "$refused"
    command(server, "dead-letters", "resend", kept["foreign"]["id"])
    path = f"/api/v1/dead-letters/{kept['own/big']['id']}/resend"
    assert server.request("POST", path).status_code == 409
    server.settle()
    assert [r["value"] for r in server.records("foreign", "all")] == ["lost?"]
    assert [r["value"] for r in server.records("own/good", "all")] == ["1"]


@pytest.mark.server("mosquitto")
@pytest.mark.parametrize(
    ("token", "protocol"),
    [("admin", ""), ("narrow", ""), ("old", "mqttv31"), ("new", "mqttv50")],
)
def test_a_bridge_of_mosquitto_works_as_it_comes(
    server: Server, tmp_path: Path, token: str, protocol: str
) -> None:
    secret = server.token if token == "admin" else narrow(server, f"bridge-{token}")
    broker = Mosquitto(tmp_path)
    lines = [
        "connection lake",
        f"address 127.0.0.1:{server.mqtt_port}",
        "topic # out 1",
        "remote_username bridge",
        f"remote_password {secret}",
        *([f"bridge_protocol_version {protocol}"] if protocol else []),
    ]
    with (tmp_path / "mosquitto.conf").open("a") as configuration:
        configuration.write("\n" + "\n".join(lines) + "\n")
    with broker:
        for value in ("one", "two"):
            subprocess.run(
                ["mosquitto_pub", "-p", str(broker.port), "-q", "1", "-t", f"own/{token}",
                 "-m", value],
                check=True, timeout=PATIENCE,
            )  # fmt: skip

        def arrived() -> bool:
            server.settle()
            return len(server.records(f"own/{token}", "all")) >= 2

        eventually(arrived, PATIENCE)
    assert [r["value"] for r in server.records(f"own/{token}", "all")] == ["one", "two"]
