"""Every write, fsync, truncation, rename and removal of journal and catalog fails once.

A layer between the program and libc (`shim.c`) lets the n-th operation fail, for n = 1, 2, 3 …
until a run has no n-th. The stories say what must hold whichever it was.
"""

import errno
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.faults import shim as layer
from tests.faults.shim import FAULTS, SYNC, WRITE, Fault
from tests.nightly import NIGHTLY
from tests.preload import build
from tests.server import Server

pytestmark = [pytest.mark.slow(20), pytest.mark.timeout(900)]

ALWAYS = [
    *(("journal", fault) for fault in ("EIO", "ENOSPC for a while", "half written, then ENOSPC")),
    *((story, "EIO") for story in ("salvage", "checkpoints")),
    *((story, "half written, then ENOSPC") for story in ("salvage", "checkpoints")),
]
REST = [
    (story, fault) for story in ("journal", "salvage", "checkpoints") for fault in FAULTS
    if (story, fault) not in ALWAYS
]  # fmt: skip
COUNTED = {"journal": 100, "salvage": 50, "checkpoints": 30}
"""Operations that fail at least, so that a layer that sees nothing does not pass."""


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(Path(__file__).with_name("shim.c"), tmp_path_factory.mktemp("shim"))


@pytest.mark.parametrize(("story", "fault"), ALWAYS + (REST if NIGHTLY else []))
def test_whichever_operation_fails_nothing_is_lost_and_nothing_is_there_twice(
    story: str, fault: str, shim: Path, tmp_path: Path
) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "tests.faults.driver", story, fault, str(tmp_path)],
        env=layer.environment(shim), capture_output=True, text=True, check=False, timeout=800,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr[-3000:]
    reports = [json.loads(line) for line in found.stdout.splitlines()]
    wrong = [(r["n"], r["fired"], r["wrong"]) for r in reports if r["wrong"]]
    assert not wrong, f"{len(wrong)} of {len(reports)}: {wrong[:3]}"
    assert not reports[-1]["fired"], "it must go on until nothing is left to fail"
    fired = Counter(report["fired"].partition(" ")[0] for report in reports[:-1])
    only_writes = FAULTS[fault].calls == WRITE
    assert fired["pwrite"] >= COUNTED[story] // 2
    assert fired.total() >= COUNTED[story] // (2 if only_writes else 1)


def test_a_salvage_survives_the_failing_of_any_rename(shim: Path, tmp_path: Path) -> None:
    """Kept apart because it was found so: an interrupted salvage lost what it was to save."""
    found = subprocess.run(
        [sys.executable, "-m", "tests.faults.driver", "salvage", "EIO of names", str(tmp_path)],
        env=layer.environment(shim), capture_output=True, text=True, check=True, timeout=800,
    )  # fmt: skip
    reports = [json.loads(line) for line in found.stdout.splitlines()]
    assert [r for r in reports if r["wrong"]] == []
    assert sum(r["fired"].startswith("rename") for r in reports) >= 4


# --- the whole process ----------------------------------------------------------------------------


@pytest.fixture
def start(shim: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator["StartedUnder"]:
    starter = StartedUnder(shim, tmp_path / "home", monkeypatch)
    yield starter
    starter.server.__exit__(None, None, None)


class StartedUnder:
    """Starts the real command so that operations on one file will fail."""

    def __init__(self, shim: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._shim, self._monkeypatch = shim, monkeypatch
        self.server = Server(home)

    def __call__(self, fault: Fault, nth: int) -> Server:
        environment = layer.armed(self._shim, self.server.home / "journal.db-wal", fault, nth)
        with self._monkeypatch.context() as patch:
            for name in ("LD_PRELOAD", *(n for n in environment if n.startswith("FAULT_"))):
                patch.setenv(name, environment[name])
            return self.server.start()


def send(server: Server, number: int) -> int:
    """The status of the answer; 0 where there was none."""
    try:
        return server.request(
            "POST", "/api/v1/messages", params={"topic": "t"}, content=b"%d" % number,
            headers={"X-Message-Id": str(number)},
        ).status_code  # fmt: skip
    except httpx.HTTPError:
        return 0


def received_once(server: Server) -> int:
    flow = server.settle()
    count: int = flow["received"] - flow["duplicates"]
    return count


def test_after_a_failed_fsync_the_process_acknowledges_nothing_and_leaves_saying_so(
    start: StartedUnder,
) -> None:
    server = start(Fault(SYNC, errno.EIO), nth=25)
    answers = [send(server, i) for i in range(60)]
    assert 503 in answers, "the one that waited is told"
    acknowledged = answers.index(next(status for status in answers if status != 202))
    assert acknowledged > 0
    assert 202 not in answers[acknowledged:]
    assert server.wait() == 3
    assert "SQLITE_IOERR_FSYNC" in server.output
    assert "Traceback" not in server.output
    server.start()
    assert [send(server, i) for i in range(60)] == [202] * 60
    assert received_once(server) == 60


def test_a_full_disk_holds_senders_back_until_there_is_room(start: StartedUnder) -> None:
    server = start(Fault(WRITE, errno.ENOSPC, times=40), nth=100)
    answers: list[int] = []
    for number in range(30):
        while (status := send(server, number)) == 503:
            answers.append(status)
        answers.append(status)
    assert answers.count(202) == 30
    assert set(answers) <= {202, 503}
    assert "the journal has no room" in server.output
    assert received_once(server) == 30
    assert server.stop() == 0
