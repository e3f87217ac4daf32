"""Documents and cut-offs in a catalog."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from lakebed.access.principals import Kind, Principal
from lakebed.limits.book import LimitBook
from lakebed.limits.stored import StoredLimits
from lakebed.ports.accounts.owners import Owner
from lakebed.ports.accounts.units import Unit
from lakebed.stores.catalog.sql import SqlCatalog, open_catalog
from lakebed.vocabulary.limits import Over, Rate
from lakebed.vocabulary.times import HOUR, SECOND

SMALL = {"messages": "2/1h", "over": "cut", "cut_for": "1h"}


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[SqlCatalog]:
    catalog = open_catalog("sqlite:catalog.db", tmp_path)
    catalog.add_owner(Owner("plant", limits={"messages": "9/1s"}))
    yield catalog
    catalog.close()


def add(catalog: SqlCatalog, name: str, **limits: str) -> Unit:
    ((unit, _),) = catalog.put_units([Unit("", "plant", name, ("#",), limits=limits)])
    return unit


def principal(unit: Unit) -> Principal:
    return Principal(Kind.UNIT, unit.owner, unit.name, unit=unit.uuid)


def test_changes_are_read_once_and_a_removed_document_is_gone(catalog: SqlCatalog) -> None:
    stored = StoredLimits(catalog, catalog)
    unit = add(catalog, "shed", messages="1/1s")
    assert stored.changed_documents() == {
        ("plant", ""): {"messages": "9/1s"},
        ("plant", unit.uuid): {"messages": "1/1s"},
    }
    assert stored.changed_documents() is None
    catalog.delete_unit(unit.uuid)
    catalog.change_owner("plant", limits={})
    assert stored.changed_documents() == {}


def test_a_unit_that_is_cut_off_is_blocked_in_the_catalog_and_comes_back(
    catalog: SqlCatalog,
) -> None:
    unit = add(catalog, "shed", **SMALL)
    at = 100.0
    book = LimitBook(store=StoredLimits(catalog, catalog), clock=lambda: at)
    asyncio.run(book.start())
    allowance = book.of(principal(unit))
    verdict = allowance.decide([1, 1, 1])
    assert verdict is not None
    assert verdict.over is Over.CUT
    asyncio.run(book._tell_cut())
    blocked = catalog.unit_by_uuid(unit.uuid)
    assert blocked is not None
    assert blocked.blocked
    stored = StoredLimits(catalog, catalog)
    assert stored.end_cut_offs(blocked.updated + HOUR // 2) == []
    assert stored.end_cut_offs(blocked.updated + 2 * HOUR) == [unit.uuid]
    assert stored.end_cut_offs(blocked.updated + 2 * HOUR) == []
    back = catalog.unit_by_uuid(unit.uuid)
    assert back is not None
    assert not back.blocked
    at += 3600
    assert allowance.decide([1]) is None


def test_a_unit_is_cut_off_with_the_end_of_it_or_not_at_all(
    catalog: SqlCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit = add(catalog, "shed")

    def die(name: str, text: str | None) -> None:
        raise SystemExit

    monkeypatch.setattr(catalog, "write_note", die)
    with pytest.raises(SystemExit):
        StoredLimits(catalog, catalog).cut_off(unit.uuid, HOUR)
    left = catalog.unit_by_uuid(unit.uuid)
    assert left is not None
    assert not left.blocked


def test_what_somebody_changed_meanwhile_is_left_as_it_is(catalog: SqlCatalog) -> None:
    unit = add(catalog, "shed")
    stored = StoredLimits(catalog, catalog)
    stored.cut_off(unit.uuid, 1)
    catalog.block_unit(unit.uuid, False)
    catalog.block_unit(unit.uuid, True)
    assert stored.end_cut_offs(2) == []


def test_defaults_hold_where_a_document_says_nothing(catalog: SqlCatalog) -> None:
    stored = StoredLimits(catalog, catalog)
    book = LimitBook({"bytes": "5/1s", "over": "park"}, {"messages": "3/1s"}, stored)
    asyncio.run(book.start())
    unit = add(catalog, "shed")
    allowance = book.of(principal(unit))
    assert allowance.unit is not None
    assert allowance.unit.limits.messages == (Rate(3, SECOND),)
    assert allowance.owner.limits.messages == (Rate(9, SECOND),)
    assert allowance.owner.limits.bytes == (Rate(5, SECOND),)
    assert allowance.owner.limits.over is Over.PARK
    assert book.of(principal(unit)) is allowance


def test_units_are_counted_and_those_near_a_limit_named(catalog: SqlCatalog) -> None:
    now = [1000.0]
    book = LimitBook({}, {"messages": "10/1s"}, clock=lambda: now[0])
    allowance = book.of(Principal(Kind.UNIT, "plant", "shed", unit="u"))
    assert allowance.unit is not None
    for _ in range(5):
        allowance.unit.note_sent(9, 90)
        book.tick()
        now[0] += 1
    book.tick()
    ((subject, limit, used),) = book.usage.warned
    assert (subject.name, limit) == ("shed", "messages 10/1s")
    assert used == pytest.approx(0.9)
    assert book.load.units.loads(now[0], "1m")["plant", "u"].messages_now == 9
