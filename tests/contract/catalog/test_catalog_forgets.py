"""Orders to let go of what is about to be deleted."""

import pytest
from catalog_place import Place

from lakebed.catalog import forgets
from lakebed.catalog.sql import SqlCatalog
from lakebed.ports import Forgetting, LetGo, Order

PART = Forgetting("ann", "plant/+", "raw", -5, 2**62)
ALL = Forgetting("bob", "#")


def test_each_partition_gets_its_order(catalog: SqlCatalog) -> None:
    catalog.ask_to_forget(7, PART, {0: 10, 3: 2**62})
    catalog.ask_to_forget(2**62 - 1, ALL, {1: 0})
    assert catalog.forget_orders() == [
        Order(7, 0, 10, PART),
        Order(7, 3, 2**62, PART),
        Order(2**62 - 1, 1, 0, ALL),
    ]


def test_an_order_that_was_followed_waits_no_longer(catalog: SqlCatalog) -> None:
    catalog.ask_to_forget(1, ALL, {0: 10, 1: 20})
    first, second = catalog.forget_orders()
    catalog.note_let_go(second, LetGo(25, 3))
    assert catalog.forget_orders() == [first]
    assert catalog.let_go(1) == {1: LetGo(25, 3)}
    catalog.note_let_go(first, LetGo(12, 0))
    assert catalog.let_go(1) == {0: LetGo(12, 0), 1: LetGo(25, 3)}
    assert catalog.let_go(2) == {}


def test_a_request_that_is_withdrawn_leaves_nothing(catalog: SqlCatalog) -> None:
    catalog.ask_to_forget(1, ALL, {0: 10})
    catalog.ask_to_forget(2, ALL, {0: 10})
    (order, _) = catalog.forget_orders()
    catalog.withdraw(1)
    catalog.note_let_go(order, LetGo(12, 0))  # a keeper that was just at it
    assert catalog.let_go(1) == {}
    assert [left.request for left in catalog.forget_orders()] == [2]


def test_orders_of_one_who_died_are_removed_by_the_next(
    catalog: SqlCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog.ask_to_forget(1, ALL, {0: 10})
    monkeypatch.setattr(forgets, "_STALE", -1_000_000)
    catalog.ask_to_forget(2, ALL, {0: 10})
    assert [left.request for left in catalog.forget_orders()] == [2]


def test_keepers_of_other_processes_see_the_orders(postgres_place: Place) -> None:
    asking, keeping = postgres_place.open(), postgres_place.open()
    asking.ask_to_forget(1, PART, {0: 10})
    (order,) = keeping.forget_orders()
    keeping.note_let_go(order, LetGo(11, 1))
    assert asking.let_go(1) == {0: LetGo(11, 1)}
