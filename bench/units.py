"""From Mosquitto by a source that finds 10,000 units in its topics, beside one with one owner.

    python -m bench.units [--pairs 3] [--messages 600000] [--rate 30000]

Needs Debian's `mosquitto`. The runs of a pair have the same load, policies and topics, and follow
each other; what is compared is the server's CPU time per message.
"""

import argparse
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path

from tests.server import Server

from bench.load import Load
from bench.peers.broker import Broker
from bench.report import Report, at_most
from bench.trial import Trial
from lakebed.ports.accounts.units import Unit
from lakebed.runtime.settings import load as load_settings
from lakebed.stores.opening import open_catalog

_FILTER = "plant/#"
_SOURCE = """\
[[sources]]
name = "bench"
url = "mqtt://127.0.0.1:{port}"
topics = ["{filter}"]
{topic}
"""
_UNITS = 'topic = "plant/{unit}/temperature"'
_CPU = "server CPU µs/msg"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--messages", type=int, default=600_000)
    parser.add_argument("--rate", type=float, default=30_000)
    parser.add_argument("--units", type=int, default=10_000)
    given = parser.parse_args()
    load = Load(
        0, "none", given.messages, 4, 200, given.units, rate=given.rate, regular=False
    )  # fmt: skip
    pairs = []
    for number in range(given.pairs):
        order = (False, True) if number % 2 else (True, False)
        found = {with_units: run(load, with_units) for with_units in order}
        pairs.append((found[False], found[True]))
        print(f"pair {number + 1}: one owner {pairs[-1][0]:.2f}, units {pairs[-1][1]:.2f} µs/msg")
    owner, units = (statistics.median(column) for column in zip(*pairs, strict=True))
    more = statistics.median(b / a for a, b in pairs)
    Report(
        "units",
        f"{given.units:,} units, {given.rate:,.0f} msg/s through Mosquitto, QoS 1, three policies",
        "python -m bench.units",
        {
            "one owner, CPU µs/msg": owner,
            "units, CPU µs/msg": units,
            "units to one owner": more,
            "spread of pairs": max(b / a for a, b in pairs) - min(b / a for a, b in pairs),
        },
        [at_most("units to one owner", 1.1)],
    ).show()


def run(load: Load, with_units: bool) -> float:
    """The server's CPU time per message, µs."""
    with (
        tempfile.TemporaryDirectory(prefix="lakebed-bench-") as folder,
        Broker(Path(folder)) as broker,
    ):

        def onto(server: Server) -> Load:
            broker.wait_for_subscription(_FILTER)
            return replace(load, port=broker.port)

        config = _SOURCE.format(
            port=broker.port, filter=_FILTER, topic=_UNITS if with_units else ""
        )
        with tempfile.TemporaryDirectory() as catalog:
            url = f"sqlite:{catalog}/catalog.db"
            make_units(url, load.topics)
            trial = Trial(onto, config=config, settings={"CATALOG__URL": url})
            return trial.run()[_CPU]


def make_units(url: str, count: int) -> None:
    """Units that are named like the topics of the load."""
    settings = load_settings(None, {}, {"catalog": {"url": url}})
    catalog = open_catalog(settings)
    try:
        names = [*(f"{number:06d}" for number in range(count)), "probe"]
        catalog.put_units([Unit("", "admin", name) for name in names])
    finally:
        catalog.close()


if __name__ == "__main__":
    main()
