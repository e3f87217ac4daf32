"""The whole way at full speed: MQTT in, every ack after fsync, three policies on every topic.

python -m bench.firehose [--qos 1] [--websocket] [--messages 3000000]
"""

import argparse

from tests.server import Server

from bench.load import Load
from bench.report import Report, at_least, at_most
from bench.trial import Trial

_GOALS = {
    1: [at_least("stored msg/s", 150_000), at_most("server CPU µs/msg", 5)],
    0: [at_least("stored msg/s", 200_000)],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--messages", type=int, default=3_000_000)
    parser.add_argument("--qos", type=int, choices=(0, 1), default=1)
    parser.add_argument("--topics", type=int, default=1000)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--in-flight", type=int, default=200)
    parser.add_argument("--websocket", action="store_true", help="to /mqtt on the HTTP port")
    given = parser.parse_args()
    flags = f"--qos {given.qos}" + " --websocket" * given.websocket

    def load(server: Server) -> Load:
        return Load(
            server.http_port if given.websocket else server.mqtt_port,
            server.token, given.messages, given.connections,
            given.in_flight, given.topics, given.qos, websocket=given.websocket,
        )  # fmt: skip

    Report(
        f"firehose-qos{given.qos}" + "-websocket" * given.websocket,
        f"{given.connections} connections, {given.in_flight} in flight, QoS {given.qos}, "
        f"{given.topics:,} topics, three policies on each",
        f"python -m bench.firehose {flags}",
        Trial(load).run(),
        [] if given.websocket else _GOALS[given.qos],
    ).show()


if __name__ == "__main__":
    main()
