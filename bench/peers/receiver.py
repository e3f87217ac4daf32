"""What every receiver in the comparison can do, and what is asked of its store."""

import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import psutil
from numpy.typing import NDArray

TOPICS = "plant/#"
WARM = "plant/warm"  # what is sent before anything is measured, and not compared
_STOP = 30.0  # seconds a receiver may take to end in good order
_SAMPLE = 0.05  # seconds between two looks at a process


@dataclass(frozen=True, slots=True)
class Job:
    """What a receiver does with what it receives.

    Attributes:
        period: length of the aligned windows of min, max, sum, avg and count per topic, seconds;
            0 for none: then it stores only the messages as they came.
    """

    period: int

    @property
    def name(self) -> str:
        return f"messages and aggregates of {self.period} s" if self.period else "messages only"


@dataclass(frozen=True, slots=True)
class Stored:
    """What is in the store of a receiver that has stopped.

    Attributes:
        messages: int64[rows], one number for each topic and value: see `number()`.
        counted: the messages in all aggregates together.
        cents: the sum of the sums of all aggregates, in hundredths.
    """

    messages: NDArray[np.int64]
    counted: int
    cents: int


class Receiver(Protocol):
    """One system under comparison; `start` after `stop` or `kill` continues with the same store."""

    name: str

    def version(self) -> str: ...

    def start(self) -> None:
        """Returns when its process runs; it may still have to subscribe."""

    @property
    def pid(self) -> int: ...

    def seen(self) -> int:
        """Messages in the store so far; cheap, may be behind."""

    def stop(self) -> None:
        """SIGTERM, and wait."""

    def kill(self) -> None:
        """SIGKILL."""

    def stored(self) -> Stored:
        """All of it; only after `stop`."""


class Gathering:
    """Takes what a store holds, row by row; leaves out what was sent to warm up."""

    def __init__(self) -> None:
        self._messages: list[int] = []
        self._counted = self._cents = 0

    def message(self, topic: str, value: float) -> None:
        if not topic.startswith(WARM):
            self._messages.append(number(topic, to_cents(value)))

    def aggregate(self, topic: str, count: float, total: float) -> None:
        if not topic.startswith(WARM):
            self._counted += round(count)
            self._cents += to_cents(total)

    def stored(self) -> Stored:
        return Stored(np.array(self._messages, np.int64), self._counted, self._cents)


def number(topic: str, cents: int) -> int:
    """`plant/000017/temperature` with 20.55 -> 17_000_000 + 2055: distinct for every message."""
    return int(topic.split("/")[1]) * 1_000_000 + cents


def to_cents(value: float) -> int:
    return round(value * 100)


class Program:
    """A peer's process with a folder of its own; what it prints goes to `output.log` there."""

    def __init__(self, folder: Path, command: Sequence[str]) -> None:
        self.folder = folder
        self._command = [shutil.which(command[0]) or command[0], *command[1:]]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.folder / "output.log").open("ab") as output:
            self._process = subprocess.Popen(
                self._command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=output,
                stderr=output, env=os.environ | self.environment(),
            )  # fmt: skip

    def environment(self) -> dict[str, str]:
        return {}

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def stop(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()


def fill(name: str, target: Path, **values: object) -> None:
    """Write the configuration `name` of this folder to `target`; `@{key}` stands for a value."""
    text = (Path(__file__).parent / name).read_text()
    target.write_text(re.sub(r"@\{(\w+)\}", lambda found: str(values[found[1]]), text))


class Lines:
    """Counts lines with a mark in a file that grows."""

    def __init__(self, path: Path, mark: bytes = b"") -> None:
        self._path, self._mark = path, mark
        self._at = self.count = 0

    def look(self) -> int:
        if not self._path.exists():
            return 0
        with self._path.open("rb") as file:
            file.seek(self._at)
            while chunk := file.read(2**22):
                whole = chunk.rfind(b"\n") + 1
                if not whole:
                    break
                lines = chunk[:whole]
                self.count += lines.count(self._mark) if self._mark else lines.count(b"\n")
                self._at += whole
                file.seek(self._at)
        return self.count


class Meter:
    """Follows the CPU time and memory of a process and its children until it has ended."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._began = self._cpu()
        self.cpu = 0.0
        self.peak_mib = 0.0
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._ended = threading.Event()
        self._thread.start()

    def finish(self) -> None:
        self._ended.set()
        self._thread.join()

    def _family(self) -> list[psutil.Process]:
        return [self._process, *self._process.children(recursive=True)]

    def _cpu(self) -> float:
        times = [process.cpu_times() for process in self._family()]
        return sum(time.user + time.system for time in times)

    def _follow(self) -> None:
        while not self._ended.wait(_SAMPLE):
            try:
                self.cpu = max(self.cpu, self._cpu() - self._began)
                memory = sum(process.memory_info().rss for process in self._family())
            except psutil.Error:
                continue  # it, or a child of it, has just ended
            self.peak_mib = max(self.peak_mib, memory / 2**20)
