"""All benchmarks, one after another: `python -m bench [--quick] [SCENARIO …]`, 15 minutes at most.

Each runs in a process of its own, prints its table and writes its results; `python -m bench.tables`
makes docs/benchmarks.md of them.
"""

import argparse
import subprocess
import sys
import time

SCENARIOS = {
    "firehose": ["--messages", "300000"],
    "firehose-qos0": ["--messages", "300000"],
    "fleet": ["--messages", "30000", "--connections", "200"],
    "crowd": ["--connections", "500", "--seconds", "10"],
    "bare": ["--connections", "500", "--seconds", "2"],
    "broker": ["--messages", "100000"],
    "units": ["--messages", "50000", "--pairs", "1", "--units", "1000"],
    "unit-parts": [],
    "outbox": ["--messages", "50000"],
    "near-limits": [],
    "emqx": ["--seconds", "3", "--units", "200", "--beside", "500"],
    "http": ["--messages", "20000"],
    "http-paced": ["--messages", "10000"],
    "events": ["--rate", "500", "--seconds", "5"],
    "events-relayed": ["--rate", "500", "--seconds", "5"],
    "events-read": ["--events", "200000", "--questions", "5"],
    "relays": ["--messages", "20000", "http", "lakebed", "mqtt", "objects"],
    "http-batch": ["--messages", "300000"],
    "http-influx": ["--messages", "100000"],
    "http-remote-write-1": ["--messages", "100000"],
    "http-remote-write-2": ["--messages", "100000"],
    "http-otlp": ["--messages", "100000"],
    "http-cloudevents": ["--messages", "100000"],
    "syslog": ["--messages", "20000"],
    "syslog-udp": ["--messages", "20000"],
    "gelf": ["--messages", "20000"],
    "sparkplug": ["--messages", "20000"],
    "many-series": ["--messages", "200000"],
    "many-policies": ["--messages", "100000"],
    "queries": ["--rows", "2000000", "--seconds", "10"],
    "points": ["--rows", "1000000", "--questions", "5"],
    "disk": ["--topics", "10"],
    "idle": ["--topics", "1000", "--seconds", "5"],
    "sign-in": ["--units", "1000"],
    "pages": ["--pages", "20", "--rate", "2000", "--pairs", "1", "--seconds", "2"],
    "pages-firehose": ["--pages", "20", "--messages", "100000", "--pairs", "1"],
    "page-ready": ["--rounds", "1", "--records", "2000"],
    "trickle": ["--minutes", "0.5"],
}
"""Each with what makes it quick: enough to see that it works, too little to judge figures by."""

_COMMANDS = {
    "events-relayed": ["bench.events", "--relay"],
    "firehose-qos0": ["bench.firehose", "--qos", "0"],
    "pages-firehose": ["bench.pages", "--firehose"],
    "http-paced": ["bench.http", "--rate", "3500"],
    **{
        f"http-{form}": ["bench.http_batch", "--form", form]
        for form in ("influx", "remote-write-1", "remote-write-2", "otlp", "cloudevents")
    },
    "syslog": ["bench.listeners", "syslog"],
    "syslog-udp": ["bench.listeners", "syslog", "--udp"],
    "gelf": ["bench.listeners", "gelf"],
    "sparkplug": ["bench.listeners", "sparkplug"],
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=", ".join(SCENARIOS))
    parser.add_argument("--quick", action="store_true", help="small loads, to see that all works")
    given = parser.parse_args()
    if unknown := set(given.scenarios) - SCENARIOS.keys():
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    began = time.monotonic()
    failed = [name for name in given.scenarios or SCENARIOS if not _run(name, given.quick)]
    print(f"\n{time.monotonic() - began:,.0f} s; failed: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


def _run(name: str, quick: bool) -> bool:
    module = _COMMANDS.get(name, [f"bench.{name.replace('-', '_')}"])
    command = [sys.executable, "-m", *module, *(SCENARIOS[name] if quick else ())]
    return subprocess.run(command).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
