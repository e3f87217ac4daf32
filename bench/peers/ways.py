"""Peers at one way in each, sent the same as `bench.http_batch` and `bench.listeners` send.

    python -m bench.peers.ways PEER WAY PROGRAM [--messages 500000]

| PEER             | WAY                           | PROGRAM |
|------------------|-------------------------------|---------|
| telegraf         | influx-2 remote-write-1 syslog | telegraf |
| otelcol          | otlp syslog                   | OpenTelemetry collector with file exporter |
| victoria-metrics | influx-2 remote-write-1       | victoria-metrics |

`--to http` and `--to kafka` have Telegraf pass on what comes to a server that takes everything, or
to a Kafka, in batches of 1,000: what `bench.relays` does.

Telegraf and the collector write what comes to one file, which is the cheapest store they have; all
three answer when a request is in memory. Lakebed answers after fsync, keeps every record, and works
out last values and aggregates besides. CPU counts until the last message is in the store.
"""

import argparse
import json
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import psutil
from confluent_kafka import KafkaException
from tests.ports import free_port

from bench import posts
from bench.apart import apart
from bench.listeners import stream
from bench.load import Load, Measured
from bench.posts import Posts
from bench.relays import counting
from bench.report import Report

_TELEGRAF = """\
[agent]
  flush_interval = "1s"
  metric_batch_size = 5000
  metric_buffer_limit = 2000000
  omit_hostname = true
  quiet = true
"""
_TELEGRAF_OUTPUTS = {
    "file": """\
[[outputs.file]]
  files = ["{folder}/stored"]
  use_batch_format = true
  data_format = "influx"
""",
    "http": """\
[[outputs.http]]
  url = "{to}"
  metric_batch_size = 1000
  data_format = "influx"
""",
    "kafka": """\
[[outputs.kafka]]
  brokers = ["{to}"]
  topic = "{topic}"
  routing_key = "random"
  required_acks = -1
  metric_batch_size = 1000
  data_format = "influx"
""",
}
_TELEGRAF_INPUTS = {
    "influx-2": """\
[[inputs.influxdb_v2_listener]]
  service_address = "127.0.0.1:{port}"
""",
    "remote-write-1": """\
[[inputs.http_listener_v2]]
  service_address = "tcp://127.0.0.1:{port}"
  paths = ["/api/v1/write"]
  data_format = "prometheusremotewrite"
""",
    "syslog": """\
[[inputs.syslog]]
  server = "tcp4://127.0.0.1:{port}"
  framing = "octet-counting"
""",
}
_COLLECTOR = """\
receivers:
{receiver}
exporters:
  file: {{path: "{folder}/stored"}}
service:
  telemetry: {{metrics: {{level: none}}, logs: {{level: error}}}}
  pipelines:
    {signal}: {{receivers: [{name}], exporters: [file]}}
"""
_COLLECTOR_RECEIVERS = {
    "otlp": (
        "otlp",
        "metrics",
        "  otlp: {{protocols: {{http: {{endpoint: '127.0.0.1:{port}'}}}}}}",
    ),
    "syslog": (
        "syslog",
        "logs",
        "  syslog: {{protocol: rfc5424, enable_octet_counting: true,"
        " tcp: {{listen_address: '127.0.0.1:{port}'}}}}",
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Peer:
    """Attributes:
    command: arguments behind the program; writes its configuration into the folder.
    stored: messages in the store so far.
    """

    command: Callable[[str, Path, int], list[str]]
    stored: Callable[[str, Path, int], int]


def _telegraf(way: str, folder: Path, port: int) -> list[str]:
    return _telegraf_to(way, folder, port, "file")


def _telegraf_to(way: str, folder: Path, port: int, output: str, **at: str) -> list[str]:
    text = _TELEGRAF + _TELEGRAF_OUTPUTS[output] + _TELEGRAF_INPUTS[way]
    (folder / "config").write_text(text.format(folder=folder, port=port, **at))
    return ["--config", str(folder / "config")]


def _collector(way: str, folder: Path, port: int) -> list[str]:
    name, signal, receiver = _COLLECTOR_RECEIVERS[way]
    made = receiver.format(port=port)
    text = _COLLECTOR.format(folder=folder, receiver=made, signal=signal, name=name)
    (folder / "config").write_text(text)
    return ["--config", f"file:{folder}/config"]


def _victoria(_: str, folder: Path, port: int) -> list[str]:
    return [f"-storageDataPath={folder}/data", f"-httpListenAddr=127.0.0.1:{port}"]


def _counting(*marks: bytes) -> Callable[[str, Path, int], int]:
    """Counts what stands once in the file for each message."""

    def stored(_: str, folder: Path, port: int) -> int:
        path = folder / "stored"
        data = path.read_bytes() if path.exists() else b""
        return sum(map(data.count, marks))

    return stored


def _queried(way: str, _: Path, port: int) -> int:
    name = "temperature" if way.startswith("remote") else "plant_temperature"
    query = f"sum(count_over_time({name}[1h]))"
    address = f"http://127.0.0.1:{port}/api/v1/query?query={query}&nocache=1"
    with urlopen(address, timeout=30) as answer:
        result = json.load(answer)["data"]["result"]
    return int(result[0]["value"][1]) if result else 0


@contextmanager
def _relayed(to: str, way: str) -> Iterator[Peer]:
    """Telegraf with another output, and what that has taken."""
    if to == "http":
        with counting() as (port, taken):
            at = {"to": f"http://127.0.0.1:{port}/hook"}
            yield Peer(lambda *where: _telegraf_to(*where, to, **at), lambda *_: taken())
        return
    from confluent_kafka import Consumer, TopicPartition
    from confluent_kafka.admin import AdminClient, NewTopic
    from tests.servers import kafka

    with kafka.found() as broker:
        topic = kafka.new_topic("telegraf")
        admin = AdminClient({"bootstrap.servers": broker.address})
        admin.create_topics([NewTopic(topic, 1)])[topic].result()
        consumer = Consumer({"bootstrap.servers": broker.address, "group.id": "bench"})
        at = {"to": broker.address, "topic": topic}

        def taken() -> int:
            try:
                return int(consumer.get_watermark_offsets(TopicPartition(topic, 0), 10)[1])
            except KafkaException:
                return 0  # it is made by the first message

        yield Peer(lambda *where: _telegraf_to(*where, to, **at), lambda *_: taken())
        consumer.close()


PEERS = {
    "telegraf": Peer(_telegraf, _counting(b"\n")),
    "otelcol": Peer(_collector, _counting(b'"asDouble"', b'"observedTimeUnixNano"')),
    "victoria-metrics": Peer(_victoria, _queried),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("way")
    parser.add_argument("program")
    parser.add_argument("--messages", type=int, default=500_000)
    parser.add_argument("--to", choices=_TELEGRAF_OUTPUTS, default="file")
    given = parser.parse_args()
    port = free_port()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-ways-")))
        peer = PEERS[given.peer]
        if given.to != "file":
            peer = stack.enter_context(_relayed(given.to, given.way))
        command = [given.program, *peer.command(given.way, folder, port)]
        with (
            (folder / "log").open("wb") as log,
            subprocess.Popen(command, stdout=log, stderr=log) as process,
        ):
            try:
                _wait(port)
                measured = psutil.Process(process.pid)
                before = _cpu(measured)
                sent = _send(given.way, port, given.messages)
                _all_there(lambda: peer.stored(given.way, folder, port), given.messages)
                seconds = time.monotonic() - sent.began
                cpu, memory = _cpu(measured) - before, measured.memory_info().rss
            finally:
                process.terminate()
    Report(
        f"{given.peer}-{given.way}-{given.to}",
        f"{given.peer}, 4 connections, {given.way}, to {given.to}",
        f"python -m bench.peers.ways {given.peer} {given.way} PROGRAM --to {given.to}",
        {
            "messages": given.messages,
            "acknowledged msg/s": given.messages / sent.seconds,
            "stored msg/s": given.messages / seconds,
            "peer CPU µs/msg": cpu / given.messages * 1e6,
            "generator CPU µs/msg": sent.cpu / given.messages * 1e6,
            "RSS MiB": memory / 2**20,
        },
    ).show()


def _send(way: str, port: int, messages: int) -> Measured:
    if way == "syslog":
        measured: Measured = apart(stream, way, port, messages)
        return measured
    return posts.run(Posts(Load(port, "x", messages), 1000, way))


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _wait(port: int) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 2).close()
        except OSError:
            assert time.monotonic() < until, "it did not start"
            time.sleep(0.1)
        else:
            return


def _all_there(stored: Callable[[], int], messages: int) -> None:
    until = time.monotonic() + 60
    while (found := stored()) != messages:
        assert time.monotonic() < until, f"{found} of {messages}"
        time.sleep(0.5)


if __name__ == "__main__":
    main()
