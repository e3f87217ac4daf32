"""Ten thousand topics with policies and open windows, and nothing that arrives.

python -m bench.idle [--topics 10000] [--seconds 30]
"""

import argparse
import tempfile
import time
from pathlib import Path

from tests.server import Server

from bench import load as generator
from bench.load import Load
from bench.report import Report, Usage, at_most
from bench.trial import HOUR, NOW

_SETTLING = 20  # seconds after the last message, for writes and merges
_HOURS = {"name": "hours", "keep": "aggregate", "every": "1h", "functions": ["min", "max", "avg"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--topics", type=int, default=10_000)
    parser.add_argument("--seconds", type=int, default=30)
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="lakebed-bench-") as folder,
        Server(Path(folder)) as server,
    ):
        for policy in (NOW, _HOURS, HOUR):
            server.put_policy(**policy, topics=["plant/#"], type="number")
        time.sleep(2)  # until they are in force
        generator.run(Load(server.mqtt_port, server.token, given.topics, topics=given.topics))
        flow = server.settle(lambda flow: flow["received"] >= given.topics)
        assert flow["kept"] == given.topics, flow
        time.sleep(_SETTLING)
        usage = Usage(server.pid)
        time.sleep(given.seconds)
        share = usage.cpu / given.seconds
        peak = usage.peak_mib
    Report(
        "idle",
        f"{given.topics:,} topics, three policies and an open window on each, nothing arriving",
        "python -m bench.idle",
        {"topics": given.topics, "CPU % of one core": share * 100, "peak RSS MiB": peak},
        [at_most("CPU % of one core", 1)],
    ).show()


if __name__ == "__main__":
    main()
