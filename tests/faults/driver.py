"""Runs one story again and again in forks of this process; each time a later operation fails.

    python -m tests.faults.driver STORY FAULT FOLDER      (with the shim preloaded)

For each n one line of JSON: what failed, what the story told, and what is wrong, if anything. It
ends with the first run in which nothing was left to fail.
"""

import gc
import importlib
import json
import os
import shutil
import sys
import traceback
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import structlog

from tests.faults.shim import FAULTS, Shim

Tell = Callable[..., None]


def forked(work: Callable[[Tell], None]) -> list[list[Any]]:
    """Run it in a fork; returns what it told, whatever became of it."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)

        def tell(*event: Any) -> None:
            os.write(writing, json.dumps(event).encode() + b"\n")

        try:
            work(tell)
        except BaseException:
            tell("crashed", traceback.format_exc())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        told = [json.loads(line) for line in pipe]
    os.waitpid(child, 0)
    return told


def attack(story: Any, shim: Shim, folder: Path, fault: str, n: int) -> dict[str, Any]:
    def under_fault(tell: Tell) -> None:
        shim.arm(folder, FAULTS[fault], n)
        try:
            story.live(folder, tell)
        finally:
            tell("fired", shim.fired())

    told = forked(under_fault)
    seen = forked(lambda tell: story.survey(folder, told, tell))
    wrong = [event[1] for event in (*told, *seen) if event[0] in ("crashed", "wrong")]
    (fired,) = (event[1] for event in told if event[0] == "fired")
    left = [event[1] for event in told if event[0] == "left"]
    return {"n": n, "fired": fired, "left": left, "wrong": wrong}


def main() -> None:
    # of the stories this one alone: the less is imported, the less each fork costs
    story = importlib.import_module(f"tests.faults.{sys.argv[1]}")
    fault, base = sys.argv[2], Path(sys.argv[3])
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    shim = Shim()
    story.prepare(base / "template")  # here, so that what it imports is there in all forks
    gc.collect()
    gc.freeze()  # else a collection in a fork would copy all of this process's memory
    for n in count(1):
        folder = base / str(n)
        shutil.copytree(base / "template", folder)
        report = attack(story, shim, folder, fault, n)
        print(json.dumps(report), flush=True)
        shutil.rmtree(folder)
        if not report["fired"]:
            return


if __name__ == "__main__":
    main()
