"""Ten thousand devices that each say something three times a second, for two minutes.

python -m bench.crowd [--connections 10000] [--seconds 120]
"""

import argparse
import threading
import time
from collections.abc import Callable

from tests.server import Server

from bench.apart import raise_file_limit
from bench.load import Load
from bench.report import Figures, Report, Usage, at_least, at_most
from bench.trial import Trial

_EACH = 3  # messages a second of one connection
_SETTLED = 30.0  # seconds after which memory should not grow any more


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--seconds", type=int, default=120)
    given = parser.parse_args()
    rate = given.connections * _EACH
    raise_file_limit()  # the server inherits it

    def load(server: Server) -> Load:
        return Load(
            server.mqtt_port, server.token, rate * given.seconds, given.connections,
            topics=given.connections, rate=rate,
        )  # fmt: skip

    figures = Trial(load, beside=_memory).run()
    Report(
        "crowd",
        f"{given.connections:,} connections, {_EACH} msg/s each, for {given.seconds} s, QoS 1",
        "python -m bench.crowd",
        figures,
        [
            at_least("acknowledged msg/s", 0.99 * rate),
            at_most("ack p99 ms", 50),
            at_most("RSS growth after 30 s %", 10),
        ],
    ).show()


def _memory(server: Server) -> Callable[[], Figures]:
    """Watches the server's memory; called again, it stops and tells."""
    usage, began, stop = Usage(server.pid), time.monotonic(), threading.Event()
    seen: list[tuple[float, float]] = []

    def watch() -> None:
        while not stop.wait(1.0):
            seen.append((time.monotonic() - began, usage.rss_mib))

    threading.Thread(target=watch, daemon=True).start()

    def tell() -> Figures:
        stop.set()
        early = [rss for at, rss in seen if _SETTLED - 5 <= at <= _SETTLED + 5]
        late = [rss for _, rss in seen[-10:]]
        before = sum(early) / len(early) if early else seen[0][1]
        after = sum(late) / len(late)
        return {
            "RSS at 30 s MiB": before,
            "RSS at the end MiB": after,
            "RSS growth after 30 s %": (after / before - 1) * 100,
        }

    return tell


if __name__ == "__main__":
    main()
