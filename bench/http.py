"""One POST per message over kept connections; 202 only after fsync.

python -m bench.http [--messages 200000]            # as fast as it goes
python -m bench.http --rate 3500 [--messages 70000] # at a given rate: the lag counts
"""

import argparse

from tests.server import Server

from bench import posts
from bench.load import Load, Measured
from bench.posts import Posts
from bench.report import Report, at_least, at_most
from bench.trial import HOUR, MINUTES, NOW, Trial


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--messages", type=int)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--rate", type=float, default=0)
    given = parser.parse_args()
    messages = given.messages or (int(given.rate * 20) if given.rate else 200_000)

    def load(server: Server) -> Load:
        return Load(server.http_port, server.token, messages, given.connections, rate=given.rate)

    def send(load: Load) -> Measured:
        return posts.run(Posts(load))

    # Who wants to read within a second says so: the buffer of a window is 1 s by default.
    quick = {**HOUR, "buffer": "200ms"}
    every = 0.25 if given.rate else 2.0
    pace = f" at {given.rate:,.0f} a second" if given.rate else ""
    Report(
        "http-paced" if given.rate else "http",
        f"{given.connections} kept connections, one POST per message{pace}, three policies",
        f"python -m bench.http{f' --rate {given.rate:.0f}' if given.rate else ''}",
        Trial(load, (NOW, MINUTES, quick), send=send, probe_every=every).run(),
        [at_least("acknowledged msg/s", 0.99 * given.rate), at_most("lag p99 ms", 1000)]
        if given.rate
        else [at_least("stored msg/s", 15_000)],
    ).show()


if __name__ == "__main__":
    main()
