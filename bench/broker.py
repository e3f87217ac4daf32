"""From Mosquitto by the MQTT client, QoS 1 all the way; and what Mosquitto alone can deliver.

    python -m bench.broker [--messages 2000000]

Needs Debian's `mosquitto`. Both runs have the same broker, generator and messages. The plain
subscriber decodes with our codec, acknowledges at once and keeps nothing.
"""

import argparse
import multiprocessing
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from tests.server import Server

from bench import load as generator
from bench import subscriber
from bench.apart import apart
from bench.load import Load
from bench.peers.broker import Broker
from bench.report import Figures, Report, at_least
from bench.trial import Trial

_FILTER = "plant/#"
_SOURCE = """\
[[sources]]
name = "bench"
url = "mqtt://127.0.0.1:{port}"
topics = ["{filter}"]
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--messages", type=int, default=2_000_000)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--in-flight", type=int, default=200)
    given = parser.parse_args()
    load = Load(0, "none", given.messages, given.connections, given.in_flight)
    plain = _plain(load)
    joined = _joined(load)
    alone = "Mosquitto to a plain subscriber msg/s"
    Report(
        "broker",
        f"{given.connections} publishers, {given.in_flight} in flight, through Mosquitto, QoS 1, "
        "1,000 topics, three policies on each",
        "python -m bench.broker",
        joined | plain | {"stored to delivered": joined["stored msg/s"] / plain[alone]},
        [at_least("stored to delivered", 0.95)],
    ).show()


def _plain(load: Load) -> Figures:
    with (
        tempfile.TemporaryDirectory(prefix="lakebed-bench-") as folder,
        Broker(Path(folder)) as broker,
        multiprocessing.get_context("spawn").Manager() as manager,
        ThreadPoolExecutor(1) as pool,
    ):
        time.sleep(0.5)  # until it listens
        told = manager.Queue()
        receiving = pool.submit(
            apart, subscriber.receive, broker.port, _FILTER, load.messages, told
        )
        told.get(timeout=30)
        sent = generator.run(replace(load, port=broker.port))
        last, cpu = receiving.result(timeout=300)
    return {
        "Mosquitto to a plain subscriber msg/s": load.messages / (last - sent.began),
        "plain subscriber CPU µs/msg": cpu / load.messages * 1e6,
    }


def _joined(load: Load) -> Figures:
    with (
        tempfile.TemporaryDirectory(prefix="lakebed-bench-") as folder,
        Broker(Path(folder)) as broker,
    ):

        def onto(server: Server) -> Load:
            broker.wait_for_subscription(_FILTER)
            return replace(load, port=broker.port)

        return Trial(onto, config=_SOURCE.format(port=broker.port, filter=_FILTER)).run()


if __name__ == "__main__":
    main()
