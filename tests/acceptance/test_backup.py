"""Backups by the real commands, while senders run, and what a restored home answers."""

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import processes
from tests.server import Server, eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

POLICIES: list[dict[str, Any]] = [
    {"name": "all", "topics": ["#"], "type": "number", "keep": "archive"},
    {"name": "day", "topics": ["#"], "type": "number", "keep": "window", "for": "1d"},
    {"name": "ten", "topics": ["#"], "type": "number", "keep": "last_n", "count": 10},
    {"name": "now", "topics": ["#"], "type": "number", "keep": "last_value", "every": "1s"},
    {"name": "slow", "topics": ["#"], "type": "number", "keep": "archive", "buffer": "1h"},
    {
        "name": "hours",
        "topics": ["#"],
        "type": "number",
        "keep": "aggregate",
        "every": "1h",
        "functions": ["count", "sum", "min", "max"],
    },
    {
        "name": "words",
        "topics": ["#"],
        "type": "text",
        "keep": "aggregate",
        "every": "1d",
        "functions": ["count", "unique"],
    },
]
BASE = int(time.time()) - 7200  # event time of message 0
_ANY_PORTS = ("--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0")
TOPICS = ["plant/1", "plant/2", "plant/3"]


def lakebed(*words: str, fails: bool | None = False) -> str:
    """Run a command; its output, or with `fails` what it says on stderr. None: either will do."""
    done = processes.lakebed(*words)
    assert fails is None or (done.returncode != 0) == fails, f"{done.stdout}\n{done.stderr}"
    return done.stderr if fails else done.stdout


class Senders:
    """Threads that send numbered messages with ids, until told to stop; in order per topic."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._stop = threading.Event()
        self.sent: dict[str, int] = dict.fromkeys(TOPICS, 0)
        self._threads = [threading.Thread(target=self._send, args=(t,)) for t in TOPICS]

    def _send(self, topic: str) -> None:
        while not self._stop.is_set():
            first = self.sent[topic]
            try:
                self._server.send_batch(lines(topic, first, first + 20))
            except httpx.HTTPError:  # killed
                return
            self.sent[topic] = first + 20

    def until(self, condition: Callable[[], bool]) -> None:
        for _ in range(600):
            if condition():
                return
            threading.Event().wait(0.05)
        raise AssertionError(f"sent no more than {self.sent}")

    @contextmanager
    def running(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join(60)


def lines(topic: str, first: int, last: int) -> list[dict[str, Any]]:
    """Messages `first` to `last` of a topic: the value is the number, the time grows with it."""
    return [
        {"topic": topic, "value": k, "id": f"{topic}-{k}", "time": BASE + k}
        for k in range(first, last)
    ]


def expected(topic: str, count: int) -> dict[str, Any]:
    """What each policy must say after the first `count` messages of a topic."""
    values = list(range(count))
    return {
        "all": values,
        "day": values,
        "ten": values[-10:],
        "now": values[-1],
        "count": count,
        "sum": sum(values),
        "words": count,
    }


def answers(server: Server, topic: str) -> dict[str, Any]:
    hours = server.records(topic, "hours")
    last = server.get("/api/v1/last", topic=topic)
    return {
        "all": [row["value"] for row in server.records(topic, "all", limit=10_000)],
        "day": [row["value"] for row in server.records(topic, "day", limit=10_000)],
        "ten": [row["value"] for row in server.records(topic, "ten")],
        "now": next(r["value"] for r in _rows(last) if r["policy"] == "now"),
        "count": sum(row["count"] for row in hours),
        "sum": sum(row["sum"] for row in hours),
        "words": sum(row["count"] for row in server.records(topic, "words")),
    }


def _answers_are(server: Server, topic: str, wanted: dict[str, Any]) -> bool:
    return answers(server, topic) == wanted


def _rows(found: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = found if isinstance(found, list) else next(iter(found.values()))
    return rows


def manifest(place: Path) -> dict[str, Any]:
    """The newest manifest."""
    newest = max((place / "manifests").iterdir())
    found: dict[str, Any] = json.loads(newest.read_text())["manifest"]
    return found


def test_a_home_restored_from_a_backup_taken_under_load_answers_as_at_that_moment(
    tmp_path: Path,
) -> None:
    place = tmp_path / "backups"
    with Server(tmp_path / "home") as server:
        server.put_policies(POLICIES)
        senders = Senders(server)
        with senders.running():
            senders.until(lambda: min(senders.sent.values()) >= 200)
            lakebed("backup", str(place), "--home", str(server.home))
            reached = sum(senders.sent.values())
            senders.until(lambda: sum(senders.sent.values()) >= reached + 200)
            server.kill()
    taken = manifest(place)
    lakebed("restore", str(place), "--home", str(tmp_path / "other"))
    with Server(tmp_path / "other") as other:
        flow = other.settle(lambda flow: flow["received"] == taken["position"]["0"])
        assert flow["received"] - flow["duplicates"] == flow["kept"] == taken["messages"]
        counts = {t: len(other.records(t, "all", limit=10_000)) for t in TOPICS}
        assert sum(counts.values()) == flow["kept"]
        assert min(counts.values()) >= 180
        for topic, count in counts.items():
            assert answers(other, topic) == expected(topic, count)
            slow = [row["value"] for row in other.records(topic, "slow", limit=10_000)]
            assert slow == list(range(len(slow)))  # the rest waits for the end of its buffer
        # the senders had no answer of it and send everything again: each counts once
        for topic in TOPICS:
            other.send_batch(lines(topic, 0, senders.sent[topic]))
        total = sum(senders.sent.values())
        flow = other.settle(lambda flow: flow["received"] - flow["duplicates"] == total)
        assert flow["kept"] == total
        for topic in TOPICS:
            eventually(
                lambda topic=topic: answers(other, topic) == expected(topic, senders.sent[topic])
            )


def test_a_backup_writes_again_only_what_has_changed_and_old_ones_leave(tmp_path: Path) -> None:
    place = tmp_path / "backups"
    old = [{"topic": "x", "value": 1, "time": "2025-01-15T00:00:00Z"}]
    with Server(tmp_path / "home") as server:
        server.put_policies(POLICIES[:1])
        server.send_batch(old)
        lakebed("backup", str(place), "--home", str(server.home))
        first = set(place.glob("series/**/*.parquet"))
        assert [path.parent.name for path in first] == ["202501"]
        written = {path: path.stat().st_mtime_ns for path in first}
        server.send("x", "2")
        lakebed("backup", str(place), "--home", str(server.home))
        assert len(list(place.glob("series/**/*.parquet"))) == 2
        assert {path: path.stat().st_mtime_ns for path in first} == written
        server.send("x", "3")
        lakebed("backup", str(place), "--home", str(server.home), "--keep", "1")
    listed = json.loads(lakebed("backups", str(place), "--check", "--format", "json"))["backups"]
    assert [(row["state"], row["messages"]) for row in listed] == [("whole", 3)]
    assert len(list(place.glob("catalog/*"))) == len(list(place.glob("journal/*"))) == 1


def test_a_home_at_rest_is_backed_up_and_replaced_by_what_it_was(tmp_path: Path) -> None:
    place, home = tmp_path / "backups", tmp_path / "home"
    with Server(home) as server:
        server.put_policies(POLICIES[:1])
        server.send("x", "1")
        server.kill()
    lakebed("backup", str(place), "--home", str(home))
    with Server(home) as server:
        server.send("x", "2")
        server.settle(lambda flow: flow["kept"] == 2)
        said = lakebed("restore", str(place), "--home", str(home), "--replace", fails=True)
        assert "another process holds the home" in said
    said = lakebed("restore", str(place), "--home", str(home), fails=True)
    assert "has stores already" in said
    (home / "restore.unfinished").touch()  # as one leaves it that was killed at its last step
    assert "was interrupted" in lakebed("up", "--home", str(home), *_ANY_PORTS, fails=True)
    lakebed("restore", str(place), "--home", str(home), "--replace")
    assert len(list(home.glob("*.before-restore-*"))) == 3
    with Server(home) as server:
        server.settle(lambda flow: flow["kept"] == 1)
        assert [row["value"] for row in server.records("x", "all")] == [1]
        backup = ("backup", str(place), "--home", str(home), "--keep", "1")
        assert "--take-over" in lakebed(*backup, fails=True)
        assert "removed" not in lakebed(*backup, fails=True)
        lakebed(*backup, "--take-over")
    lakebed(*backup)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of a few rows."""
    folder = tmp_path_factory.mktemp("backed-up")
    with Server(folder / "home") as server:
        server.put_policies(POLICIES[:1])
        server.send_batch(lines("x", 0, 100))
        lakebed("backup", str(folder / "backups"), "--home", str(server.home))
        denied = server.request("POST", "/api/v1/tokens", json={"owner": "ann", "name": "a"}).json()
        asked = server.request(
            "GET", "/api/v1/backups", headers={"Authorization": f"Bearer {denied['token']}"}
        )
        assert asked.status_code == 403
    return folder / "backups"


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("object", "spoil", "said"),
    [
        ("series/**/*.parquet", _flip, "its checksum does not match"),
        ("series/**/*.parquet", Path.unlink, "it is missing"),
        ("catalog/*.db", _flip, "its checksum does not match"),
        ("journal/*.db", lambda path: path.write_bytes(b""), "it has 0 bytes"),
        ("manifests/*.json", _flip, "manifests/"),
        ("manifests/*.json", Path.unlink, "holds no complete backup"),  # one that was interrupted
    ],
)
def test_a_damaged_or_unfinished_backup_is_refused_and_leaves_no_home(
    object: str, spoil: Callable[[Path], Any], said: str, place: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(place, copy)
    spoil(next(copy.glob(object)))
    assert said in lakebed("restore", str(copy), "--home", str(tmp_path / "home"), fails=True)
    assert [path.name for path in (tmp_path / "home").glob("*") if path.name != "lock"] == []


def test_a_folder_with_other_things_is_no_place_for_a_backup(place: Path, tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"sun")
    with Server(tmp_path / "home") as server:
        said = lakebed("backup", str(tmp_path), "--home", str(server.home), fails=True)
        assert "holds other things" in said
        said = lakebed("backup", str(place), "--home", str(server.home), fails=True)
        assert "backups of another home" in said
