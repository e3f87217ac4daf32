"""Single-node VictoriaMetrics, sent the same as `bench.http_batch --form remote-write-1`.

python -m bench.peers.victoria PROGRAM [--messages 500000]

It answers when a request is in memory, and writes to its disk at intervals of its own; Lakebed
answers after fsync, keeps every record, and works out last values and aggregates besides.
"""

import argparse
import json
import subprocess
import tempfile
import time
from urllib.request import urlopen

import psutil
from tests.ports import free_port

from bench import posts
from bench.load import Load
from bench.posts import Posts
from bench.report import Report

_FORM = "remote-write-1"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("program")
    parser.add_argument("--messages", type=int, default=500_000)
    given = parser.parse_args()
    port = free_port()
    address = f"127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(prefix="bench-victoria-") as folder:
        command = [given.program, f"-storageDataPath={folder}", f"-httpListenAddr={address}"]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            try:
                _wait(address)
                measured = psutil.Process(process.pid)
                before = _cpu(measured)
                sent = posts.run(Posts(Load(port, "x", given.messages), 1000, _FORM))
                _all_there(address, given.messages)
                cpu, memory = _cpu(measured) - before, measured.memory_info().rss
            finally:
                process.terminate()
    Report(
        f"victoria-{_FORM}",
        f"VictoriaMetrics, 4 connections, {_FORM} by 1,000",
        "python -m bench.peers.victoria PROGRAM",
        {
            "messages": given.messages,
            "acknowledged msg/s": given.messages / sent.seconds,
            "server CPU µs/msg": cpu / given.messages * 1e6,
            "generator CPU µs/msg": sent.cpu / given.messages * 1e6,
            "RSS MiB": memory / 2**20,
        },
    ).show()


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _wait(address: str) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            with urlopen(f"http://{address}/health", timeout=2):
                return
        except OSError:
            assert time.monotonic() < until, "it did not start"
            time.sleep(0.1)


def _all_there(address: str, messages: int) -> None:
    """Wait until a query counts what was sent."""
    query = "sum(count_over_time(temperature[1h]))"
    until = time.monotonic() + 60
    while True:
        with urlopen(
            f"http://{address}/api/v1/query?query={query}&nocache=1", timeout=30
        ) as answer:
            result = json.load(answer)["data"]["result"]
        found = int(result[0]["value"][1]) if result else 0
        if found == messages:
            return
        assert time.monotonic() < until, f"{found} of {messages}"
        time.sleep(0.5)


if __name__ == "__main__":
    main()
