"""The firehose with 1, 3 and 10 policies on every topic: what a policy costs.

python -m bench.many_policies [--policies 1 3 10] [--messages 1000000]
"""

import argparse
from collections.abc import Mapping
from typing import Any

from tests.server import Server

from bench.load import Load
from bench.report import Figures, Report, at_most
from bench.trial import HOUR, MINUTES, NOW, Trial

_MIX = (HOUR, MINUTES, NOW)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--policies", type=int, nargs="+", default=[1, 3, 10])
    given = parser.parse_args()

    def load(server: Server) -> Load:
        return Load(server.mqtt_port, server.token, given.messages)

    figures: Figures = {"messages": given.messages}
    for count in given.policies:
        found = Trial(load, _policies(count)).run()
        for name in ("stored msg/s", "server CPU µs/msg", "lag p99 ms", "peak RSS MiB"):
            figures[f"{count} policies: {name}"] = found[name]
    fewest, most = given.policies[0], given.policies[-1]
    cost = "server CPU µs/msg"
    ratio = figures[f"{most} policies: {cost}"] / figures[f"{fewest} policies: {cost}"]
    figures["CPU/msg, most to fewest policies"] = ratio
    Report(
        "many-policies",
        f"the firehose at QoS 1 with {', '.join(map(str, given.policies))} policies on every topic",
        "python -m bench.many_policies",
        figures,
        [at_most("CPU/msg, most to fewest policies", most / fewest)],
    ).show()


def _policies(count: int) -> list[Mapping[str, Any]]:
    """A mix in which windows, aggregates and last values are equally many; windows come first."""
    return [
        {**_MIX[i % len(_MIX)], "name": f"{_MIX[i % len(_MIX)]['name']}-{i}"} for i in range(count)
    ]


if __name__ == "__main__":
    main()
