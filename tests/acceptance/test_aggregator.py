"""An aggregator of a bus by its three variables: whatever stops meanwhile, the sums are right.

bus (repeats itself, fails) ──> Lakebed (killed twice) ──> PostgreSQL or Kafka (cut off)
"""

import json
import os
import random
import re
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from lakebed.simulation.bus.events import Events
from lakebed.simulation.bus.failures import Failures
from lakebed.simulation.bus.server import DevBus
from tests import processes
from tests.crash.network import Proxy
from tests.ports import free_port
from tests.server import Server, eventually
from tests.servers import kafka, postgres

pytestmark = [pytest.mark.slow(40), pytest.mark.timeout(300)]

INTERVAL = 5
TOKEN = "the-token-of-the-bus"
Rows = dict[tuple[str, str, int], float]
FUNCTIONS: dict[str, Callable[[list[float]], float]] = {
    "sum": sum,
    "avg": lambda values: sum(values) / len(values),
    "min": min,
    "max": max,
}


class Bus:
    """A bus that can be stopped and started on its port, and keeps its events."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.address = ("127.0.0.1", 0)
        self.sent: list[dict[str, Any]] = []
        self.start()

    def start(self) -> None:
        failures = Failures(errors=0.1, drop=0.1, duplicates=0.2)
        self.events = Events(self._file)
        self._server = DevBus(*self.address, self.events, failures, 0, 1, TOKEN)
        self.address = self._server.address
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()

    def stop(self) -> None:
        self._server.stop()
        self._thread.join()

    def send(self, dice: random.Random) -> None:
        number = len(self.sent)
        event = {
            "id": f"e-{number}",
            "name": f"n{number % 3}",
            "value": dice.randrange(-50, 100),
            "timestamp": round(time.time() - (dice.random() < 0.1) * 7, 3),
        }
        if function := dice.choice(["sum", "avg", "min", "max", ""]):
            event["agg_func"] = function
        self.sent.append(event)
        self.events.append([json.dumps(event).encode()])

    def expected(self) -> Rows:
        """Topic, function and begin of each window, with its value."""
        groups: dict[tuple[str, str, int], list[float]] = defaultdict(list)
        for event in self.sent:
            start = int(event["timestamp"] // INTERVAL) * INTERVAL
            key = f"bus/{event['name']}", event.get("agg_func", "sum"), start
            groups[key].append(event["value"])
        return {key: FUNCTIONS[key[1]](values) for key, values in groups.items()}


@contextmanager
def to_postgres() -> Iterator[tuple[Proxy, dict[str, str], Callable[[], Rows]]]:
    with postgres.found() as server, Proxy([f"{server.folder}/.s.PGSQL.5432"]) as proxy:
        local = server.create_schema()
        table = f"{local.rpartition('%3D')[2]}.sums"

        def rows() -> Rows:
            statement = f"select topic, field, extract(epoch from start)::int, value from {table}"
            with psycopg.connect(local) as connection:
                exists = connection.execute("select to_regclass(%s)", [table]).fetchone()
                if exists == (None,):
                    return {}
                found = connection.execute(statement).fetchall()  # type: ignore[call-overload]
            assert len({row[:3] for row in found}) == len(found)
            return {row[:3]: row[3] for row in found}

        variables = {
            "STORAGE_TYPE": "postgres",
            "VABUS_POSTGRES_URL": f"postgresql://lakebed@127.0.0.1:{proxy.port}/postgres",
            "VABUS_POSTGRES_TABLE": table,
        }
        yield proxy, variables, rows


@contextmanager
def to_kafka() -> Iterator[tuple[Proxy, dict[str, str], Callable[[], Rows]]]:
    from confluent_kafka import Consumer, TopicPartition
    from confluent_kafka.admin import AdminClient, NewTopic

    with kafka.found() as server, Proxy([int(server.address.rpartition(":")[2])]) as proxy:
        topic = kafka.new_topic("sums")
        admin = AdminClient({"bootstrap.servers": server.address})
        admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(30)

        def rows() -> Rows:
            consumer = Consumer(
                {"bootstrap.servers": server.address, "group.id": "looks",
                 "enable.partition.eof": True, "isolation.level": "read_committed"}
            )  # fmt: skip
            consumer.assign([TopicPartition(topic, 0, 0)])
            found: Rows = {}
            known: dict[Any, Any] = {}
            while (message := consumer.poll(10)) is not None and message.error() is None:
                row = json.loads(message.value() or b"{}")
                # a window that was corrected while the relay was behind comes again as it was
                headers = dict(message.headers() or ())
                del row["received"]
                assert known.setdefault(headers["id"], row) == row
                found[row["topic"], row["field"], _seconds(row["start"])] = row["value"]
            consumer.close()
            return found

        variables = {
            "STORAGE_TYPE": "kafka",
            "VABUS_KAFKA_URL": f"kafka://127.0.0.1:{proxy.port}/{topic}",
        }
        yield proxy, variables, rows


def _seconds(text: str) -> int:
    from datetime import datetime

    return int(datetime.fromisoformat(text).timestamp())


@pytest.mark.parametrize(
    "store",
    [
        pytest.param(to_postgres, id="postgres", marks=pytest.mark.server("postgres")),
        pytest.param(to_kafka, id="kafka", marks=pytest.mark.server("kafka")),
    ],
)
def test_sums_are_right_whatever_stops_meanwhile(store: Any, tmp_path: Path) -> None:
    dice = random.Random(3)
    bus = Bus(tmp_path / "events")
    server = Server(tmp_path / "home")
    with store() as (proxy, variables, rows):
        server.environment |= variables | {
            "VABUS_URL": "http://{}:{}".format(*bus.address),
            "VABUS_TOKEN": TOKEN,
            "AGGREGATION_INTERVAL": str(INTERVAL),
        }
        faults = {
            20: server.kill, 25: server.start, 45: bus.stop, 55: bus.start, 65: proxy.cut,
            66: lambda: proxy.stall(2), 85: server.kill, 90: server.start,
        }  # fmt: skip
        server.start()
        try:
            down = False
            for turn in range(120):
                if fault := faults.get(turn):
                    fault()
                    down = fault == bus.stop or (down and fault != bus.start)
                if not down:
                    for _ in range(5):
                        bus.send(dice)
                time.sleep(0.08)
            eventually(lambda: _same(rows(), bus.expected()), 90)
            flow = server.settle(lambda flow: flow["kept"] == len(bus.sent))
            assert flow["dead_letter"] == 0
            figures = eventually(lambda: _figures(server))
            assert figures["refused"] == 0
        finally:
            server.close()
            bus.stop()


def _same(found: Rows, expected: Rows) -> bool:
    assert found.keys() == expected.keys()
    assert found == pytest.approx(expected)
    return True


def _figures(server: Server) -> dict[str, Any]:
    part: dict[str, Any] = server.get("/readyz")["parts"]["source vabus"]
    assert part["joined"]
    return part


_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HOWTO = Path(__file__).parents[2] / "docs/howto/aggregate-a-bus.md"


@pytest.mark.server("postgres")
def test_what_the_how_to_tells_to_type_works(tmp_path: Path) -> None:
    bus, http, mqtt = free_port(), free_port(), free_port()
    blocks = _FENCE.findall(HOWTO.read_text())
    for_bus, for_server, look, metrics = (b for language, b in blocks if language == "sh")
    (statement,) = (b for language, b in blocks if language == "sql")
    environment = processes.clean() | {
        "PATH": f"{processes.command(tmp_path / 'bin')}:{os.environ['PATH']}",
        "LAKEBED_URL": f"http://127.0.0.1:{http}",
        "HOME": str(tmp_path),
    }
    running: list[subprocess.Popen[bytes]] = []

    def bash(script: str) -> subprocess.Popen[bytes]:
        """A shell that becomes its last command."""
        *before, last = script.replace("127.0.0.1:8000", f"127.0.0.1:{bus}").splitlines()
        text = "\n".join([*before, f"exec {last}"])
        command = ["bash", "-e", "-u", "-c", text]
        with (tmp_path / "output").open("ab") as output:
            return subprocess.Popen(
                command, cwd=tmp_path, env=environment, stdout=output, stderr=output
            )

    with postgres.found() as server, Proxy([f"{server.folder}/.s.PGSQL.5432"]) as proxy:
        local = server.create_schema()
        table = f"{local.rpartition('%3D')[2]}.aggregates"
        environment["VABUS_POSTGRES_TABLE"] = table
        url = f"postgresql://lakebed@127.0.0.1:{proxy.port}/postgres"
        up = for_server.replace("postgresql://lakebed@localhost/metrics", url)
        try:
            running.append(bash(f"{for_bus.strip()} --listen 127.0.0.1:{bus}"))
            running.append(bash(f"{up.strip()} --http 127.0.0.1:{http} --mqtt 127.0.0.1:{mqtt}"))

            def rows() -> list[Any]:
                assert all(one.poll() is None for one in running), (tmp_path / "output").read_text()
                with psycopg.connect(local) as connection:
                    exists = connection.execute("select to_regclass(%s)", [table]).fetchone()
                    return [] if exists == (None,) else connection.execute(statement).fetchall()  # type: ignore[call-overload]

            eventually(rows, 60)
            done = subprocess.run(
                ["bash", "-e", "-c", look + metrics.replace("8000", str(bus))],
                cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60,
            )  # fmt: skip
            assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
            assert "sum " in done.stdout
            assert '"metrics"' in done.stdout
        finally:
            for one in running:
                one.terminate()
            for one in running:
                one.wait(30)
