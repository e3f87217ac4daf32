"""One run of an attack: the real command, real clients of every kind, and the oracle."""

import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import httpx

from tests.broker import Mosquitto
from tests.crash import promises
from tests.crash.attack import Attack
from tests.crash.oracle import SEED
from tests.crash.senders import BatchSender, MqttSender, SingleSender
from tests.server import Server, eventually

SMALL = {
    "JOURNAL__SPAN": "1ms",
    "KEEPER__READ": "400",
    "KEEPER__BUFFER_ROWS": "150",
    "KEEPER__CHECKPOINT": "100ms",
    "LOG__FORMAT": "json",
}
"""Everything shrunk, so that it trims, flushes and checkpoints all the time."""

AT_ONCE = {"LAKEBED__KEEPER__READ": "50000", "LAKEBED__KEEPER__BUFFER_ROWS": "50000"}
"""Settings by which a backlog is worked off at full speed."""

_QUICK = 0.2
"""The share of lives that have them: lives of a second with a read or two in them would leave the
keeper ever farther behind, until hundreds of kills later all of them hit the same old messages."""

_START = 0.05, 1.2
"""Seconds after which one is killed that still starts or has just started."""

_SOURCES = """
[[sources]]
name = "one"
url = "mqtt://127.0.0.1:{port}"
topics = ["o/+/broker-1", "o/+/broker-1-ids", "nobody/broker-1-ids"]
stamps = ["id", "time"]

[[sources]]
name = "two"
url = "mqtt://127.0.0.1:{port}"
topics = ["o/+/broker-2", "nobody/broker-2"]
qos = 2
"""


class World(Attack):
    """Use as a context: inside, the home has its policies and the broker a session for it."""

    def __init__(self, folder: Path, settings: dict[str, str] | None = None) -> None:
        self.broker = Mosquitto(folder / "broker")
        home = folder / "home"
        home.mkdir(parents=True)
        super().__init__(Server(home, SMALL | (settings or {})))
        self._usual = dict(self.server.environment)

    def __enter__(self) -> "World":
        self.broker.start()
        (self.server.home / "lakebed.toml").write_text(_SOURCES.format(port=self.broker.port))
        self.server.start()
        turning, short = promises.TURNING[0], promises.SHORT
        self.server.put_policies([promises.EVERYTHING, *promises.POLICIES, turning, short])
        # from now on the broker keeps for us what it gets
        eventually(lambda: self._joined("one") and self._joined("two"), 90)
        self.kill()
        return self

    def __exit__(self, *error: Any) -> None:
        self.server.__exit__(None, None, None)
        self.broker.stop()

    def _joined(self, source: str) -> bool:
        return bool(self.parts()[f"source {source}"]["message"] == "connected")

    def parts(self) -> dict[str, dict[str, Any]]:
        """What /readyz says of each part, be it ready or not; nothing while nobody answers."""
        try:
            answer = self.server.request("GET", "/readyz").json()
        except httpx.HTTPError:
            return defaultdict(lambda: {"ok": False, "message": "no answer"})
        found: dict[str, dict[str, Any]] = answer["parts"]
        return found

    def send(self) -> None:
        """Let all kinds of clients begin."""
        server, oracle = self.server, self.oracle
        here, there = server.mqtt_port, self.broker.port
        self.begin(
            MqttSender(oracle, "qos-1", SEED, server, here, qos=1, version=4),
            MqttSender(oracle, "qos-1-ids", SEED, server, here, qos=1, version=5, ids=True),
            MqttSender(oracle, "qos-2", SEED, server, here, qos=2, version=4),
            MqttSender(oracle, "qos-2-v5", SEED, server, here, qos=2, version=5),
            MqttSender(oracle, "broker-1", SEED, server, there, qos=1, version=4),
            MqttSender(oracle, "broker-1-ids", SEED, server, there, qos=1, version=5, ids=True),
            MqttSender(oracle, "broker-2", SEED, server, there, qos=2, version=4),
            BatchSender(oracle, "batches", SEED, server),
            SingleSender(oracle, "singles", SEED, server, ids=True),
            SingleSender(oracle, "once", SEED, server, ids=False),
        )

    def kill(self) -> None:
        self.server.kill()
        self.oracle.died()

    def live_on(self) -> None:
        """Start to stay, and work off what has gathered."""
        self.server.environment |= AT_ONCE
        self.server.start()

    def break_connections(self) -> None:
        """Cut every MQTT connection in the middle of whatever it does."""
        for sender in self.senders:
            sender.break_connection()
        self.oracle.died()

    def live_a_moment(self) -> None:
        """Start, and be killed while it serves or while it still starts."""
        small = {name: value for name, value in self._usual.items() if name in AT_ONCE}
        quick = self.dice.random() < _QUICK
        self.server.environment |= AT_ONCE if quick else small
        if self.dice.random() < 0.4:
            self.server.spawn()
            time.sleep(self.dice.uniform(*_START))
        else:
            self.server.start()
            time.sleep(self.dice.uniform(0, 1.0))
        self.kill()
