"""Many messages to a request over HTTP, in each form that is taken; answered only after fsync.

python -m bench.http_batch [--form ndjson] [--messages 3000000]
"""

import argparse

from tests.server import Server

from bench import posts
from bench.forms import FORMS
from bench.load import Load, Measured
from bench.posts import Posts
from bench.report import Report, at_least
from bench.trial import Trial


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--messages", type=int, default=3_000_000)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--lines", type=int, default=1000)
    parser.add_argument("--form", choices=FORMS, default="ndjson")
    given = parser.parse_args()
    plain = given.form == "ndjson"

    def load(server: Server) -> Load:
        return Load(server.http_port, server.token, given.messages, given.connections)

    def send(load: Load) -> Measured:
        return posts.run(Posts(load, given.lines, given.form))

    Report(
        "http-batch" if plain else f"http-{given.form}",
        f"{given.connections} connections, {given.form} by {given.lines:,}, three policies",
        "python -m bench.http_batch" + ("" if plain else f" --form {given.form}"),
        Trial(load, send=send).run(),
        [at_least("stored msg/s", 200_000)] if plain else [],
    ).show()


if __name__ == "__main__":
    main()
