"""Orders to let go of what is about to be deleted."""

import pytest
from catalog_place import Place

from lakebed.ports.catalog.erasures import ErasureOrder, ErasureResult
from lakebed.ports.erasure import Erasure
from lakebed.stores.catalog import erasures
from lakebed.stores.catalog.sql import SqlCatalog

PART = Erasure("ann", "plant/+", "raw", -5, 2**62)
ALL = Erasure("bob", "#")


def test_each_partition_gets_its_order(catalog: SqlCatalog) -> None:
    catalog.order_erasure(7, PART, {0: 10, 3: 2**62})
    catalog.order_erasure(2**62 - 1, ALL, {1: 0})
    assert catalog.erasure_orders() == [
        ErasureOrder(7, 0, 10, PART),
        ErasureOrder(7, 3, 2**62, PART),
        ErasureOrder(2**62 - 1, 1, 0, ALL),
    ]


def test_an_order_that_was_followed_waits_no_longer(catalog: SqlCatalog) -> None:
    catalog.order_erasure(1, ALL, {0: 10, 1: 20})
    first, second = catalog.erasure_orders()
    catalog.note_erased(second, ErasureResult(25, 3))
    assert catalog.erasure_orders() == [first]
    assert catalog.erased(1) == {1: ErasureResult(25, 3)}
    catalog.note_erased(first, ErasureResult(12, 0))
    assert catalog.erased(1) == {0: ErasureResult(12, 0), 1: ErasureResult(25, 3)}
    assert catalog.erased(2) == {}


def test_a_request_that_is_withdrawn_leaves_nothing(catalog: SqlCatalog) -> None:
    catalog.order_erasure(1, ALL, {0: 10})
    catalog.order_erasure(2, ALL, {0: 10})
    (order, _) = catalog.erasure_orders()
    catalog.withdraw(1)
    catalog.note_erased(order, ErasureResult(12, 0))  # a keeper that was just at it
    assert catalog.erased(1) == {}
    assert [left.request for left in catalog.erasure_orders()] == [2]


def test_orders_of_one_who_died_are_removed_by_the_next(
    catalog: SqlCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog.order_erasure(1, ALL, {0: 10})
    monkeypatch.setattr(erasures, "_STALE", -1_000_000)
    catalog.order_erasure(2, ALL, {0: 10})
    assert [left.request for left in catalog.erasure_orders()] == [2]


def test_keepers_of_other_processes_see_the_orders(postgres_place: Place) -> None:
    asking, keeping = postgres_place.open(), postgres_place.open()
    asking.order_erasure(1, PART, {0: 10})
    (order,) = keeping.erasure_orders()
    keeping.note_erased(order, ErasureResult(11, 1))
    assert asking.erased(1) == {0: ErasureResult(11, 1)}
