"""The whole way at full speed: MQTT in, every ack after fsync, three policies on every topic.

    python -m bench.firehose [--messages 1000000] [--qos 1] [--topics 1000]

Counts rows in the store and compares their content with what was sent.
"""

import argparse
import tempfile
import time
from pathlib import Path

from tests.server import Server

from bench import load as generator
from bench.load import Load
from bench.report import Report, Usage, disk_bytes
from lakebed.series.clickhouse import open_series

_FUNCTIONS = ["min", "max", "sum", "avg"]
POLICIES = (
    {"name": "now", "keep": "last_value", "every": "10s"},
    {"name": "minutes", "keep": "aggregate", "every": "1m", "functions": _FUNCTIONS},
    {"name": "hour", "keep": "window", "for": "1h", "buffer": "1s"},
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--qos", type=int, choices=(0, 1), default=1)
    parser.add_argument("--topics", type=int, default=1000)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--in-flight", type=int, default=200)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lakebed-bench-") as folder:
        firehose(Path(folder), arguments).show()


def firehose(home: Path, arguments: argparse.Namespace) -> Report:
    with Server(home) as server:
        for policy in POLICIES:
            server.put_policy(**policy, topics=["plant/#"], type="number")
        load = Load(
            server.mqtt_port, server.token, arguments.messages, arguments.connections,
            arguments.in_flight, arguments.topics, arguments.qos,
        )  # fmt: skip
        usage = Usage(server.pid)
        sent = generator.run(load)
        flow = server.settle(lambda flow: flow["received"] >= arguments.messages)
        stored = time.monotonic() - sent.began
        cpu, peak = usage.cpu, usage.peak_mib
        journal = disk_bytes(home / "journal.db")
        assert flow["kept"] == arguments.messages, flow
    verify(home, load)
    return Report(
        f"firehose-qos{arguments.qos}-{arguments.topics}",
        {
            "messages": arguments.messages,
            "acknowledged msg/s": arguments.messages / sent.seconds,
            "stored and counted msg/s": arguments.messages / stored,
            "server CPU µs/msg": cpu / arguments.messages * 1e6,
            "generator CPU µs/msg": sent.cpu / arguments.messages * 1e6,
            "ack p50 ms": sent.wait(0.5) * 1e3,
            "ack p99 ms": sent.wait(0.99) * 1e3,
            "peak RSS MiB": peak,
            "journal bytes/msg": journal / arguments.messages,
            "series bytes/msg": disk_bytes(home / "series") / arguments.messages,
        },
    )


def verify(home: Path, load: Load) -> None:
    """Every message is there once, with its value, on its topic; aggregates agree.

    Raises:
        AssertionError: what differs.
    """
    expected: dict[str, tuple[int, int]] = {}
    for i in range(load.messages):
        name = generator.topic(i, load)
        count, cents = expected.get(name, (0, 0))
        expected[name] = (count + 1, cents + round(generator.value(i) * 100))
    series = open_series("chdb:series", home)
    try:
        for table, count in (("window", "count()"), ("aggregate", "sum(count)")):
            total = "sum(number)" if table == "window" else "sum(sum)"
            rows = series.query(
                f"SELECT topic, toInt64({count}) AS n, toInt64(round({total} * 100)) AS cents "
                f"FROM lakebed.{table} FINAL GROUP BY topic",
                {},
            ).to_pylist()
            found = {row["topic"]: (row["n"], row["cents"]) for row in rows}
            assert found == expected, f"{table} differs from what was sent"
    finally:
        series.close()


if __name__ == "__main__":
    main()
