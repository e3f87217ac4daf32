"""Orders to fill policies: one of each policy at a time."""

from dataclasses import replace

import pytest

from lakebed.ports.catalog.fills import FillOrder
from lakebed.stores.catalog.sql import SqlCatalog
from lakebed.vocabulary.errors import Conflict
from lakebed.vocabulary.times import HOUR, SECOND

NOW = 1_790_000_000 * SECOND
ORDER = FillOrder("ann", "raw", 2**62 - 1, 3, NOW - HOUR, NOW, (0, 1))


def test_a_policy_is_filled_once_at_a_time(catalog: SqlCatalog) -> None:
    catalog.order_fill(ORDER)
    other = replace(ORDER, owner="eve", request=5, asked=NOW - 1)
    catalog.order_fill(other)
    with pytest.raises(Conflict, match="is being filled"):
        catalog.order_fill(replace(ORDER, request=7))
    assert catalog.fill_orders() == [other, ORDER]
    assert catalog.fill_order("ann", "raw") == ORDER
    assert catalog.fill_order("ann", "else") is None


def test_a_settled_one_gives_way_to_the_next(catalog: SqlCatalog) -> None:
    catalog.order_fill(ORDER)
    catalog.cancel_fill(ORDER)
    assert catalog.fill_orders() == [replace(ORDER, cancelled=True)]
    catalog.settle_fill(ORDER)
    assert catalog.fill_orders() == []
    assert catalog.fill_order("ann", "raw") == replace(ORDER, cancelled=True, settled=True)
    new = replace(ORDER, request=7)
    catalog.order_fill(new)
    catalog.cancel_fill(ORDER)  # of the one before: it changes nothing
    catalog.settle_fill(ORDER)
    assert catalog.fill_orders() == [new]
