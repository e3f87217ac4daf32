"""Attempts to sign in are counted for all processes alike."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from lakebed.ports.accounts.attempts import Pace
from lakebed.stores.catalog import attempts
from lakebed.stores.catalog.sql import SqlCatalog
from lakebed.vocabulary.times import HOUR, SECOND

PACE = Pace(free=3, longest=4 * SECOND, forget=HOUR)
BOTH = [("account ann", PACE), ("address ::1", Pace(100, SECOND, HOUR))]


def test_after_the_free_attempts_one_waits(catalog: SqlCatalog) -> None:
    assert [catalog.begin_attempt(BOTH) for _ in range(4)] == [0, 0, 0, 0]
    assert 0 < catalog.begin_attempt(BOTH) <= SECOND
    assert catalog.begin_attempt([BOTH[1]]) == 0  # the address may try other accounts
    catalog.forget_attempts(["account ann"])
    assert catalog.begin_attempt(BOTH) == 0


def test_the_wait_doubles_up_to_the_longest(
    catalog: SqlCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = 10**15
    monkeypatch.setattr(attempts, "now", lambda: moment)
    waits = []
    for _ in range(8):
        assert catalog.begin_attempt([BOTH[0]]) == 0
        waits.append(catalog.begin_attempt([BOTH[0]]) if len(waits) >= 3 else 0)
        moment += waits[-1]
    assert waits == [0, 0, 0, SECOND, 2 * SECOND, 4 * SECOND, 4 * SECOND, 4 * SECOND]
    moment += 2 * HOUR
    assert [catalog.begin_attempt([BOTH[0]]) for _ in range(4)] == [0, 0, 0, 0]


def test_what_did_not_fail_is_taken_back(catalog: SqlCatalog) -> None:
    for _ in range(20):
        assert catalog.begin_attempt(BOTH) == 0
        catalog.undo_attempt(["account ann"])


def test_of_many_that_come_at_once_few_are_let_through(catalog: SqlCatalog) -> None:
    with ThreadPoolExecutor(8) as pool:
        waits = list(pool.map(lambda _: catalog.begin_attempt([BOTH[0]]), range(24)))
    assert waits.count(0) == 4


def test_there_are_never_more_rows_than_the_bound(
    catalog: SqlCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "_MOST", 10)
    monkeypatch.setattr(attempts, "_SELDOM", 1)
    for number in range(30):
        catalog.begin_attempt([(f"account {number}", PACE)])
    with catalog._read() as connection:
        rows = connection.exec_driver_sql("SELECT count(*) FROM attempts").scalar_one()
    assert rows <= 11
