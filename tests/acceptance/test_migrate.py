"""An embedded home with a day of data moves to servers, and nobody who asks sees a seam.

A copy of a home that was killed in the middle of its work is moved; the home itself goes on
embedded beside it and says what every answer must be, before the move and after more messages.
"""

import json
import math
import os
import random
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests import processes
from tests.cluster import Cluster, Servers, servers
from tests.processes import Process
from tests.server import Server, eventually
from tests.servers import clickhouse

pytestmark = [
    pytest.mark.slow(30),
    pytest.mark.server("kafka"),
    pytest.mark.server("postgres"),
    pytest.mark.timeout(600),
]

STEPS = (
    "topic made", "working off", "copying aggregate", "copying archive", "copying last_n",
    "copying window", "comparing", "preparing the journal", "moving the catalog",
)  # fmt: skip
"""What a migration tells that it does, in this order."""
LIMIT = 120  # seconds a migration may take on a busy machine
_SETTLED = timedelta(minutes=30)  # after its end a window is complete in every answer
NUMBERS = {"topics": ["plant/+/celsius"], "type": "number"}
POLICIES: list[dict[str, Any]] = [
    {"name": "all", "keep": "archive", "buffer": "1h", **NUMBERS},
    {"name": "day", "keep": "window", "for": "72h", **NUMBERS},
    {"name": "now", "keep": "last_value", "every": "1s", **NUMBERS},
    {"name": "few", "keep": "last_n", "count": 7, **NUMBERS},
    {"name": "quarters", "keep": "aggregate", "every": "15m", **NUMBERS,
     "functions": ["count", "min", "max", "sum", "avg", "first", "last", "stddev", "p50", "p99"]},
    {"name": "days", "keep": "aggregate", "every": "24h", "timezone": "Asia/Kathmandu", **NUMBERS},
    {"name": "thin", "keep": "archive", **NUMBERS, "filter": {"max_rate": "20m", "unique": True}},
    {"name": "words", "keep": "aggregate", "every": "1h", "topics": ["log/#"], "type": "text",
     "functions": ["count", "unique", "first", "last", "min", "max", "top"]},
    {"name": "lines", "keep": "last_n", "count": 20, "topics": ["log/#"], "type": "text"},
    {"name": "said", "keep": "last_value", "topics": ["log/#"], "type": "text", "every": "1s"},
    {"name": "documents", "keep": "archive", "topics": ["doc/#"], "type": "json",
     "filter": {"max_size": "40B"}},
    {"name": "gone", "keep": "archive", "topics": ["plant/0/celsius"], "type": "number"},
]  # fmt: skip


def day(now: datetime, seed: int, count: int = 4000) -> list[dict[str, Any]]:
    """Messages of many topics whose event times lie in the day before `now`, mostly in order."""
    dice = random.Random(seed)
    lines: list[dict[str, Any]] = []
    for n in range(count):
        late = dice.random() < 0.03
        at = now - timedelta(hours=24) * (1 - n / count) - timedelta(minutes=90 * late)
        line: dict[str, Any] = {"time": at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), "id": f"{seed}-{n}"}
        kind = dice.randrange(10)
        if kind < 6:
            line |= {
                "topic": f"plant/{dice.randrange(12)}/celsius",
                "value": dice.randrange(300) / 10,
            }
        elif kind < 8:
            line |= {"topic": f"log/{dice.randrange(5)}", "value": f"line {dice.randrange(60)}"}
        elif kind < 9:
            text = "x" * dice.randrange(60)
            line |= {"topic": f"doc/{dice.randrange(3)}", "value": {"text": text}}
        else:
            line |= {"topic": f"nobody/{dice.randrange(3)}", "value": n}
        lines.append(line)
    return lines


# --- what is asked --------------------------------------------------------------------------------


def answers(server: Server, now: datetime, *, positions: bool) -> dict[str, Any]:
    """The answer of every question there is.

    Args:
        now: of the event times; windows that end about then or later are complete in one answer
            and not yet in another, so nothing is said of them.
        positions: False leaves out positions and what is ordered by them.
    """
    found: dict[str, Any] = {}
    for policy in POLICIES:
        if policy["keep"] != "last_value":
            records = server.records("#", policy["name"], limit=1000)
            found[f"records of {policy['name']}"] = records
            found[f"newest of {policy['name']}"] = server.records(
                policy["topics"][0].replace("+", "3").replace("#", "1"),
                policy["name"],
                order="desc",
            )
    found["last"] = server.get("/api/v1/last", filter="#")["records"]
    found["flow"] = server.flow()
    for by in ("topic", "policy"):
        found[f"flow by {by}"] = server.get("/api/v1/flow", by=by)
    found["policies"] = server.get("/api/v1/policies")
    tokens = server.get("/api/v1/tokens")["tokens"]
    found["tokens"] = [token | {"last_used": None} for token in tokens]  # this asks with one
    found["topics"] = server.get("/api/v1/topics")
    return {name: _plain(answer, now, positions) for name, answer in found.items()}


def _plain(answer: Any, now: datetime, positions: bool) -> Any:
    if isinstance(answer, dict):
        kept = {
            key: _plain(value, now, positions)
            for key, value in answer.items()
            if positions or key not in ("position", "first_seen", "last_seen")
        }
        if "complete" in kept and datetime.fromisoformat(kept["end"]) > now - _SETTLED:
            del kept["complete"]
        return kept
    if isinstance(answer, list):
        rows = [_plain(value, now, positions) for value in answer]
        return rows if positions else sorted(rows, key=_identity)
    return answer


def _identity(row: Any) -> str:
    """What a row is about, before what it says in numbers that may be rounded."""
    about = ("policy", "topic", "name", "start", "time", "id")
    names = [str(row.get(name)) for name in about] if isinstance(row, dict) else []
    return json.dumps([names, row], sort_keys=True)


def assert_same(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    for name, answer in wanted.items():
        other = found[name]
        if isinstance(answer, list):
            assert len(other) == len(answer), name
            pairs = zip(other, answer, strict=True)
            assert [pair for pair in pairs if not _same(*pair)] == [], name
        else:
            assert _same(other, answer), f"{name}: {other} is not {answer}"


def _same(one: Any, other: Any) -> bool:
    """Equal; sums, which are added up in another order, to about 12 digits."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, float) or isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-12)
    return bool(one == other)


# --- the world ------------------------------------------------------------------------------------


@dataclass
class World:
    """Attributes:
    original: goes on embedded; it has worked off all that the copy has.
    home: the copy, with a tail of the journal that nobody has read.
    now: of the event times.
    reader: a token of another owner.
    """

    original: Server
    home: Path
    on: Servers
    now: datetime
    reader: str
    folder: Path


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("migrate")
    now = datetime.now(UTC) - timedelta(minutes=5)
    original = Server(folder / "original")
    with servers() as on, original:
        original.put_policies(POLICIES)
        lines = day(now, 1)
        original.send_batch(lines[:2500])
        original.put_policy(**POLICIES[3] | {"count": 5})
        original.put_policies([POLICIES[3]])
        original.delete_policy("gone")
        made = original.request("POST", "/api/v1/tokens", json={"owner": "ann", "name": "one"})
        original.settle(lambda flow: flow["received"] == 2500)
        for start in range(2500, 4000, 250):
            original.send_batch(lines[start : start + 250])
        original.kill()
        shutil.copytree(folder / "original", folder / "copy", symlinks=True)
        original.start()
        original.settle(lambda flow: flow["received"] == 4000)
        original.stop()  # what waits is written: last values, buffers
        original.start()
        yield World(original, folder / "copy", on, now, made.json()["token"], folder)


@contextmanager
def target(world: World, name: str) -> Iterator[Path]:
    """A configuration that names servers without any data; its home is a folder beside it."""
    with clickhouse.running() as series:
        config = world.folder / f"{name}.toml"
        settings = Cluster(world.folder, world.on).settings
        config.write_text(
            f'home = "{world.folder / name}"\n'
            f'journal.url = "{settings["JOURNAL__URL"]}"\n'
            f'catalog.url = "{world.on.postgres.create_schema()}"\n'
            f'series.url = "{series.url}"\n'
        )
        yield config


def copied(world: World, name: str) -> Path:
    """The home as it is now, in another folder."""
    world.original.stop()
    shutil.copytree(world.original.home, world.folder / name, symlinks=True)
    world.original.start()
    return world.folder / name


def migrate(home: Path, config: Path) -> Process:
    return processes.start(
        processes.COMMAND,
        ["migrate", "--from", home, "--to", config, "--format", "json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, environment=processes.clean(),
    )  # fmt: skip


def done(process: Process) -> tuple[int, str, str]:
    with process:
        output, errors = process.communicate(timeout=LIMIT)
    return process.returncode, output, errors


def kill_at(process: Process, step: str, wait: float) -> list[str]:
    """Kill it so many seconds after it began with a step; returns what it had told."""
    told: list[str] = []
    reached = threading.Event()

    def read() -> None:
        assert process.stderr is not None
        for line in process.stderr:
            told.append(line.strip())
            if step in line:
                reached.set()
        reached.set()

    thread = threading.Thread(target=read)
    thread.start()
    assert reached.wait(LIMIT)
    time.sleep(wait)
    process.kill()
    thread.join()
    with process:
        process.wait()
    return told


def served(world: World, config: Path, name: str) -> Server:
    """Everything in one process, on the servers."""
    server = Server(world.folder / name)
    server.command = ("up", "--config", str(config))
    return server


def refused(server: Server) -> str:
    """What a server says that does not start."""
    with closing(server):
        server.spawn()
        assert server.wait(seconds=60) == 3
        return server.output


# --- the tests ------------------------------------------------------------------------------------


def test_a_home_killed_at_its_work_is_moved_by_a_migration_that_is_killed_again_and_again(
    world: World,
) -> None:
    dice = random.Random(os.environ.get("LAKEBED_SEED", "7"))
    before = answers(world.original, world.now, positions=True)
    with target(world, "cluster") as config:
        for step in STEPS:
            told = kill_at(migrate(world.home, config), step, dice.random() * 0.1)
            assert any(step in line for line in told), told
        code, output, errors = done(migrate(world.home, config))
        assert code == 0, errors
        assert json.loads(output)["messages"] == 4000
        code, output, errors = done(migrate(world.home, config))
        assert (code, json.loads(output)["already"]) == (0, True), errors
        assert "has been moved to" in refused(Server(world.home))
        with served(world, config, "cluster") as cluster:
            assert_same(answers(cluster, world.now, positions=True), before)
            _send_more(world, cluster)
            for server in (world.original, cluster):
                server.stop()
                server.start()
            wanted = answers(world.original, world.now, positions=False)
            assert_same(answers(cluster, world.now, positions=False), wanted)
            _check_reader(world, cluster)


def _send_more(world: World, cluster: Server) -> None:
    """To both the same: new messages, ids sent before, late data, equal times, equal values."""
    more = day(world.now, 2, 600)
    again = day(world.now, 1)[1000:1500]
    last = world.original.get("/api/v1/last", filter="plant/#")["records"]
    ties = [{"topic": r["topic"], "time": r["time"], "value": r["value"] + 1} for r in last]
    for server in (world.original, cluster):
        for lines in (ties, more, again):
            server.send_batch(lines)
        flow = server.settle(lambda flow: flow["received"] == 5100 + len(ties))
        assert flow["duplicates"] == 500


def _check_reader(world: World, cluster: Server) -> None:
    headers = {"Authorization": f"Bearer {world.reader}"}
    response = cluster.request("GET", "/api/v1/topics", headers=headers)
    assert response.json()["topics"] == []


def test_nothing_is_moved_where_it_would_meet_other_data_or_a_running_server(
    world: World,
) -> None:
    with target(world, "other") as config:
        code, _, errors = done(migrate(world.original.home, config))
        assert (code, "another process holds the home" in errors) == (3, True), errors
        with served(world, config, "other") as other:
            other.put_policy(**POLICIES[0])
        code, _, errors = done(migrate(copied(world, "refused"), config))
        assert (code, "1 policy versions, 1 tokens" in errors) == (5, True), errors


def test_half_a_home_is_not_served(world: World) -> None:
    home = copied(world, "half")
    with target(world, "half-cluster") as config:
        told = kill_at(migrate(home, config), "copying", 0)
        assert not any(line.startswith("moved") for line in told)
        assert "run `lakebed migrate` again" in refused(served(world, config, "half-cluster"))


def test_a_home_that_was_used_after_an_interrupted_migration_is_copied_anew(world: World) -> None:
    home = copied(world, "used")
    with target(world, "used-cluster") as config:
        kill_at(migrate(home, config), "copying archive", 0.1)
        with Server(home) as source:
            source.send_batch([{"topic": "plant/3/celsius", "value": 12.5}])
            deleted = source.request("DELETE", "/api/v1/records", params={"topic": "log/1"})
            assert deleted.status_code == 200, deleted.text
            eventually(lambda: source.get("/api/v1/last", topic="plant/3/celsius")["records"])
            source.settle()
            source.stop()
            source.start()
            wanted = answers(source, world.now, positions=True)
        code, _, errors = done(migrate(home, config))
        assert code == 0, errors
        with served(world, config, "used-cluster") as cluster:
            assert_same(answers(cluster, world.now, positions=True), wanted)
