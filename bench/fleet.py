"""A fleet of careful devices: each waits for its PUBACK before it says the next thing.

python -m bench.fleet [--connections 1000] [--messages 2000000]
"""

import argparse

from tests.server import Server

from bench.load import Load
from bench.report import Report, at_least
from bench.trial import Trial


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--messages", type=int, default=2_000_000)
    parser.add_argument("--connections", type=int, default=1000)
    given = parser.parse_args()

    def load(server: Server) -> Load:
        return Load(
            server.mqtt_port, server.token, given.messages, given.connections, 1, given.connections
        )

    Report(
        "fleet",
        f"{given.connections:,} connections, QoS 1, each waits for its PUBACK, a topic each",
        "python -m bench.fleet",
        Trial(load).run(),
        [at_least("stored msg/s", 35_000)],
    ).show()


if __name__ == "__main__":
    main()
