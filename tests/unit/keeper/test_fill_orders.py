"""Orders to fill policies, as a running keeper carries them out over a journal in SQLite."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lakebed.keeper.fill_state import Progress, needed_from, progress, states
from lakebed.keeper.fills import Fills
from lakebed.ports.catalog.fills import FillOrder
from lakebed.ports.journal.operating import Pressure
from lakebed.vocabulary.times import now

from .test_keeper_requests import Running
from .test_shard import ARCHIVE, HOUR

REST = {"name": "rest", "topics": ["nothing"], "type": "number", "keep": "archive"}


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """A keeper that has worked through twenty messages that no policy asked for."""
    made = Running(tmp_path)
    made.catalog.put_policies("anna", [REST])
    made.keeper.start()
    made.keeper.policies_changed()
    for number in range(20):
        made.send(b"%d" % number)
    eventually(lambda: made.keeper.lag() == {0: 0})
    made.catalog.put_policies("anna", [ARCHIVE])
    made.keeper.policies_changed()
    yield made
    made.keeper.stop(10)
    made.journal.close()
    made.catalog.close()
    assert made.failed == []


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def order(running: Running, version: int = 1, request: int = 1) -> FillOrder:
    made = FillOrder("anna", "all", request, version, now() - HOUR, now(), (0,))
    running.catalog.order_fill(made)
    running.keeper.policies_changed()
    eventually(lambda: running.catalog.fill_orders() == [])
    return made


def found(running: Running, made: FillOrder) -> Progress:
    return progress(made, states(running.catalog, made))


def test_an_order_is_carried_out_and_settled(running: Running) -> None:
    made = order(running)
    assert found(running, made).state == "done"
    assert sorted(running.series.kept().values()) == list(range(20))
    assert (running.keeper.filled, running.keeper.fills) == (20, 0)
    again = order(running, request=2)
    assert (found(running, again).state, found(running, again).read) == ("done", 0)


def test_an_order_of_a_policy_that_is_gone_ends(running: Running) -> None:
    running.catalog.delete_policy("anna", "all")
    made = order(running)
    assert (found(running, made).state, found(running, made).error) == (
        "cancelled", "the policy was deleted",
    )  # fmt: skip


def test_a_journal_that_is_almost_full_ends_fills_for_its_sources(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Fills, "_fill", lambda self, now: None)  # none of them gets on
    monkeypatch.setattr(running.journal, "pressure", lambda: Pressure(0.96, "bytes"))
    made = order(running)
    assert found(running, made).state == "cancelled"
    assert "almost full" in found(running, made).error


def test_the_journal_is_kept_from_where_a_fill_goes_on(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Fills, "_fill", lambda self, now: None)
    made = FillOrder("anna", "all", 1, 1, now() - HOUR, now(), (0, 1))
    assert needed_from(running.catalog, [made]) == 0  # no keeper has begun
    alone = FillOrder("anna", "all", 1, 1, now() - HOUR, now(), (0,))
    running.catalog.order_fill(alone)
    running.keeper.policies_changed()
    eventually(lambda: running.keeper.fills == 1)
    assert needed_from(running.catalog, [alone]) == 0
    running.catalog.cancel_fill(alone)
    running.keeper.policies_changed()
    eventually(lambda: running.catalog.fill_orders() == [])
    assert found(running, alone).state == "cancelled"
    assert needed_from(running.catalog, [alone]) is None
