"""What a scenario found, as a table for people and JSON for machines."""

import json
import platform
import sqlite3
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

RESULTS = Path(__file__).parent / "results"
Figures = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Goal:
    """What a figure should be: at least or at most `limit`."""

    figure: str
    limit: float
    most: bool = False

    def met(self, figures: Figures) -> bool:
        found = float(figures[self.figure])
        return found <= self.limit if self.most else found >= self.limit

    def __str__(self) -> str:
        return f"{'≤' if self.most else '≥'} {shown(self.limit)}"


def at_least(figure: str, limit: float) -> Goal:
    return Goal(figure, limit)


def at_most(figure: str, limit: float) -> Goal:
    return Goal(figure, limit, most=True)


def shown(figure: Any) -> str:
    if isinstance(figure, str):
        return figure
    if isinstance(figure, int) or abs(figure) >= 1000:
        return f"{figure:,.0f}"
    return f"{figure:,.2f}" if figure % 1 else f"{figure:.0f}"


def machine() -> dict[str, Any]:
    """Where the figures come from."""
    cpu = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
            break
    return {
        "cpu": cpu,
        "cores": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        **{name: version(name) for name in ("lakebed", "chdb", "numpy", "uvloop")},
    }


@dataclass(slots=True)
class Report:
    """One scenario's figures, in the order in which they are shown.

    Attributes:
        scenario: its name, and that of its file of results.
        load: what was sent, in a few words.
        command: what prints these figures.
    """

    scenario: str
    load: str
    command: str
    figures: Figures
    goals: list[Goal] = field(default_factory=list)
    machine: dict[str, Any] = field(default_factory=machine)
    at: str = field(default_factory=lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))

    def show(self) -> None:
        """Print the table and write `results/SCENARIO.json`."""
        goals: dict[str, list[Goal]] = {}
        for goal in self.goals:
            goals.setdefault(goal.figure, []).append(goal)
        print(f"\n{self.scenario}: {self.load}")
        for name, figure in self.figures.items():
            verdicts = " ".join(
                f"{goal} {'met' if goal.met(self.figures) else 'MISSED'}"
                for goal in goals.get(name, ())
            )
            print(f"  {name:36} {shown(figure):>14}  {verdicts}".rstrip(), flush=True)
        document = asdict(self)
        document["goals"] = [
            asdict(goal) | {"text": str(goal), "met": goal.met(self.figures)} for goal in self.goals
        ]
        RESULTS.mkdir(exist_ok=True)
        text = json.dumps(document, indent=2, ensure_ascii=False)
        (RESULTS / f"{self.scenario}.json").write_text(text + "\n")


def _spent(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return times.user + times.system


_PARTS = {"": "event loop", "journal-writer": "journal", "keeper": "keeper"}
_OTHERS = "engine and others"


class Usage:
    """CPU seconds and memory of a process with all its threads, from the operating system.

    Args:
        family: whether the CPU of the processes that it started counts too.
    """

    def __init__(self, pid: int, family: bool = False) -> None:
        self._process = psutil.Process(pid)
        self._family = family
        self._start = self._cpu()
        self._threads = self._by_thread()

    def _cpu(self) -> float:
        times = self._process.cpu_times()
        own = times.user + times.system
        if not self._family:
            return own
        ended = times.children_user + times.children_system
        return own + ended + sum(map(_spent, self._process.children(recursive=True)))

    @property
    def cpu(self) -> float:
        """CPU seconds since this was made."""
        return self._cpu() - self._start

    def by_thread(self, messages: int) -> Figures:
        """What threads are for: their CPU µs a message, how much of it they spent in the kernel,
        and how long they were ready to run while others had the cores."""
        spent = {part: np.zeros(3) for part in (*_PARTS.values(), _OTHERS)}
        for thread, (name, seconds) in self._by_thread().items():
            part = _PARTS.get("" if thread == self._process.pid else name, _OTHERS)
            spent[part] += seconds - self._threads.get(thread, ("", 0.0))[1]
        known = sum(user + system for part, (user, system, _) in spent.items() if part != _OTHERS)
        figures: Figures = {}
        for part, (user, system, _) in spent.items():
            cpu = self.cpu - known if part == _OTHERS else user + system  # with those that ended
            figures[f"of it {part}"] = float(cpu) / messages * 1e6
        for part, (user, system, waited) in spent.items():
            figures[f"{part}: in the kernel %"] = float(system / max(user + system, 1e-9)) * 100
            figures[f"{part}: waits for a core µs/msg"] = float(waited) / messages * 1e6
        return figures

    def _by_thread(self) -> dict[int, tuple[str, NDArray[np.float64]]]:
        """Of each thread its name, and seconds in user space, in the kernel, and ready to run."""
        found = {}
        for thread in self._process.threads():
            task = Path(f"/proc/{self._process.pid}/task/{thread.id}")
            with suppress(OSError):
                name = (task / "comm").read_text().strip()
                waited = int((task / "schedstat").read_text().split()[1]) / 1e9
                times = thread.user_time, thread.system_time, waited
                found[thread.id] = name, np.array(times)
        return found

    @property
    def rss_mib(self) -> float:
        return self._process.memory_info().rss / 2**20

    @property
    def peak_mib(self) -> float:
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
        return 0.0


def disk_bytes(path: Path) -> int:
    """Bytes that a file or a folder takes on disk."""
    files = [path] if path.is_file() else [f for f in path.rglob("*") if f.is_file()]
    return sum(f.stat().st_blocks * 512 for f in files)
