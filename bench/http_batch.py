"""NDJSON or line protocol over HTTP, a thousand lines to a request; answered only after fsync.

python -m bench.http_batch [--influx] [--messages 3000000]
"""

import argparse

from tests.server import Server

from bench import posts
from bench.load import Load, Measured
from bench.posts import Posts
from bench.report import Report, at_least
from bench.trial import Trial


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--messages", type=int, default=3_000_000)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--lines", type=int, default=1000)
    parser.add_argument("--influx", action="store_true", help="InfluxDB's line protocol")
    given = parser.parse_args()

    def load(server: Server) -> Load:
        return Load(server.http_port, server.token, given.messages, given.connections)

    def send(load: Load) -> Measured:
        return posts.run(Posts(load, given.lines, given.influx))

    Report(
        "http-batch" + "-influx" * given.influx,
        f"{given.connections} connections, {'line protocol' if given.influx else 'NDJSON'} of "
        f"{given.lines:,} lines, three policies",
        "python -m bench.http_batch" + " --influx" * given.influx,
        Trial(load, send=send).run(),
        [] if given.influx else [at_least("stored msg/s", 200_000)],
    ).show()


if __name__ == "__main__":
    main()
