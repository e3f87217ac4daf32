"""Relays in the catalog: their lasting identity, and where they begin."""

from dataclasses import replace

import pytest

from lakebed.ports.accounts.owners import Owner
from lakebed.ports.catalog.backfills import Backfill
from lakebed.ports.catalog.checkpoints import Checkpoint
from lakebed.ports.catalog.outbox import Follower, OutboxBlock
from lakebed.ports.catalog.relays import CONSUMER, StoredRelay
from lakebed.stores.catalog.sql import SqlCatalog
from lakebed.vocabulary.errors import Conflict, NotFound

HOOK = {"name": "hook", "from": {"topics": ["a/#"]}, "to": {"http": "https://example.com"}}
OF_POLICY = {**HOOK, "from": {"policy": "minute", "what": "finished"}}


def test_a_relay_keeps_its_number_and_begin_while_it_reads_the_same(catalog: SqlCatalog) -> None:
    wanted = StoredRelay("ann", "hook", HOOK, "user:ann", starts={0: 7, 2: 0})
    ((made, created),) = catalog.put_relays([wanted])
    assert created
    assert (made.starts, made.maker, made.since) == ({0: 7, 2: 0}, "user:ann", None)
    assert made.id == f"ann/hook/{made.number}"
    assert catalog.put_relays([replace(wanted, starts={0: 99})]) == [(made, False)]
    other = {**HOOK, "from": {"topics": ["b/#"]}, "to": {"http": "https://example.org"}}
    ((changed, _),) = catalog.put_relays([StoredRelay("ann", "hook", other, starts={0: 99})])
    assert (changed.number, changed.starts, changed.version) == (made.number, {0: 7, 2: 0}, 2)
    ((begun, _),) = catalog.put_relays([StoredRelay("ann", "hook", OF_POLICY, starts={0: 99})])
    assert begun.number > made.number
    assert begun.starts == {0: 99}


def test_a_number_is_never_used_again(catalog: SqlCatalog) -> None:
    ((first, _),) = catalog.put_relays([StoredRelay("ann", "hook", HOOK)])
    catalog.delete_relay("ann", "hook")
    ((second, _),) = catalog.put_relays([StoredRelay("ann", "hook", HOOK)])
    ((third, _),) = catalog.put_relays([StoredRelay("bob", "hook", HOOK)])
    assert first.number < second.number < third.number
    assert catalog.relays() == [second, third]
    assert catalog.relays("bob") == [third]


def test_a_relay_is_rewound_paused_and_resumed(catalog: SqlCatalog) -> None:
    ((made, _),) = catalog.put_relays([StoredRelay("ann", "hook", HOOK, starts={0: 7})])
    rewound = catalog.rewind_relay("ann", "hook", 1_000_000)
    assert rewound.number > made.number
    assert rewound.since == 1_000_000
    paused = catalog.resume_relay("ann", "hook", True)
    assert (paused.document["paused"], paused.number) == (True, rewound.number)
    resumed = catalog.resume_relay("ann", "hook", False)
    assert "paused" not in resumed.document
    assert resumed.resumed == paused.resumed + 1
    with pytest.raises(NotFound, match="no relay 'other'"):
        catalog.rewind_relay("ann", "other", 0)


def test_all_relays_are_written_or_none(catalog: SqlCatalog) -> None:
    catalog.put_relays([StoredRelay("ann", "hook", HOOK)])
    with pytest.raises(Conflict):
        catalog.put_relays(
            [StoredRelay("ann", "new", {**HOOK, "name": "new"}), StoredRelay("ann", "hook", HOOK)],
            create=True,
        )
    assert [relay.name for relay in catalog.relays("ann")] == ["hook"]


def test_relays_of_an_owner_go_with_it(catalog: SqlCatalog) -> None:
    catalog.add_owner(Owner("works"))
    ((made, _),) = catalog.put_relays([StoredRelay("works", "hook", OF_POLICY)])
    catalog.follow(Follower(made.id, "works", "minute", "finished", 2**30))
    catalog.delete_owner("works")
    assert catalog.relays() == []
    assert catalog.followers() == []


def test_relays_of_a_restored_catalog_have_other_numbers_and_go_on(catalog: SqlCatalog) -> None:
    ((made, _),) = catalog.put_relays([StoredRelay("ann", "hook", OF_POLICY)])
    catalog.follow(Follower(made.id, "ann", "minute", "finished", 2**30))
    term = catalog.claim(CONSUMER, 0)
    catalog.save_checkpoints(CONSUMER, 0, [Checkpoint(made.id, 7, b"state")], term=term)
    assert catalog.renumber_relays() == 1
    (after,) = catalog.relays()
    assert after.number > made.number
    assert catalog.checkpoints(CONSUMER) == {0: [Checkpoint(after.id, 7, b"state")]}
    assert [follower.relay for follower in catalog.followers()] == [after.id]


def test_backfills_of_a_restored_catalog_have_other_numbers_too(catalog: SqlCatalog) -> None:
    ((made, _),) = catalog.put_relays([StoredRelay("ann", "hook", OF_POLICY)])
    catalog.follow(Follower(made.id, "ann", "minute", "finished", 2**30))
    wanted = Backfill(made.id, "ann", "hook", 0, "minute", "finished", 0, 1)
    before = catalog.begin_backfill(wanted)
    catalog.advance_backfill(before, before, [OutboxBlock(before.stream, 3, 1, b"abc")])
    term = catalog.claim(CONSUMER, 0)
    catalog.save_checkpoints(CONSUMER, 0, [Checkpoint(before.id, 2, b"state")], term=term)
    catalog.renumber_relays()
    (backfill,), (relay,) = catalog.backfills(), catalog.relays()
    assert backfill.relay == relay.id
    assert backfill.number > before.number
    assert catalog.checkpoints(CONSUMER) == {0: [Checkpoint(backfill.id, 2, b"state")]}
    assert catalog.outbox_extent(backfill.stream) == (0, 3)
