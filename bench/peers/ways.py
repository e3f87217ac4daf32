"""Peers at one way in each, sent the same as `bench.http_batch` and `bench.listeners` send.

    python -m bench.peers.ways PEER WAY PROGRAM [--messages 500000]

| PEER             | WAY                           | PROGRAM |
|------------------|-------------------------------|---------|
| telegraf         | influx-2 remote-write-1 syslog | telegraf |
| otelcol          | otlp syslog                   | OpenTelemetry collector with file exporter |
| victoria-metrics | influx-2 remote-write-1       | victoria-metrics |

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
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import psutil
from tests.ports import free_port

from bench import posts
from bench.apart import apart
from bench.listeners import stream
from bench.load import Load, Measured
from bench.posts import Posts
from bench.report import Report

_TELEGRAF = """\
[agent]
  flush_interval = "1s"
  metric_batch_size = 5000
  metric_buffer_limit = 2000000
  omit_hostname = true
  quiet = true
[[outputs.file]]
  files = ["{folder}/stored"]
  use_batch_format = true
  data_format = "influx"
"""
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
    text = _TELEGRAF + _TELEGRAF_INPUTS[way]
    (folder / "config").write_text(text.format(folder=folder, port=port))
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
    given = parser.parse_args()
    peer, port = PEERS[given.peer], free_port()
    with tempfile.TemporaryDirectory(prefix="bench-ways-") as name:
        folder = Path(name)
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
        f"{given.peer}-{given.way}",
        f"{given.peer}, 4 connections, {given.way}",
        f"python -m bench.peers.ways {given.peer} {given.way} PROGRAM",
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
