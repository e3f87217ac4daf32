"""The firehose over ever more topics: what a series costs beside what a message costs.

python -m bench.many_series [--topics 100 10000 100000] [--messages 2000000]
"""

import argparse
from collections.abc import Callable
from functools import partial

from tests.server import Server

from bench.load import Load
from bench.report import Figures, Report, at_least, at_most
from bench.trial import Trial


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--messages", type=int, default=2_000_000)
    parser.add_argument("--topics", type=int, nargs="+", default=[100, 10_000, 100_000])
    given = parser.parse_args()
    figures: Figures = {"messages": given.messages}
    for topics in given.topics:
        found = Trial(partial(_load, given.messages, topics), beside=_rows).run()
        threads = [name for name in found if name.startswith("of it")]
        shown = ("stored msg/s", "server CPU µs/msg", *threads, "lag p99 ms", "peak RSS MiB")
        for name in (*shown, "rows written/msg"):
            figures[f"{topics:,} topics: {name}"] = found[name]
        for name in ("journal bytes/msg", "series bytes/msg"):
            figures[f"{topics:,} topics: {name}"] = found[name]
    few, many = (
        f"{topics:,} topics: stored msg/s" for topics in (given.topics[0], given.topics[-1])
    )
    figures["throughput, most to fewest topics"] = figures[many] / figures[few]
    Report(
        "many-series",
        "the firehose at QoS 1 over ever more topics, three policies on each",
        "python -m bench.many_series",
        figures,
        [
            at_least("throughput, most to fewest topics", 0.6),
            at_most(f"{given.topics[-1]:,} topics: peak RSS MiB", 1536),
        ],
    ).show()


def _rows(server: Server) -> Callable[[], Figures]:
    """What the keeper has written of the load, probes included."""

    def tell() -> Figures:
        parts = server.get("/readyz")["parts"]
        rows, messages = parts["keeper"]["rows_written"], parts["intake"]["accepted"]
        return {"rows written/msg": rows / messages}

    return tell


def _load(messages: int, topics: int, server: Server) -> Load:
    return Load(server.mqtt_port, server.token, messages, topics=topics)


if __name__ == "__main__":
    main()
