from collections.abc import Callable

import pytest

from lakebed.stores.catalog.sql import SqlCatalog


def test_a_note_is_written_replaced_and_removed(
    catalog: SqlCatalog, reopened: Callable[[SqlCatalog], SqlCatalog]
) -> None:
    assert catalog.note("a") is None
    catalog.write_note("a", "one")
    catalog.write_note("b", "other ☂")
    catalog.write_note("a", "two")
    catalog = reopened(catalog)
    assert (catalog.note("a"), catalog.note("b")) == ("two", "other ☂")
    catalog.write_note("a", None)
    catalog.write_note("never", None)
    assert (catalog.note("a"), catalog.note("b")) == (None, "other ☂")


def test_a_note_belongs_to_its_transaction(catalog: SqlCatalog) -> None:
    def write() -> None:
        with catalog.transaction():
            catalog.write_note("a", "one")
            assert catalog.note("a") == "one"
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write()
    assert catalog.note("a") is None


def test_partitions_that_were_claimed_are_known_without_a_checkpoint(catalog: SqlCatalog) -> None:
    assert catalog.claimed("keeper") == []
    for partition in (3, 0, 3):
        catalog.claim("keeper", partition)
    catalog.claim("relay", 1)
    assert catalog.claimed("keeper") == [0, 3]
