"""What is old is told by the journal's own times, not by a clock that may be wrong."""

from lakebed.stores.journal.age import SharedTime, WriterTime
from lakebed.vocabulary.times import DAY, HOUR, MINUTE, SECOND

NOW = 1_800_000_000 * SECOND


class World:
    """The right time, and by how much a clock is wrong."""

    def __init__(self) -> None:
        self.passed, self.wrong = 77 * SECOND, 0

    def wall(self) -> int:
        return NOW + self.passed + self.wrong

    def uptime(self) -> int:
        return self.passed

    def writer(self, span: int, newest: int | None) -> WriterTime:
        return WriterTime(span, newest, self.wall, self.uptime)


def test_while_the_clock_is_right_it_is_the_time() -> None:
    world = World()
    time = world.writer(HOUR, None)
    for passed in (SECOND, HOUR, 3 * DAY):
        world.passed += passed
        assert time.now() == world.wall()


def test_a_clock_that_is_set_forward_makes_nothing_old_before_its_span_has_passed() -> None:
    world = World()
    time = world.writer(HOUR, None)
    written = world.wall()
    world.passed += 10 * MINUTE
    world.wrong = 2 * DAY
    assert time.oldest() < written
    world.passed += 49 * MINUTE
    assert time.oldest() < written
    later = world.wall()  # by the wrong clock
    world.passed += 61 * MINUTE
    assert written < time.oldest() - DAY
    assert later < time.oldest()


def test_a_clock_that_is_set_forward_and_back_changes_nothing() -> None:
    world = World()
    time = world.writer(HOUR, None)
    world.wrong = 2 * DAY
    assert time.now() == world.wall() - 2 * DAY
    world.passed += 30 * MINUTE
    world.wrong = 0
    for _ in range(3):
        world.passed += HOUR
        assert time.now() == world.wall()


def test_a_clock_that_is_set_forward_twice_is_waited_for_twice() -> None:
    world = World()
    time = world.writer(HOUR, None)
    world.wrong = DAY
    time.now()
    world.passed += 59 * MINUTE
    world.wrong = 3 * DAY
    between = world.wall() - 2 * DAY
    time.now()
    world.passed += 59 * MINUTE
    assert time.oldest() < between


def test_after_a_start_with_a_clock_ahead_what_there_is_stays_for_its_span() -> None:
    world = World()
    newest = world.wall() - MINUTE
    world.wrong = 5 * HOUR
    time = world.writer(HOUR, newest)
    assert time.oldest() < newest
    assert time.oldest() > newest - 2 * HOUR
    world.passed += HOUR
    assert time.oldest() >= newest


def test_a_clock_that_is_behind_keeps_more() -> None:
    world = World()
    time = world.writer(HOUR, None)
    written = world.wall()
    world.wrong = -DAY
    world.passed += 2 * HOUR
    assert time.oldest() < written


def test_where_many_write_the_newest_counts_and_what_has_passed_since() -> None:
    world = World()
    time = SharedTime(world.wall, world.uptime)
    assert time.now() == 0, "nothing was seen: nothing is old"
    newest = world.wall()
    world.wrong = HOUR  # the clock of this process
    time.saw(newest)
    assert time.now() == newest
    world.passed += MINUTE
    time.saw(newest - MINUTE)
    assert time.now() == newest + MINUTE


def test_where_one_of_many_writes_with_a_clock_ahead_ones_own_counts() -> None:
    world = World()
    time = SharedTime(world.wall, world.uptime)
    time.saw(world.wall() + DAY)
    assert time.now() == world.wall()
    assert time.reached() == world.wall() + DAY
