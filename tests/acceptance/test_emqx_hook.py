"""A real broker signs its clients in by our answers, and ends those that are blocked."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest

from tests.server import Server, eventually
from tests.servers.asking import AskingBroker

pytestmark = [pytest.mark.slow(10), pytest.mark.server("go")]

SECRET = "a-secret-that-the-broker-has"
CONFIG = """\
[auth]
emqx_secret = "{secret}"
emqx_api = "{rest}"
emqx_api_key = "key"
emqx_api_secret = "secret"
[[sources]]
name = "site"
url = "mqtt://admin:{token}@127.0.0.1:{port}"
topics = ["example.com/#"]
topic = "example.com/{{unit}}/#"
"""


class Device:
    """A client that notes what becomes of it."""

    def __init__(self, port: int, name: str, token: str, *, as_user: bool = False) -> None:
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, name, protocol=mqtt.MQTTv5)
        self.client.username_pw_set(token if as_user else name, None if as_user else token)
        self.answered, self.reason = threading.Event(), ""
        self.granted: list[bool] = []
        self.ended = threading.Event()
        self.heard: list[bytes] = []
        self.client.on_connect = self._connected
        self.client.on_subscribe = self._subscribed
        self.client.on_message = lambda _c, _u, message: self.heard.append(message.payload)
        self.client.on_disconnect = lambda *_: self.ended.set()
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert self.answered.wait(20)

    def _connected(self, _c: Any, _u: Any, _f: Any, reason: Any, _p: Any) -> None:
        self.reason = str(reason)
        self.answered.set()
        if reason.is_failure:
            self.client.disconnect()

    def _subscribed(self, _c: Any, _u: Any, _m: Any, reasons: Any, _p: Any) -> None:
        self.granted += [not reason.is_failure for reason in reasons]

    def subscribe(self, topic: str) -> bool:
        before = len(self.granted)
        self.client.subscribe(topic, 1)
        eventually(lambda: len(self.granted) > before)
        return self.granted[-1]

    def close(self) -> None:
        self.client.on_disconnect = None
        self.client.disconnect()
        self.client.loop_stop()


@contextmanager
def device(*args: Any, **rest: Any) -> Iterator[Device]:
    made = Device(*args, **rest)
    try:
        yield made
    finally:
        made.close()


def make_unit(server: Server, name: str) -> tuple[str, str]:
    """A unit that may publish and read everything of its owner; its uuid and token."""
    document = {"name": name, "publish": ["#"], "read": ["example.com/{unit}/+"]}
    answer = server.request("POST", "/api/v1/units", json=document)
    assert answer.status_code == 201, answer.text
    token = server.request("POST", f"/api/v1/units/{name}/token", json={}).json()["token"]
    return answer.json()["uuid"], token


def test_a_real_broker_signs_clients_in_by_our_answers(tmp_path: Path) -> None:
    admin = "an-admin-token-of-this-test-0123456789"
    with AskingBroker() as broker:
        config = CONFIG.format(secret=SECRET, rest=broker.rest, token=admin, port=broker.port)
        (tmp_path / "lakebed.toml").write_text(config)
        (tmp_path / "admin.token").write_text(admin)  # where the test looks for it
        with Server(tmp_path, {"API__ADMIN_TOKEN": admin}) as server:
            broker.start(server.url, SECRET)
            clients_may_what_we_say(server, broker)


def clients_may_what_we_say(server: Server, broker: AskingBroker) -> None:
    uuid, token = make_unit(server, "lamp")
    _, other = make_unit(server, "pump")
    server.put_policies([{"name": "all", "keep": "archive", "topics": ["#"], "type": "text"}])
    with device(broker.port, "stranger", token[:-1] + "-") as refused:
        assert refused.reason != "Success"
    own = f"example.com/{uuid}/value"
    with (
        device(broker.port, "lamp", token) as lamp,
        device(broker.port, "pump", other, as_user=True) as pump,
    ):
        assert (lamp.reason, pump.reason) == ("Success", "Success")
        assert lamp.subscribe(f"example.com/{uuid}/+")
        assert not lamp.subscribe(f"example.com/{uuid}/#")  # more than it may read
        assert not pump.subscribe(own)
        lamp.client.publish("elsewhere/1", b"never", 1)

        def arrives() -> bool:  # once the source has joined, and knows the unit
            lamp.client.publish(own, b"on", 1)
            return bool(server.flow()["kept"])

        eventually(arrives)
        eventually(lambda: b"on" in lamp.heard)
        topics = {row["topic"] for row in server.get("/api/v1/topics")["topics"]}
        assert topics == {own}
        answer = server.request("PATCH", "/api/v1/units/lamp", json={"blocked": True})
        assert answer.status_code == 200, answer.text
        assert lamp.ended.wait(10)
        assert not pump.ended.is_set()

    def is_refused() -> bool:  # within two seconds by whoever is asked
        with device(broker.port, "lamp", token) as blocked:
            return blocked.reason != "Success"

    eventually(is_refused, 5)
