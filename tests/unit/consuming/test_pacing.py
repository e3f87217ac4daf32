"""When a consumer writes, on clocks that are given."""

import pytest

from lakebed.consuming.pacing import CheckpointInterval, JournalTime, on_grid
from lakebed.ingest.building import BatchBuilder
from lakebed.vocabulary.messages import Channel, Entry
from lakebed.vocabulary.times import HOUR, MINUTE, SECOND, Micros

NOW = 1_790_000_000 * SECOND
MILLI = 1000


def entry(*received: Micros) -> Entry:
    builder = BatchBuilder()
    for moment in received:
        builder.extend([Channel("ann", "t")], [b"x"], moment)
    return Entry(0, 0, builder.build())


def test_time_stands_a_moment_before_the_clock_so_that_messages_on_their_way_arrive() -> None:
    assert JournalTime().after([entry(NOW - HOUR)], NOW, behind=False) == NOW - 100 * MILLI
    delayed = JournalTime(delay=SECOND)
    assert delayed.after([], NOW, behind=False) == NOW - SECOND - 100 * MILLI


def test_while_behind_it_is_the_time_of_the_newest_message_read() -> None:
    entries = [entry(NOW - HOUR), entry(NOW - 2 * HOUR, NOW - 3 * HOUR)]
    assert JournalTime().after(entries, NOW, behind=True) == NOW - HOUR


@pytest.mark.parametrize("entries", [[], [entry()], [entry(NOW + HOUR)]])
def test_nothing_was_received_later_than_now(entries: list[Entry]) -> None:
    assert JournalTime().after(entries, NOW, behind=True) == NOW - 100 * MILLI


def test_a_clock_counts_as_set_back_once_for_each_time() -> None:
    time = JournalTime()
    assert time.was_set_back(NOW, [])  # at a start nobody knows
    assert not time.was_set_back(NOW + SECOND, [])
    assert not time.was_set_back(NOW, [])  # within a second: no more than adjusted
    assert time.was_set_back(NOW - HOUR, [])
    assert not time.was_set_back(NOW - HOUR + SECOND, [])


def test_messages_from_ahead_show_that_the_clock_was_set_back() -> None:
    time = JournalTime()
    time.was_set_back(NOW, [])
    assert not time.was_set_back(NOW, [entry(NOW + HOUR)])
    assert time.was_set_back(NOW + SECOND, [])


@pytest.mark.parametrize(
    ("due", "wait"),
    [
        (None, 0.5),
        (NOW + HOUR, 0.5),  # chores want their turn
        (NOW - HOUR, 0.05),
        (NOW + 10 * MILLI, 0.3),  # the next flush, and the moment that messages need
        (NOW, 0.1),
    ],
)
def test_a_poll_waits_until_the_flush_that_writes_what_is_due(
    due: Micros | None, wait: float
) -> None:
    assert JournalTime().wait_for(due, NOW) == pytest.approx(wait)


def test_flushes_lie_on_a_grid() -> None:
    assert on_grid(NOW + 199 * MILLI) == NOW
    assert on_grid(NOW + 200 * MILLI) == NOW + 200 * MILLI
    assert JournalTime().until_flush(NOW) == pytest.approx(0.1)
    assert JournalTime().until_flush(NOW + 100 * MILLI) == pytest.approx(0.2)


def test_checkpoints_take_a_twentieth_of_the_time_at_most() -> None:
    interval = CheckpointInterval(shortest=1.0)
    interval.took(0.01)
    assert interval.seconds == 1.0
    interval.took(0.5)
    assert interval.seconds == 10.0
    interval.took(0.0)
    assert interval.seconds == 1.0


@pytest.mark.parametrize(
    ("pace", "messages", "seconds"),
    [
        (0, 10, 1.0),
        (10 * SECOND, 10, 5.0),  # twice in the time that rows are gathered
        (10 * MINUTE, 10, 30.0),
        (10 * MINUTE, 5000, 1.0),  # too much to be read again
    ],
)
def test_few_messages_for_a_slow_writer_are_saved_rarely(
    pace: Micros, messages: int, seconds: float
) -> None:
    assert CheckpointInterval(shortest=1.0).between(pace, messages) == seconds
