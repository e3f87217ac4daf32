"""Writes docs/benchmarks.md from the results of the last run: `python -m bench.tables`."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.__main__ import SCENARIOS
from bench.report import RESULTS, shown

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
_FILES = {"firehose": "firehose-qos1", "firehose-qos0": "firehose-qos0"}
_OPENING = """\
# Benchmarks

What counts is what can be read back: every scenario compares the stores with what was sent, message
by message count and sum for each topic, before it shows a figure. The load generator runs on the
same machine and takes its share of it. All policies are in force unless a scenario says otherwise:
the last value every 10 s, aggregates of one minute (min, max, sum, avg), every record for an hour.

Run them yourself, all of them in a quarter of an hour:

```sh
make bench
```

* **stored msg/s**: from the first message sent until the last one is shown by the query API.
* **server CPU**: of the whole process, all threads: endpoint, journal, policies, engine, merges.
* **lag**: from the acknowledgement of a message until a query shows it. A probe sends a message
  every two seconds (http-paced: four a second) and asks ten times a second until it sees it: exact
  to about 0.1 s, and what it costs the server is in its CPU. Windows write at most once per
  `buffer`, 1 s unless a scenario says otherwise.
* **bytes**: journal files as they lie on disk; series in parts that are in use, after the run.
* MISSED goals stay in the table.
"""


def main() -> None:
    results = [_read(name) for name in SCENARIOS]
    found = [result for result in results if result is not None]
    lines = [_OPENING, *_machine(found), *_goals(found)]
    for result in found:
        lines += _scenario(result)
    peers = _read("peers")
    if peers is not None:
        lines += _peers(peers)
    PAGE.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


def _read(name: str) -> Mapping[str, Any] | None:
    path = RESULTS / f"{_FILES.get(name, name)}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def _machine(results: list[Mapping[str, Any]]) -> Iterator[str]:
    machines = {json.dumps(result["machine"]): result["machine"] for result in results}
    for told in machines.values():
        versions = ", ".join(
            f"{name} {told[name]}"
            for name in ("lakebed", "python", "chdb", "sqlite", "numpy", "uvloop")
        )
        yield (
            f"Measured on {told['cores']} cores of {told['cpu']}, {told['memory_gib']:g} GiB, "
            f"Linux {told['kernel']}, with {versions}.\n"
        )


def _goals(results: list[Mapping[str, Any]]) -> Iterator[str]:
    yield "## Goals\n"
    yield "| scenario | figure | goal | found | |"
    yield "|---|---|---|---|---|"
    for result in results:
        for goal in result["goals"]:
            found = shown(result["figures"][goal["figure"]])
            verdict = "met" if goal["met"] else "MISSED"
            row = (result["scenario"], goal["figure"], goal["text"], found, verdict)
            yield f"| {' | '.join(row)} |"
    yield ""


def _scenario(result: Mapping[str, Any]) -> Iterator[str]:
    yield f"## {result['scenario']}\n"
    load = result["load"]
    yield f"{load[0].upper()}{load[1:]}. {result['at'][:10]}, `{result['command']}`\n"
    yield "| | |"
    yield "|---|---|"
    for name, figure in result["figures"].items():
        yield f"| {name} | {shown(figure)} |"
    yield ""


def _peers(result: Mapping[str, Any]) -> Iterator[str]:
    yield "## Beside its peers\n"
    yield (
        f"The same job, broker and generator for each: {result['load']}. How they are built and "
        f"what is compared is in `bench/peers/`. {result['at'][:10]}, `python -m bench.peers.run`\n"
    )
    for part in ("at full speed", "through kill -9"):
        for job in dict.fromkeys(row["job"] for row in result["rows"]):
            rows = [row for row in result["rows"] if row["job"] == job and row[part]]
            if rows:
                yield from _compared(f"{job}, {part}", rows, part)


def _compared(title: str, rows: list[Mapping[str, Any]], part: str) -> Iterator[str]:
    heads = (f"{row['receiver']} {row['version']}" for row in rows)
    yield f"| {title} | {' | '.join(heads)} |"
    yield "|---" * (len(rows) + 1) + "|"
    for name in dict.fromkeys(name for row in rows for name in row[part]):
        found = (shown(row[part][name]) if name in row[part] else "" for row in rows)
        yield f"| {name} | {' | '.join(found)} |"
    yield ""


if __name__ == "__main__":
    main()
