"""What a run of the tests costs: `pytest --cpu` prints CPU seconds by folder and by test.

    a worker:         each test ──> what the process, its children and forked programs have used
                        └── with the report of its teardown ──> the process that started them
    that process:     adds up, and what its children still running have used: the shared servers

CPU says more than time where others use the machine, and of tests that wait.
"""

import resource
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psutil
import pytest
from xdist.workermanage import WorkerController

from tests.processes import forked

_PROPERTY = "cpu"
_LONGEST = 25  # tests
_COLLECTING = "collecting"
_SHARED = "shared servers"


def used() -> float:
    """CPU seconds of this process, of its children that have ended, and of programs that were
    forked for it and have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime + sum(forked.SPENT)


def _of_children() -> float:
    """CPU seconds of what this process has started, directly or not, and still runs."""
    seconds = 0.0
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            seconds += times.user + times.system
    return seconds


class Worker:
    """Notes what each test takes."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._before = 0.0

    @pytest.hookimpl
    def pytest_collection_finish(self) -> None:
        self._before = used()
        if hasattr(self._config, "workeroutput"):
            self._config.workeroutput[_COLLECTING] = self._before

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Iterator[None]:
        yield
        now = used()
        item.user_properties.append((_PROPERTY, now - self._before))
        self._before = now


class Table:
    """Adds up what workers have noted, and prints it."""

    def __init__(self) -> None:
        self._tests: Counter[str] = Counter()
        self._collecting = 0.0
        self._began = time.monotonic()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "teardown":
            self._tests[report.nodeid] += dict(report.user_properties).get(_PROPERTY, 0.0)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: WorkerController) -> None:
        self._collecting += node.workeroutput.get(_COLLECTING, 0.0)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        folders = Counter({_COLLECTING: self._collecting, _SHARED: _of_children()})
        for test, seconds in self._tests.items():
            folders["/".join(test.partition("::")[0].split("/")[:2])] += seconds
        terminalreporter.section("CPU seconds")
        for name, seconds in folders.most_common():
            terminalreporter.write_line(f"{seconds:7.1f} {name}")
        wall = time.monotonic() - self._began
        terminalreporter.write_line(f"{folders.total():7.1f} in {wall:.0f} s")
        for name, seconds in self._tests.most_common(_LONGEST):
            terminalreporter.write_line(f"{seconds:7.1f} {name}")
