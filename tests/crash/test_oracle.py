"""All sources, all kinds, policies being edited, and `kill -9` at random moments."""

from pathlib import Path

import pytest

from tests.crash.oracle import times
from tests.crash.world import World

KILLS = times(20, 1000)

pytestmark = [
    pytest.mark.slow(60),
    pytest.mark.timeout(600 + 20 * KILLS),
    pytest.mark.server("mosquitto"),
]


def test_nothing_is_lost_or_there_twice_however_often_it_is_killed(tmp_path: Path) -> None:
    with World(tmp_path) as world:
        world.send()
        world.edit()
        for _ in range(KILLS):
            world.live_a_moment()
        world.live_on()
        world.finish()
        world.kill()
        world.server.start()
        world.check_fresh()
        world.check()
