"""Backfills of relays: one at a time, read by one process, each page saved with its blocks."""

from dataclasses import replace

import pytest

from lakebed.ports.catalog.backfills import Backfill
from lakebed.ports.catalog.outbox import Follower, OutboxBlock
from lakebed.stores.catalog.sql import SqlCatalog
from lakebed.vocabulary.errors import Conflict

RELAY = Follower("anna/warehouse/1", "anna", "minute", "finished", 2)
WANTED = Backfill(RELAY.relay, "anna", "warehouse", 0, "minute", "finished", 0, 5_000)


def begun(catalog: SqlCatalog) -> Backfill:
    catalog.follow(RELAY)
    return catalog.begin_backfill(WANTED)


def block(backfill: Backfill) -> OutboxBlock:
    return OutboxBlock(backfill.stream, 3, 1_000, b"abc")


def test_a_relay_has_one_backfill_at_a_time(catalog: SqlCatalog) -> None:
    first = begun(catalog)
    assert first == replace(WANTED, number=first.number)
    assert first.id == f"anna/warehouse/{first.number}" != RELAY.relay
    with pytest.raises(Conflict, match="not delivered yet"):
        catalog.begin_backfill(WANTED)
    assert catalog.backfills() == catalog.backfills("anna") == [first]
    assert catalog.backfills("eve") == []
    catalog.advance_backfill(first, replace(first, read=True, delivered=True))
    second = catalog.begin_backfill(WANTED)
    assert second.number > first.number
    assert catalog.backfills() == [second]


def test_one_process_reads_until_its_claim_ends(catalog: SqlCatalog) -> None:
    begun(catalog)
    first = catalog.claim_backfill(100, 200)
    assert first is not None
    assert catalog.claim_backfill(150, 250) is None
    second = catalog.claim_backfill(201, 300)
    assert second is not None
    after = replace(first, cursor="x", records=3)
    assert not catalog.advance_backfill(first, after, [block(first)])  # it was too slow
    assert catalog.outbox_extent(first.stream) == (0, 0)
    after = replace(second, cursor="x", records=3, claimed=0)
    assert catalog.advance_backfill(second, after, [block(second)])
    assert catalog.outbox_extent(second.stream) == (0, 3)
    assert catalog.claim_backfill(1, 100) == replace(after, claimed=100)


def test_its_stream_is_apart_and_lets_nothing_go(catalog: SqlCatalog) -> None:
    backfill = begun(catalog)
    catalog.advance_backfill(backfill, backfill, [block(backfill)] * 2)  # more bytes than `hold`
    assert catalog.outbox_extent(backfill.stream) == (0, 6)
    assert catalog.outbox_ends("anna", "minute") == {}
    assert catalog.cancel_backfill(RELAY.relay)
    assert not catalog.cancel_backfill(RELAY.relay)
    assert catalog.outbox_streams("anna") == []
    assert not catalog.advance_backfill(backfill, backfill, [block(backfill)])


def test_it_ends_with_its_relay(catalog: SqlCatalog) -> None:
    backfill = begun(catalog)
    catalog.advance_backfill(backfill, backfill, [block(backfill)])
    catalog.unfollow(RELAY.relay)
    assert catalog.backfills() == []
    assert catalog.outbox_extent(backfill.stream) == (0, 0)


def test_one_that_was_given_up_is_not_read_any_more(catalog: SqlCatalog) -> None:
    backfill = begun(catalog)
    catalog.advance_backfill(backfill, replace(backfill, error="it is gone"))
    assert catalog.claim_backfill(1, 2) is None
    assert catalog.backfills()[0].error == "it is gone"
