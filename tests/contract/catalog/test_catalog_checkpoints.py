from collections.abc import Callable

import pytest

from lakebed.ports.catalog.checkpoints import Checkpoint
from lakebed.stores.catalog import checkpoints
from lakebed.stores.catalog.sql import SqlCatalog
from lakebed.vocabulary.errors import Superseded, UnknownFormat


def test_parts_are_written_replaced_and_removed_together(catalog: SqlCatalog) -> None:
    first = [Checkpoint("router", 10, b"\0\xff"), Checkpoint("ann/raw@1", 8, b"")]
    catalog.save_checkpoints("keeper", 0, first)
    assert catalog.checkpoints("keeper", 0) == {0: [first[1], first[0]]}
    router = Checkpoint("router", 20, b"new")
    added = Checkpoint("ann/raw@2", 15, b"x" * 100_000)
    catalog.save_checkpoints("keeper", 0, [router, added], drop=["ann/raw@1", "unknown"])
    assert catalog.checkpoints("keeper", 0) == {0: [added, router]}


def test_a_part_that_is_dropped_and_written_in_one_call_stays(catalog: SqlCatalog) -> None:
    catalog.save_checkpoints("keeper", 0, [Checkpoint("a", 1, b"1")])
    catalog.save_checkpoints("keeper", 0, [Checkpoint("a", 2, b"2")], drop=["a"])
    assert catalog.checkpoints("keeper") == {0: [Checkpoint("a", 2, b"2")]}


def test_an_offset_may_go_back(catalog: SqlCatalog) -> None:
    # A consumer that starts over says so by a checkpoint at a lower offset.
    catalog.save_checkpoints("keeper", 0, [Checkpoint("a", 9, b"")])
    catalog.save_checkpoints("keeper", 0, [Checkpoint("a", 3, b"")])
    assert catalog.checkpoints("keeper") == {0: [Checkpoint("a", 3, b"")]}


def test_a_checkpoint_of_a_newer_format_is_refused_by_its_format(
    catalog: SqlCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as newer:
        newer.setattr(checkpoints, "FORMAT", 2)
        catalog.save_checkpoints("keeper", 3, [Checkpoint("a", 9, b"")])
        assert catalog.checkpoints("keeper") == {3: [Checkpoint("a", 9, b"")]}
    catalog.save_checkpoints("keeper", 0, [Checkpoint("a", 1, b"")])
    assert catalog.checkpoints("keeper", 0) == {0: [Checkpoint("a", 1, b"")]}
    with pytest.raises(UnknownFormat, match=r"partition 3 has the format 2.*upgrade keepers first"):
        catalog.checkpoints("keeper")


def test_consumers_and_partitions_are_apart(
    catalog: SqlCatalog, reopened: Callable[[SqlCatalog], SqlCatalog]
) -> None:
    for consumer, partition in (("keeper", 0), ("keeper", 3), ("relay", 3)):
        catalog.save_checkpoints(consumer, partition, [Checkpoint(consumer, partition, b"s")])
    catalog = reopened(catalog)
    assert catalog.checkpoints("keeper") == {
        0: [Checkpoint("keeper", 0, b"s")],
        3: [Checkpoint("keeper", 3, b"s")],
    }
    assert catalog.checkpoints("keeper", 3) == {3: [Checkpoint("keeper", 3, b"s")]}
    assert catalog.checkpoints("keeper", 1) == {}
    assert catalog.checkpoints("tap") == {}


def test_the_highest_offset_of_a_partition_is_of_any_consumer(catalog: SqlCatalog) -> None:
    assert catalog.highest_offset(0) == 0
    catalog.save_checkpoints("keeper", 0, [Checkpoint("a", 5, b""), Checkpoint("b", 3, b"")])
    catalog.save_checkpoints("relay", 0, [Checkpoint("a", 8, b"")])
    catalog.save_checkpoints("relay", 1, [Checkpoint("a", 90, b"")])
    for _ in range(20):
        catalog.claim("relay", 0)  # a term is no offset
    assert catalog.highest_offset(0) == 8


def test_thousands_of_parts_can_be_written_and_dropped_at_once(catalog: SqlCatalog) -> None:
    parts = [Checkpoint(f"p{i:04}", i, b"state") for i in range(3_000)]
    catalog.save_checkpoints("keeper", 0, parts)
    assert catalog.checkpoints("keeper") == {0: parts}
    catalog.save_checkpoints("keeper", 0, [], drop=[part.part for part in parts[1:]])
    assert catalog.checkpoints("keeper") == {0: parts[:1]}


def test_parts_of_one_name_can_be_read_alone(catalog: SqlCatalog) -> None:
    for partition in (0, 1):
        catalog.save_checkpoints("keeper", partition, [Checkpoint("a", 1, b""), ROUTER])
    assert catalog.checkpoints("keeper", part="router") == {0: [ROUTER], 1: [ROUTER]}
    assert catalog.checkpoints("keeper", 1, "router") == {1: [ROUTER]}


ROUTER = Checkpoint("router", 1, b"state")


def test_who_claims_a_partition_keeps_the_one_before_from_saving(
    catalog: SqlCatalog, reopened: Callable[[SqlCatalog], SqlCatalog]
) -> None:
    assert catalog.term("keeper", 0) == 0
    first = catalog.claim("keeper", 0)
    catalog.save_checkpoints("keeper", 0, [ROUTER], term=first)
    catalog = reopened(catalog)
    second = catalog.claim("keeper", 0)
    assert catalog.term("keeper", 0) == second > first
    with pytest.raises(Superseded):
        catalog.save_checkpoints("keeper", 0, [Checkpoint("router", 9, b"")], term=first)
    with pytest.raises(Superseded):
        catalog.save_checkpoints("keeper", 0, [], drop=["router"], term=first)
    assert catalog.checkpoints("keeper") == {0: [ROUTER]}
    catalog.save_checkpoints("keeper", 0, [Checkpoint("router", 2, b"")], term=second)
    assert catalog.checkpoints("keeper") == {0: [Checkpoint("router", 2, b"")]}


def test_claims_are_of_one_consumer_and_one_partition(catalog: SqlCatalog) -> None:
    term = catalog.claim("keeper", 0)
    catalog.claim("keeper", 1)
    catalog.claim("relay", 0)
    catalog.save_checkpoints("keeper", 0, [ROUTER], term=term)
    assert catalog.checkpoints("keeper") == {0: [ROUTER]}
