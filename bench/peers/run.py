"""Lakebed beside its peers: the same job from the same broker and generator, in the same run.

    python -m bench.peers.run [--messages 500000] [--rounds 3] [--period 10] [--only telegraf ...]

How to build the peers is in the README of this folder; their programs are looked for in PATH and
in `--programs`. One that is missing is left out and named.
"""

import argparse
import json
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from bench.load import Load
from bench.peers.ekuiper import EKuiper
from bench.peers.lakebed import Lakebed
from bench.peers.receiver import Job
from bench.peers.redpanda import RedpandaConnect
from bench.peers.telegraf import Telegraf
from bench.peers.trial import Make, at_full_speed, check, through_a_kill
from bench.report import RESULTS, Figures, machine

_RECEIVERS: dict[str, tuple[Make, str]] = {
    "lakebed": (Lakebed, "lakebed"),
    "telegraf": (Telegraf, "telegraf"),
    "redpanda-connect": (RedpandaConnect, "redpanda-connect"),
    "ekuiper": (EKuiper, "kuiperd"),
}
"""Name on the command line -> how it is made, and the program it needs."""


@dataclass(slots=True)
class Row:
    """What one receiver came to in one job: the figures of every round, and their medians."""

    receiver: str
    version: str
    job: str
    speed: list[Figures] = field(default_factory=list)
    kill: list[Figures] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        return {
            "receiver": self.receiver, "version": self.version, "job": self.job,
            "at full speed": medians(self.speed), "through kill -9": medians(self.kill),
            "rounds": {"at full speed": self.speed, "through kill -9": self.kill},
        }  # fmt: skip


def medians(rounds: Sequence[Figures]) -> Figures:
    names = rounds[0] if rounds else ()
    return {name: median(figures[name] for figures in rounds) for name in names}


def main() -> None:
    arguments = _arguments()
    os.environ["PATH"] = os.pathsep.join([*arguments.programs, os.environ["PATH"]])
    names = [name for name in arguments.only if _available(name)]
    jobs = [Job(period) for period in ([0, arguments.period] if arguments.period else [0])]
    load = Load(0, "none", arguments.messages, topics=arguments.topics)
    paced = Load(0, "none", arguments.kill_messages, topics=arguments.topics,
                 rate=arguments.kill_rate)  # fmt: skip
    check(load)
    check(paced)
    rows = {(name, job): _row(name, job) for job in jobs for name in names}
    for number in range(arguments.rounds):
        for (name, job), row in rows.items():
            print(f"round {number + 1}: {row.receiver}, {job.name}", flush=True)
            make = _RECEIVERS[name][0]
            row.speed.append(at_full_speed(make, load, job))
            print(f"  {_short(row.speed[-1])}", flush=True)
            if number < arguments.kill_rounds:
                row.kill.append(through_a_kill(make, paced, job))
                print(f"  after kill -9: {_short(row.kill[-1])}", flush=True)
            _write(list(rows.values()), load, paced)  # a later failure shall not take it away
    _show(list(rows.values()))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--messages", type=int, default=500_000, help="at full speed")
    parser.add_argument("--topics", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--period", type=int, default=10, help="seconds of a window; 0 for none")
    parser.add_argument("--kill-rounds", type=int, default=1, help="rounds with kill -9")
    parser.add_argument("--kill-messages", type=int, default=200_000)
    parser.add_argument("--kill-rate", type=float, default=10_000.0, help="messages a second")
    parser.add_argument("--programs", nargs="*", default=[], metavar="DIR", help="before PATH")
    parser.add_argument("--only", nargs="+", choices=_RECEIVERS, default=list(_RECEIVERS))
    return parser.parse_args()


def _available(name: str) -> bool:
    program = _RECEIVERS[name][1]
    found = name == "lakebed" or shutil.which(program) is not None
    if not found:
        print(f"left out: {name}, there is no program {program}")
    return found


def _row(name: str, job: Job) -> Row:
    with TemporaryDirectory(prefix="lakebed-peers-") as folder:
        receiver = _RECEIVERS[name][0](Path(folder), 0, job)
        return Row(receiver.name, receiver.version(), job.name)


def _show(rows: Sequence[Row]) -> None:
    documents = [row.document() for row in rows]
    for part in ("at full speed", "through kill -9"):
        for job in dict.fromkeys(row.job for row in rows):
            _table(f"{part}, {job}", [d for d in documents if d["job"] == job], part)


def _write(rows: Sequence[Row], load: Load, paced: Load) -> None:
    result = {
        "scenario": "peers",
        "load": f"{load.messages:,} messages at QoS 1 over {load.topics:,} topics; for kill -9 "
        f"{paced.messages:,} at {paced.rate:,.0f}/s",
        "machine": machine(),
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "rows": [row.document() for row in rows],
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "peers.json").write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")


def _table(title: str, documents: Sequence[dict[str, Any]], part: str) -> None:
    documents = [document for document in documents if document[part]]
    if not documents:
        return
    print(f"\n{title}")
    print(" " * 28 + "".join(f"{d['receiver']:>18}" for d in documents))
    print(" " * 28 + "".join(f"{d['version'][:16]:>18}" for d in documents))
    for name in documents[0][part]:
        figures = "".join(f"{d[part][name]:>18,.1f}" for d in documents)
        print(f"  {name:26}{figures}")


def _short(figures: Figures) -> str:
    return ", ".join(f"{name} {figure:,.4g}" for name, figure in figures.items())


if __name__ == "__main__":
    main()
