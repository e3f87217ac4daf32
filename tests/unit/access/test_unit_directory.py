"""The units in memory follow the catalog."""

import asyncio

import pytest
from tests.units import Units

from lakebed.access.unit_directory import UnitDirectory


@pytest.fixture
def units():
    return Units()


def test_a_unit_is_found_by_uuid_anywhere_and_by_name_in_its_owner(units):
    units.put("lamp")
    units.put("pump", owner="bob")
    directory = UnitDirectory(units)
    asyncio.run(directory.refresh())
    assert directory.find("lamp", "ann").name == directory.find("UUID-LAMP", "bob").name == "lamp"
    assert directory.find("pump", "ann") is None
    assert directory.find("pump", "bob").owner == "bob"


def test_a_unit_that_is_named_like_the_uuid_of_another_counts_as_the_name(units):
    units.put("lamp")
    units.put("uuid-lamp")
    directory = UnitDirectory(units)
    asyncio.run(directory.refresh())
    assert directory.find("uuid-lamp", "ann").name == "uuid-lamp"


def test_nobody_takes_what_a_unit_of_another_owner_sends_by_its_uuid_as_a_name(units):
    units.put("pump", owner="bob")
    units.put("uuid-pump", owner="ann")
    directory = UnitDirectory(units)
    asyncio.run(directory.refresh())
    assert directory.find("uuid-pump", "ann").owner == "bob"


def test_changes_are_told_and_nothing_is_read_without_one(units):
    units.put("lamp", "pump")
    directory, told = UnitDirectory(units), []
    directory.watch(told.append)
    asyncio.run(directory.refresh())
    asked = units.asked
    asyncio.run(directory.refresh())
    assert units.asked == asked
    units.block("lamp")
    units.remove("pump")
    units.put("fan")
    asyncio.run(directory.refresh())
    assert directory.is_blocked(directory.find("lamp", "ann"))
    assert directory.find("pump", "ann") is None
    assert len(directory) == 2
    assert told == [None, {"uuid-lamp", "uuid-pump", "uuid-fan"}]


def test_the_units_of_a_blocked_owner_are_blocked(units):
    units.put("lamp")
    directory, told = UnitDirectory(units), []
    asyncio.run(directory.refresh())
    directory.watch(told.append)
    units.block_owner("ann")
    asyncio.run(directory.refresh())
    assert directory.is_blocked(directory.find("lamp", "ann"))
    assert told == [None]


def test_what_is_known_counts_while_the_catalog_is_away(units):
    async def story():
        units.put("lamp")
        directory = UnitDirectory(units)
        units.away = True
        await directory.refresh()
        assert directory.failing == "away"
        waiting = asyncio.ensure_future(directory.loaded())
        await asyncio.sleep(0)
        assert not waiting.done()
        units.away = False
        await directory.refresh()
        await waiting
        units.away = True
        units.remove("lamp")
        await directory.refresh()
        assert directory.find("lamp", "ann") is not None

    asyncio.run(story())


def test_a_catalog_that_has_lost_its_last_changes_is_read_anew(units):
    units.put("lamp")
    units.put("fan")
    directory = UnitDirectory(units)
    asyncio.run(directory.refresh())
    del units.there["uuid-fan"]
    units.revision -= 1
    asyncio.run(directory.refresh())
    assert directory.find("fan", "ann") is None
    assert directory.find("lamp", "ann") is not None


def test_units_that_are_not_followed_any_more_end_the_process(units):
    async def story():
        failed = []
        directory = UnitDirectory(units, failed.append)
        units.owners = None  # whatever is wrong with it
        directory.follow()
        await asyncio.wait([directory._following])
        await asyncio.sleep(0)
        assert len(failed) == 1

    asyncio.run(story())
