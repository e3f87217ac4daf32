"""The world around the server misbehaves: its store, its broker, its clock, its disk."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.faulty import ROUND
from tests.crash.oracle import times
from tests.crash.surroundings import SeriesStore, Weather
from tests.crash.world import AT_ONCE, World
from tests.server import eventually

FAULTS = times(2, 50) * len(ROUND)
STEPS = times(6, 100)
BREAKS = times(5, 50)

pytestmark = [
    pytest.mark.slow(80),
    pytest.mark.timeout(600 + FAULTS + 20 * STEPS),
    pytest.mark.server("mosquitto"),
]
COMPILED = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path) as made:
        yield made


def _in_the_end_all_is_there(world: World) -> None:
    world.finish()
    world.check_fresh()
    world.kill()
    world.server.start()
    world.check()


@pytest.mark.slow(70)
def test_a_series_store_that_fails_hangs_or_loses_its_answer(world: World) -> None:
    store = SeriesStore(world.server, rate=0.5)
    world.server.start()
    world.send()
    world.edit()
    while store.faults < FAULTS:
        time.sleep(world.dice.uniform(6, 10))
        world.kill()
        world.server.start()
    world.server.environment |= AT_ONCE | {"FAULTS": "0"}
    world.kill()
    world.server.start()
    _in_the_end_all_is_there(world)


@COMPILED
def test_a_series_store_that_is_away_for_a_day(world: World, tmp_path: Path) -> None:
    """The journal grows to its limit, senders are held back; a kill later all goes on."""
    store, weather = SeriesStore(world.server), Weather(world.server, tmp_path)
    world.server.environment |= AT_ONCE | {"LAKEBED__JOURNAL__LIMIT": "768KiB"}
    world.server.start()
    world.send()
    time.sleep(1)
    store.leave()
    eventually(lambda: "its limit is" in world.parts()["intake"]["message"], 90)
    weather.clock(23)
    world.kill()
    world.server.spawn()
    eventually(lambda: "its limit is" in world.parts()["intake"]["message"], 90)
    store.come_back()
    eventually(lambda: world.parts()["intake"]["ok"], 90)
    _in_the_end_all_is_there(world)


def test_a_broker_that_dies_and_connections_that_break(world: World) -> None:
    world.server.start()
    world.send()
    for _ in range(BREAKS):
        time.sleep(world.dice.uniform(0.5, 1.5))
        world.break_connections()
        if world.dice.random() < 0.6:
            world.broker.stop()
            time.sleep(world.dice.uniform(0, 1))
            world.broker.start()
    _in_the_end_all_is_there(world)


@COMPILED
def test_a_clock_that_steps_back_and_forth_by_hours(world: World, tmp_path: Path) -> None:
    weather = Weather(world.server, tmp_path)
    world.server.start()
    world.send()
    world.edit()
    for _ in range(STEPS):
        weather.clock(world.dice.uniform(-6, 6))
        time.sleep(world.dice.uniform(1, 3))
        if world.dice.random() < 0.4:
            world.kill()
            world.server.start()
    weather.clock(-6)
    world.finish()
    world.check()
    weather.clock(0)
    _in_the_end_all_is_there(world)


@COMPILED
def test_a_disk_that_is_full_for_a_while(world: World, tmp_path: Path) -> None:
    weather = Weather(world.server, tmp_path)
    world.server.start()
    world.send()
    for _ in range(BREAKS):
        time.sleep(world.dice.uniform(0.5, 2))
        weather.disk_full(True)
        time.sleep(world.dice.uniform(0.2, 3))
        weather.disk_full(False)
    _in_the_end_all_is_there(world)
