"""In which order, and in which worker, the tests of a run with `-n` are run.

    workers: collect ──> units, written down by one of them
    the process that started them: Longest ── the longest unit first ──> a worker that is free

A unit is a module, so that what its tests share is made once; a slow test that shares nothing with
its module is a unit of its own. `pytest.mark.slow(SECONDS)` says how long a test takes.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

from tests.servers import host

_SLOW, _QUICK = 10.0, 0.1  # seconds of a test that says no more than `slow`, or nothing
_SERVED = 1.5  # of one that says nothing and asks a server in a process of its own
_LONG = 3.0  # seconds


def workers(cores: int) -> int:
    """For `-n auto`: more than cores, because many tests wait most of their time."""
    return 2 * cores


# --- in a worker ----------------------------------------------------------------------------------


def write_units(items: Sequence[pytest.Item]) -> None:
    """Tell the scheduler which tests belong together, and how long they take."""
    units: dict[str, dict[str, Any]] = {}
    for item in items:
        unit = units.setdefault(_unit(item), {"seconds": 0.0, "tests": []})
        unit["seconds"] += _seconds(item)
        unit["tests"].append(item.nodeid)
    path = _path()
    path.with_suffix(".new").write_text(json.dumps(list(units.values())))
    path.with_suffix(".new").rename(path)


def _unit(item: pytest.Item) -> str:
    alone = item.get_closest_marker("slow") is not None and not any(_shared(item))
    return item.nodeid if alone else item.nodeid.partition("::")[0]


def _shared(item: pytest.Item) -> Iterable[bool]:
    """Of each of its fixtures, whether other tests of its module have the same."""
    fixtures: Any = getattr(item, "_fixtureinfo", None)
    for definitions in fixtures.name2fixturedefs.values() if fixtures else ():
        yield definitions[-1].scope in ("module", "package", "class")


def _seconds(item: pytest.Item) -> float:
    mark = item.get_closest_marker("slow")
    if mark is None:
        served = {"acceptance", "browser"} & set(item.path.parts)
        return _SERVED if served else _QUICK
    return float(mark.args[0]) if mark.args else _SLOW


def _path() -> Path:
    return host.folder() / "units.json"


# --- where the workers come from ------------------------------------------------------------------


class Longest(LoadScopeScheduling):  # type: ignore[misc]
    """Hands out units, the longest first.

    A worker must know its next test before it begins one, so what it is given waits for that one.
    While it runs a long one it is given the shortest unit; others begin the long ones at once.
    """

    def schedule(self) -> None:
        if self.collection is None:
            units = json.loads(_path().read_text())
            self._unit_of = {test: unit["tests"][0] for unit in units for test in unit["tests"]}
            self._seconds = {unit["tests"][0]: unit["seconds"] for unit in units}
            self._of_test = {
                test: unit["seconds"] / len(unit["tests"])
                for unit in units
                for test in unit["tests"]
            }
            self.config.option.loadscopereorder = False
        super().schedule()

    def _split_scope(self, nodeid: str) -> str:
        return self._unit_of[nodeid]

    def _reschedule(self, node: WorkerController) -> None:
        if node.shutting_down or not self.workqueue:
            super()._reschedule(node)
        elif self._pending_of(self.assigned_work[node]) < 2:
            self._assign_work_unit(node)

    def _assign_work_unit(self, node: WorkerController) -> None:
        pending = (
            test
            for unit in self.assigned_work[node].values()
            for test, completed in unit.items()
            if not completed
        )
        busy = sum(map(self._of_test.__getitem__, pending)) > _LONG
        choose = min if busy else max
        self.workqueue.move_to_end(choose(self.workqueue, key=self._seconds.__getitem__), False)
        super()._assign_work_unit(node)
