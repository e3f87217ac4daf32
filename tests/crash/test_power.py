"""The lights go out: what was not fsynced is gone, or there in part, torn and out of order."""

import os
import random
import shutil
import time
from pathlib import Path

import pytest

from tests.crash.oracle import SEED, times
from tests.crash.power import Recorded
from tests.crash.world import World
from tests.server import Server, eventually

LOSSES = times(8, 200)
FIRST = times(4, 50)

pytestmark = [
    pytest.mark.slow(10),
    pytest.mark.timeout(600 + 30 * LOSSES),
    pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler"),
]


@pytest.mark.slow(40)
@pytest.mark.server("mosquitto")
def test_what_was_acknowledged_outlives_the_power(tmp_path: Path) -> None:
    with World(tmp_path) as world:
        recorded = Recorded(world.server, tmp_path)
        world.send()
        world.edit()
        for _ in range(LOSSES):
            world.live_a_moment()
            recorded.lose_power(world.dice)
        world.live_on()
        world.finish()
        world.kill()
        recorded.lose_power(world.dice)
        world.server.start()
        world.check_fresh()
        world.check()


def test_what_programs_see_is_what_the_record_says(tmp_path: Path) -> None:
    """The recorder misses nothing: else it would prove nothing."""
    server = Server(tmp_path / "home")
    recorded = Recorded(server, tmp_path)
    with server:
        server.put_policy(name="all", topics=["#"], type="number", keep="archive", buffer="0s")
        for number in range(20):
            server.send("x", str(number))
        server.settle()
        server.kill()
        for note in recorded.notes():
            recorded.disk.follow(note)
        home = server.home.resolve()
        there = {str(p.relative_to(home)): p.read_bytes() for p in home.rglob("*") if p.is_file()}
        told = recorded.disk.contents()
        assert any(name.endswith("data.bin") for name in told), "nothing of the series is recorded"
        # inherited; mapped into memory
        for unwatched in ("output.log", "journal.db-shm", "catalog.db-shm"):
            there.pop(unwatched, None)
            told.pop(unwatched, None)
        assert there.keys() == told.keys()
        assert [name for name in there if there[name] != told[name]] == []


def test_a_first_start_that_loses_its_power_is_followed_by_one_that_works(tmp_path: Path) -> None:
    dice = random.Random(SEED)
    server = Server(tmp_path / "home")
    recorded = Recorded(server, tmp_path)
    for _ in range(FIRST):
        server.spawn()
        time.sleep(dice.uniform(0.3, 3.0))
        server.kill()
        recorded.lose_power(dice)
    with server:
        server.put_policy(name="all", topics=["#"], type="number", keep="archive")
        server.send("x", "1")
        server.settle(lambda flow: flow["kept"] == 1)


@pytest.mark.slow(25)
def test_rows_outlive_the_power_when_the_parts_that_were_merged_are_removed(tmp_path: Path) -> None:
    """Here the journal has not let go of the messages yet, so damage is looked for too."""
    server = Server(tmp_path / "home")
    recorded = Recorded(server, tmp_path)
    with server:
        server.put_policy(name="all", topics=["#"], type="number", keep="archive", buffer="0s")
        server.wait_in_force()
        for number in range(24):
            server.send("x", str(number))
            eventually(lambda number=number: len(server.records("x", "all")) > number)
        eventually(lambda: _parts(server.home) < 12, 90)
        server.kill()
        recorded.lose_power(random.Random(SEED))
        server.start()
        assert [row["value"] for row in server.records("x", "all")] == list(range(24))
        assert list((server.home / "series").rglob("detached/*")) == []
        assert server.get("/api/v1/series") == {"loss": None}


def _parts(home: Path) -> int:
    return sum("data.bin" in files for _, _, files in os.walk(home))
