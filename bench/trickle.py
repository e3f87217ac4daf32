"""What few messages cost a machine: 20 devices, 35 messages a second, for as long as you like.

    python -m bench.trickle [--minutes 4]

Two servers at a time, each with devices of its own: one as it comes, one set up as
docs/howto/small-machines.md says. The first minute is not measured. Bytes to the disk are those of
/proc/PID/io, blocks that the process had written; a file system's own journal is not among them.
Inodes are counted each second.
"""

import argparse
import os
import re
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any

from tests.server import Server

from bench import load as generator
from bench.content import expected, verify
from bench.load import Load
from bench.report import Figures, Report, Usage, at_most
from bench.trial import MINUTES, NOW

_DEVICES = 20
_RATE = 35  # messages a second of all devices
_WARM = 60  # seconds before anything is measured
_DAY = {"name": "day", "keep": "window", "for": "24h"}
_TABLES = {"day": "window", "minutes": "aggregate"}
_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Setup:
    """How one of the servers is set up.

    Attributes:
        settings: of the server, as environment settings.
    """

    name: str
    policies: Sequence[Mapping[str, Any]]
    settings: Mapping[str, str] = field(default_factory=dict)


_SETUPS = (
    Setup("as it comes", (NOW, MINUTES, _DAY)),
    Setup(
        "small machine",
        (NOW | {"every": "1m"}, MINUTES | {"buffer": "1m"}, _DAY | {"buffer": "1m"}),
        {"JOURNAL__COMMIT_DELAY": "100ms", "SERIES__MEMORY": "256MiB"},
    ),
)


class Counters:
    """What a server has done and written since this was made."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._usage = Usage(server.pid)
        self._before = self._now()

    def _now(self) -> tuple[int, int, int]:
        io = Path(f"/proc/{self._server.pid}/io").read_text()
        return _number(io, "\nwrite_bytes"), *_appended(self._server)

    def figures(self) -> Figures:
        written, messages, appends = (
            now - before for now, before in zip(self._now(), self._before, strict=True)
        )
        return {
            "bytes to the disk/msg": written / messages,
            "GB a day": written / messages * _RATE * 86_400 / 1e9,
            "messages to a commit": messages / appends,
            "server CPU µs/msg": self._usage.cpu / messages * 1e6,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=4)
    minutes = parser.parse_args().minutes
    with ThreadPoolExecutor(len(_SETUPS)) as pool:
        found = list(pool.map(lambda setup: _measure(setup, minutes), _SETUPS))
    figures = {
        f"{setup.name}: {name}": figure
        for setup, figures in zip(_SETUPS, found, strict=True)
        for name, figure in figures.items()
    }
    Report(
        "trickle",
        f"{_DEVICES} devices, {_RATE} msg/s in all at moments of their own, {minutes:g} minutes",
        "python -m bench.trickle",
        figures,
        [at_most("small machine: bytes to the disk/msg", 1500)],
    ).show()


def _measure(setup: Setup, minutes: float) -> Figures:
    seconds = _WARM + minutes * 60
    with tempfile.TemporaryDirectory(prefix="lakebed-bench-") as folder:
        home = Path(folder)
        with Server(home, setup.settings) as server:
            for policy in setup.policies:
                server.put_policy(**policy, topics=["plant/#"], type="number")
            load = Load(
                server.mqtt_port, server.token, round(seconds * _RATE), _DEVICES,
                topics=_DEVICES, rate=_RATE, regular=False,
            )  # fmt: skip
            sender = threading.Thread(target=generator.run, args=(load,))
            began = time.monotonic()
            sender.start()
            time.sleep(_WARM)
            first, counters = _memory(server), Counters(server)
            inodes = []
            while (left := began + seconds - time.monotonic()) > 0:
                inodes.append(count_inodes(home))
                time.sleep(min(1, left))
            figures = counters.figures()
            last = _memory(server)
            sender.join()
            flow = server.settle(lambda flow: flow["received"] >= load.messages)
            assert flow["kept"] == load.messages, flow
        verify(home, expected(load), _TABLES, without="")
    return {
        **figures,
        "inodes of the home, mean": mean(inodes),
        "inodes of the home, most": max(inodes),
        "RSS after a minute MiB": first["RSS"],
        "RSS at the end MiB": last["RSS"],
        "of it code and files MiB": last["code"],
        "of it chDB MiB": last["engine"],
        "of it caches of chDB MiB": last["caches"],
    }


def _memory(server: Server) -> Figures:
    status = Path(f"/proc/{server.pid}/status").read_text()
    engine = server.get("/readyz")["parts"]["series"]
    return {
        "RSS": _number(status, "VmRSS") / 1024,
        "code": _number(status, "RssFile") / 1024,
        "engine": engine["memory"] / _MIB,
        "caches": engine["caches"] / _MIB,
    }


def count_inodes(folder: Path) -> int:
    """Files and folders below, and itself; those that vanish meanwhile are left out."""
    return 1 + sum(len(folders) + len(files) for _, folders, files in os.walk(folder))


def _appended(server: Server) -> tuple[int, int]:
    """Messages and batches that became durable."""
    intake = server.get("/readyz")["parts"]["intake"]
    return intake["accepted"], intake["batches"]


def _number(text: str, name: str) -> int:
    found = re.search(rf"{name}:\s+(\d+)", text)
    assert found is not None, f"{name} is not in {text}"
    return int(found[1])


if __name__ == "__main__":
    main()
