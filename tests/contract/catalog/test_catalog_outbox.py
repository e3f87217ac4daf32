"""The outbox: blocks of what policies gave, numbered without gaps, until relays have them."""

from contextlib import suppress
from dataclasses import replace

import pytest
from sqlalchemy import update

from lakebed.ports.catalog.outbox import Follower, OutboxBlock, Stream, Waiting
from lakebed.stores.catalog.sql import SqlCatalog
from lakebed.stores.catalog.tables import outbox_blocks
from lakebed.vocabulary.errors import UnknownFormat

RELAY = Follower("anna/warehouse/1", "anna", "minute", "finished", 10_000)
STREAM = Stream("anna", "minute", 0)
BLOCK = OutboxBlock(STREAM, 3, 1_000, b"abc")


def firsts(catalog: SqlCatalog, stream: Stream = STREAM, offset: int = 0) -> list[int]:
    return [block.first for block in catalog.outbox_blocks(stream, offset, 100)]


def test_blocks_are_numbered_one_behind_the_other(catalog: SqlCatalog) -> None:
    catalog.follow(RELAY)
    assert catalog.outbox_extent(STREAM) == (0, 0)
    catalog.add_outbox([BLOCK, replace(BLOCK, records=2, at=2_000, state=b"\0\xff")])
    catalog.add_outbox([replace(BLOCK, stream=replace(STREAM, partition=1)), BLOCK])
    assert firsts(catalog) == [0, 3, 5]
    assert catalog.outbox_extent(STREAM) == (0, 8)
    assert catalog.outbox_extent(replace(STREAM, partition=1)) == (0, 3)
    assert catalog.outbox_ends("anna", "minute") == {0: 8, 1: 3}
    assert catalog.outbox_ends("anna", "hour") == {}
    second = replace(BLOCK, records=2, at=2_000, state=b"\0\xff", first=3)
    assert catalog.outbox_blocks(STREAM, 3) == catalog.outbox_blocks(STREAM, 4) == [second]
    assert catalog.outbox_blocks(STREAM, 8) == []
    assert catalog.outbox_at(STREAM, 1_001) == 3
    assert catalog.outbox_at(STREAM, 9_000) == 8
    assert catalog.outbox_waiting(STREAM, 4) == Waiting(4, 5)
    assert catalog.outbox_waiting(STREAM, 8) == Waiting(0, 0)


def test_blocks_commit_with_what_else_is_written(catalog: SqlCatalog) -> None:
    catalog.follow(RELAY)
    with suppress(ZeroDivisionError), catalog.transaction():
        catalog.add_outbox([BLOCK])
        raise ZeroDivisionError
    assert catalog.outbox_extent(STREAM) == (0, 0)


def test_what_was_passed_on_is_trimmed_and_numbers_go_on(catalog: SqlCatalog) -> None:
    catalog.follow(RELAY)
    catalog.add_outbox([BLOCK] * 3)
    catalog.trim_outbox(STREAM, 5)
    assert firsts(catalog) == [3, 6]  # the block of 3 to 5 has a number that waits
    catalog.trim_outbox(STREAM, 9)
    assert catalog.outbox_extent(STREAM) == (9, 9)
    assert catalog.outbox_streams("anna") == []
    catalog.add_outbox([BLOCK])
    assert catalog.outbox_extent(STREAM) == (9, 12)
    assert catalog.outbox_streams("anna", "minute") == [STREAM]
    assert catalog.outbox_streams("anna", "other") == []


def test_beyond_what_the_most_patient_follower_holds_the_oldest_goes(catalog: SqlCatalog) -> None:
    catalog.follow(replace(RELAY, hold=7))
    catalog.follow(replace(RELAY, relay="anna/other/2", hold=2))
    catalog.add_outbox([BLOCK] * 3)  # 9 bytes
    assert firsts(catalog) == [3, 6]
    catalog.add_outbox([replace(BLOCK, state=b"x" * 50)])  # one is never too large to be kept
    assert firsts(catalog) == [9]
    catalog.add_outbox([BLOCK])
    assert firsts(catalog) == [12]


def test_what_nobody_follows_is_not_written(catalog: SqlCatalog) -> None:
    catalog.add_outbox([BLOCK])
    assert catalog.outbox_extent(STREAM) == (0, 0)
    before = catalog.revision()
    catalog.follow(RELAY)
    assert catalog.revision() == before + 1
    both = replace(RELAY, relay="anna/other/2", gives="changed")
    catalog.follow(both)
    assert catalog.followed() == {("anna", "minute"): {"finished", "changed"}}
    catalog.add_outbox([BLOCK])
    catalog.unfollow(RELAY.relay)
    assert catalog.followers() == [both]
    assert firsts(catalog) == [0]
    catalog.unfollow(both.relay)
    assert catalog.followed() == {}
    assert catalog.outbox_extent(STREAM) == (3, 3)
    revision = catalog.revision()
    catalog.unfollow(both.relay)
    assert catalog.revision() == revision


def test_a_relay_that_turns_to_another_policy_leaves_nothing_behind(catalog: SqlCatalog) -> None:
    catalog.follow(RELAY)
    catalog.add_outbox([BLOCK])
    catalog.follow(replace(RELAY, hold=20_000))
    assert firsts(catalog) == [0]
    catalog.follow(replace(RELAY, policy="hour"))
    assert catalog.outbox_streams("anna") == []
    assert catalog.followed() == {("anna", "hour"): {"finished"}}


def test_a_block_is_replaced_by_one_with_less_in_it(catalog: SqlCatalog) -> None:
    catalog.follow(RELAY)
    catalog.add_outbox([BLOCK, BLOCK])
    catalog.replace_outbox(replace(BLOCK, state=b"a", first=3))
    assert [block.state for block in catalog.outbox_blocks(STREAM, 0, 9)] == [b"abc", b"a"]
    assert catalog.outbox_waiting(STREAM, 0) == Waiting(6, 4)
    catalog.replace_outbox(replace(BLOCK, state=b"a", first=77))  # it was trimmed meanwhile
    assert firsts(catalog) == [0, 3]


def test_a_block_of_a_newer_version_is_refused(catalog: SqlCatalog) -> None:
    catalog.follow(RELAY)
    catalog.add_outbox([BLOCK])
    with catalog._call() as connection:
        connection.execute(update(outbox_blocks).values(format=2))
    with pytest.raises(UnknownFormat, match="a newer version wrote it"):
        catalog.outbox_blocks(STREAM)
