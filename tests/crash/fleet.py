"""One run of an attack on many processes: gateways, keepers and an API over real servers."""

import time
from collections import Counter
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import httpx

from tests.broker import Mosquitto
from tests.cluster import Cluster, Member, Servers, Victims
from tests.crash import promises
from tests.crash.attack import Attack
from tests.crash.chaos import Chaos
from tests.crash.network import Proxy
from tests.crash.oracle import SEED
from tests.crash.senders import BatchSender, MqttSender, SingleSender
from tests.server import Server, eventually

SMALL = {
    "JOURNAL__SPAN": "1ms",
    "KEEPER__READ": "2000",
    "KEEPER__BUFFER_ROWS": "1000",
    "KEEPER__CHECKPOINT": "300ms",
    "LOG__FORMAT": "json",
}
"""Shrunk, so that it trims, flushes and checkpoints often; each of these now costs a round trip."""

_SESSIONS = "&session.timeout.ms=3000&heartbeat.interval.ms=500"
"""Who hangs for longer is taken over."""

_PATIENCE = 10.0  # seconds for an answer over HTTP, till the next gateway is asked
_KEEP_ALIVE = 5  # seconds in which a client notices that its gateway hangs
_SOURCE = """
[[sources]]
name = "shared"
url = "mqtt://127.0.0.1:{port}"
topics = ["$share/lb/#"]
stamps = ["id", "time"]
"""
_PROBES = 16  # topics: enough that each of four partitions has some
_PROBE = {"name": "probe", "topics": ["probe/#"], "type": "number", "keep": "archive"}


class Front(Server):
    """The whole as clients see it: balancers before all gateways, and an API."""

    def __init__(self, api: Member, http: Proxy, mqtt: Proxy) -> None:
        super().__init__(api.home, ports=(http.port, mqtt.port))
        self._api = api

    @property
    def token(self) -> str:
        return self._api.token

    def request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        if method == "POST" and path.startswith("/api/v1/messages"):
            return super().request(method, path, **{"timeout": _PATIENCE} | arguments)
        return self._api.request(method, path, **arguments)


class Fleet(Attack):
    """Use as a context: inside, all run, and the policies are in force in every partition.

    Args:
        way: by which gateways reach Kafka: it listens at `on.kafka.by`.
    """

    def __init__(
        self,
        folder: Path,
        on: Servers,
        gateways: int = 2,
        keepers: int = 3,
        way: Proxy | None = None,
    ) -> None:
        self._stack = ExitStack()
        try:
            self._open(folder, on, gateways, keepers, way)
        except BaseException:
            self._stack.close()
            raise

    def _open(
        self, folder: Path, on: Servers, gateways: int, keepers: int, way: Proxy | None
    ) -> None:
        stack = self._stack
        self.cluster = cluster = Cluster(folder, on, _SESSIONS)
        cluster.settings |= SMALL
        if way is not None:
            url = cluster.journal(f"127.0.0.1:{way.port}")
            cluster.of_role["gateway"] = {"JOURNAL__URL": url}
        self.broker = Mosquitto(folder / "broker")
        self.broker.start()
        stack.callback(self.broker.stop)
        cluster.files["gateway"] = _SOURCE.format(port=self.broker.port)
        stack.callback(cluster.close)
        roles = ["gateway"] * gateways + ["keeper"] * keepers + ["api"]
        members = cluster.start(*roles)
        names = [f"{role} {number}" for number, role in enumerate(roles)]
        self.members = dict(zip(names, members, strict=True))
        self.gateways = members[:gateways]
        http, mqtt = (
            stack.enter_context(Proxy(ports, SEED))
            for ports in (
                [gateway.http_port for gateway in self.gateways],
                [gateway.mqtt_port for gateway in self.gateways],
            )
        )
        front = Front(members[-1], http, mqtt)
        stack.callback(front.close)
        super().__init__(front)

    def __enter__(self) -> "Fleet":
        turning, short = promises.TURNING[0], promises.SHORT
        for policy in [promises.EVERYTHING, *promises.POLICIES, turning, short, _PROBE]:
            self.server.put_policy(**policy)
        eventually(self._in_force, 120)
        flow = self.server.settle()
        self.before = Counter({part: flow[part] for part in ("received", "kept", "skipped")})
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.close()

    def _in_force(self) -> bool:
        """Each partition takes up all policies at once, the last of them as well."""
        before = self._kept()
        self.server.send_batch([{"topic": f"probe/{n}", "value": n} for n in range(_PROBES)])
        self.server.settle()
        return self._kept() - before == _PROBES

    def _kept(self) -> int:
        return int(self.server.get("/api/v1/flow")["kept"])

    def send(self) -> None:
        """Let all kinds of clients begin; where their gateway dies they go on at another."""
        server, oracle = self.server, self.oracle
        exactly_once = "stalled" if len(self.gateways) > 1 else "never"

        def mqtt(name: str, qos: int, version: int, ids: bool = False) -> MqttSender:
            return MqttSender(
                oracle, name, SEED, server, server.mqtt_port, qos=qos, version=version, ids=ids,
                repeats=exactly_once if qos == 2 else "never", keep_alive=_KEEP_ALIVE,
            )  # fmt: skip

        self.begin(
            mqtt("qos-1", 1, 4),
            mqtt("qos-1-ids", 1, 5, ids=True),
            mqtt("qos-2", 2, 4),
            mqtt("qos-2-v5", 2, 5),
            MqttSender(
                oracle, "shared", SEED, server, self.broker.port, qos=1, version=5, ids=True
            ),
            BatchSender(oracle, "batches", SEED, server),
            SingleSender(oracle, "singles", SEED, server, ids=True),
            SingleSender(oracle, "once", SEED, server, ids=False),
        )

    def finish(self) -> None:
        super().finish()
        # what a gateway could not take waits in its session at the broker
        eventually(self._shared_arrived, promises.SETTLE)
        self.server.settle(seconds=promises.SETTLE)

    def _shared_arrived(self) -> bool:
        records = self.server.records("o/+/shared", promises.EVERYTHING["name"], limit=10_000)
        stored = {record.get("id") for record in records}
        acknowledged = (self.oracle.messages[n] for n in set(self.oracle.acknowledged))
        wanted = {one.id for one in acknowledged if one.kept and one.topic.endswith("/shared")}
        print(f"{len(wanted)} messages by way of the broker, {len(wanted - stored)} not there yet")
        return wanted <= stored

    def check(self) -> None:
        for name, member in self.members.items() if not self.oracle.lost else ():
            assert "deleted records before they were read" not in member.output, name
        super().check()

    def rage(self, on: Victims, faults: int, pace: tuple[float, float] = (0.8, 1.8)) -> None:
        """Let all processes and servers be harmed, several at a time."""
        began = time.monotonic()
        chaos = Chaos(
            self.cluster, self.members, on, self.dice, self.oracle.stalled, self.oracle.died,
            self.broker,
        )  # fmt: skip
        with closing(chaos):
            chaos.rage(faults, pace)
        print(f"{chaos.struck.total()} faults in {time.monotonic() - began:.0f} s:")
        print(dict(sorted(chaos.struck.items())))
        print(f"could not start for want of a store: {chaos.ended}")
        print(f"{chaos.guests} guests, slowest stop {chaos.slowest_stop}")
