"""Gateway and keeper apart, over Kafka, PostgreSQL and ClickHouse: what a message costs in each.

    python -m bench.roles [--messages 1000000] [--keepers 1 2 3]

Last values are written to PostgreSQL alone, ten thousand at a time. Then one gateway takes the
firehose while no keeper runs, and so many keepers work off what waits in Kafka. All share this
machine, and ClickHouse is chDB behind HTTP, so messages per second say little: CPU per message is
what each role costs wherever it runs.
"""

import argparse
import tempfile
import time
from pathlib import Path

import psutil
from tests.cluster import Cluster, Member, Servers, servers
from tests.server import assert_sum

from bench import load as generator
from bench.load import Load
from bench.report import Figures, Report, Usage, disk_bytes
from bench.trial import POLICIES
from lakebed.ports.catalog.last_values import LastValue
from lakebed.stores.catalog.sql import open_catalog

_TOPICS = 1000
_VALUES, _ROUNDS = 10_000, 10  # last values of one write, and writes
_PATIENCE = 300.0  # seconds that keepers may take


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--keepers", type=int, nargs="+", default=[1, 2, 3])
    given = parser.parse_args()
    figures: Figures = {"messages": given.messages}
    with servers() as on:
        figures |= _last_values(on)
        for count in given.keepers:
            found = _trial(on, given.messages, count)
            if count == given.keepers[0]:
                figures |= {name: value for name, value in found.items() if "gateway" in name}
            figures |= {
                f"{count} keepers: {name}": value
                for name, value in found.items()
                if "gateway" not in name
            }
    Report(
        "roles",
        f"4 connections, 200 in flight, QoS 1, {_TOPICS:,} topics, three policies on each; then "
        "keepers alone",
        "python -m bench.roles",
        figures,
        [],
    ).show()


def _trial(on: Servers, messages: int, count: int) -> Figures:
    with tempfile.TemporaryDirectory(prefix="lakebed-bench-") as folder:
        cluster = Cluster(Path(folder), on)
        try:
            return _measure(cluster, on, messages, count)
        finally:
            cluster.close()


def _measure(cluster: Cluster, on: Servers, messages: int, count: int) -> Figures:
    gateway, api, *keepers = cluster.start("gateway", "api", *["keeper"] * count)
    for policy in POLICIES:
        api.put_policy(**policy, topics=["plant/#"], type="number")
    sent = _until_policies_hold(gateway, api)
    for keeper in keepers:
        keeper.stop()

    usage, broker, before = Usage(gateway.pid), Usage(on.kafka.pid), disk_bytes(on.kafka.folder)
    measured = generator.run(Load(gateway.mqtt_port, gateway.token, messages, topics=_TOPICS))
    figures: Figures = {
        "gateway acknowledged msg/s": messages / measured.seconds,
        "gateway CPU µs/msg": usage.cpu / messages * 1e6,
        "gateway's Kafka CPU µs/msg": broker.cpu / messages * 1e6,
        "gateway's Kafka bytes/msg": (disk_bytes(on.kafka.folder) - before) / messages,
        "gateway peak RSS MiB": usage.peak_mib,
    }
    began, store, broker = time.monotonic(), Usage(on.clickhouse.pid), Usage(on.kafka.pid)
    catalog = Usage(on.postgres.pid, family=True)
    for keeper in keepers:
        keeper.spawn()
    for keeper in keepers:
        keeper.wait_ready()
    _until_kept(api, sent + messages)
    seconds = time.monotonic() - began
    processes = [psutil.Process(keeper.pid) for keeper in keepers]
    spent = sum(process.cpu_times().user + process.cpu_times().system for process in processes)
    return figures | {
        "msg/s, their start included": messages / seconds,
        "keeper CPU µs/msg, their start included": spent / messages * 1e6,
        "ClickHouse CPU µs/msg": store.cpu / messages * 1e6,
        "Kafka CPU µs/msg": broker.cpu / messages * 1e6,
        "PostgreSQL CPU µs/msg": catalog.cpu / messages * 1e6,
        "peak RSS MiB of one": max(Usage(keeper.pid).peak_mib for keeper in keepers),
    }


def _last_values(on: Servers) -> Figures:
    """Rows of last values written in bulk, each for the second time and later."""
    catalog = open_catalog(on.postgres.create_schema(), Path())
    try:
        for time_us in range(_ROUNDS + 1):
            values = [
                LastValue(
                    "admin", "now", f"plant/{i:06d}/celsius", "number", time_us, 21.5, 5, 0, i
                )
                for i in range(_VALUES)
            ]
            if time_us == 1:
                server, own = Usage(on.postgres.pid, family=True), time.process_time()
            catalog.upsert_last(values)
        rows = _ROUNDS * _VALUES
        return {
            "PostgreSQL CPU µs/last value": server.cpu / rows * 1e6,
            "keeper CPU µs/last value": (time.process_time() - own) / rows * 1e6,
        }
    finally:
        catalog.close()


def _until_policies_hold(gateway: Member, api: Member) -> int:
    """Send until all keepers follow the policies and know all topics; returns how many it took."""
    sent = 0
    until = time.monotonic() + _PATIENCE
    while True:
        before = api.settle()["kept"]
        generator.run(Load(gateway.mqtt_port, gateway.token, _TOPICS, topics=_TOPICS))
        sent += _TOPICS
        after = api.settle(lambda flow, wanted=sent: flow["received"] >= wanted)
        if after["kept"] - before == _TOPICS:
            return sent
        assert time.monotonic() < until, after


def _until_kept(api: Member, messages: int) -> None:
    until = time.monotonic() + _PATIENCE
    while True:
        flow = api.flow()
        if flow["received"] >= messages and not flow["in_flight"]:
            assert_sum(flow)
            return
        assert time.monotonic() < until, flow
        time.sleep(0.5)


if __name__ == "__main__":
    main()
