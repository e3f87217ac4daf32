"""What a scenario found, as a table for people and JSON for machines."""

import json
import platform
import sqlite3
import time
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

RESULTS = Path(__file__).parent / "results"


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
    """One scenario's figures, in the order in which they are shown."""

    scenario: str
    figures: dict[str, Any]
    machine: dict[str, Any] = field(default_factory=machine)
    at: str = field(default_factory=lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))

    def show(self) -> None:
        print(f"\n{self.scenario}")
        for name, figure in self.figures.items():
            shown = f"{figure:,.2f}" if isinstance(figure, float) else f"{figure:,}"
            print(f"  {name:32} {shown:>16}")
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{self.scenario}.json").write_text(json.dumps(asdict(self), indent=2) + "\n")


class Usage:
    """CPU seconds and peak memory of a process, from the operating system."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._start = self._cpu()

    def _cpu(self) -> float:
        times = self._process.cpu_times()
        return times.user + times.system

    @property
    def cpu(self) -> float:
        """CPU seconds since this was made."""
        return self._cpu() - self._start

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
