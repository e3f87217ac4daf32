"""Threads of relays: bounded, and never all taken by targets that hang."""

from collections.abc import Iterator
from threading import Event

import pytest

from lakebed.relays.pool import Pool

from .conftest import soon


class Job:
    def __init__(self, hold: Event | None = None, suspect: bool = False) -> None:
        self.hold, self.suspect, self.runs = hold, suspect, 0

    def run(self) -> float | None:
        self.runs += 1
        if self.hold is not None:
            self.hold.wait(20)
        return None


@pytest.fixture
def pool() -> Iterator[Pool]:
    made = Pool(4)
    made.start()
    yield made
    assert made.stop(5)


def test_a_task_runs_when_it_is_due_and_once_for_many_wishes(pool: Pool) -> None:
    job = Job()
    pool.schedule(job, 3600)
    pool.schedule(job, 0.05)
    pool.schedule(job, 0.05)
    soon(lambda: job.runs == 1)


def test_suspects_take_half_of_the_threads(pool: Pool) -> None:
    over = Event()
    hanging = [Job(over, suspect=True) for _ in range(10)]
    for job in hanging:
        pool.schedule(job)
    fine = [Job() for _ in range(10)]
    for job in fine:
        pool.schedule(job)
    soon(lambda: all(job.runs == 1 for job in fine))
    assert sum(job.runs for job in hanging) == 2
    over.set()
    soon(lambda: all(job.runs == 1 for job in hanging))


def test_what_is_scheduled_while_it_runs_runs_again(pool: Pool) -> None:
    over = Event()
    job = Job(over)
    pool.schedule(job)
    soon(lambda: job.runs == 1)
    pool.schedule(job)
    over.set()
    soon(lambda: job.runs == 2)


def test_further_threads_stand_in_for_those_that_hang() -> None:
    now = 0.0
    pool = Pool(2, lambda: now)
    pool.start()
    over = Event()
    hanging = [Job(over), Job(over)]
    for job in hanging:
        pool.schedule(job)
    soon(lambda: all(job.runs == 1 for job in hanging))
    fine = Job()
    pool.schedule(fine)
    now = 2.0
    pool.tend()
    soon(lambda: fine.runs == 1)
    over.set()
    assert pool.stop(5)
