"""Reports of gateways, and the leases of limits that are made of them."""

import asyncio
from itertools import pairwise

import pytest
from catalog_place import Place
from tests.gateways import AMOUNT, World, steady

from lakebed.limits.leases import LEASE
from lakebed.ports.catalog.gateways import GatewayReport
from lakebed.stores.catalog.sql import SqlCatalog


@pytest.fixture
def world(place: Place) -> World:
    first = place.open()
    if place.url.startswith("sqlite"):  # one process has the file
        return World(lambda: first)
    return World(place.open)


def test_gateways_keep_a_limit_together_while_senders_move_and_one_dies(world: World) -> None:
    first, second, third = world.start(3)
    senders = steady(500), steady(20), steady(0)
    world.run(5, *senders)
    found = world.run(5, *senders)
    assert found[0] >= 5 * 65
    assert found[1] == 5 * 20
    world.run(5, steady(0), steady(500), steady(500))
    assert first.share + second.share + third.share <= 1 + 1e-9
    third.away = True
    world.gateways.remove(third)
    world.run(LEASE + 2, steady(500), steady(500))
    assert first.share + second.share == pytest.approx(1, abs=0.02)
    assert world.most_over() <= AMOUNT + 3


def test_one_that_stops_gives_its_share_back_at_once(world: World) -> None:
    first, second = world.start(2)
    world.run(3, steady(500), steady(500))
    asyncio.run(second.leases.leave())
    world.gateways.remove(second)
    world.run(2, steady(500))
    assert first.share == 1
    assert world.most_over() <= AMOUNT + 2  # the share comes as empty as it was


def report(process: str, kind: str = "k", beat: int = 1, state: bytes = b"") -> GatewayReport:
    return GatewayReport(process, kind, beat, 5, state, 1)


def test_a_report_replaces_the_one_before_and_is_removed_with_its_process(
    catalog: SqlCatalog,
) -> None:
    catalog.put_reports([report("a"), report("b"), report("b", "other")])
    catalog.put_reports([report("a", beat=2, state=b"\0x")])
    assert catalog.gateway_reports(["k"]) == [report("a", beat=2, state=b"\0x"), report("b")]
    catalog.remove_reports(["b", "c"])
    assert catalog.gateway_reports(["k", "other"]) == [report("a", beat=2, state=b"\0x")]


def test_an_exchange_sees_what_those_before_it_wrote_and_writes_nothing_where_it_fails(
    catalog: SqlCatalog,
) -> None:
    seen: list[list[GatewayReport]] = []

    def make(found: object) -> GatewayReport:
        seen.append(list(found))  # type: ignore[call-overload]
        if len(seen) == 3:
            raise ZeroDivisionError
        return report(f"p{len(seen)}")

    catalog.put_reports([report("elsewhere", "other")])
    catalog.exchange_report("k", make)
    catalog.exchange_report("k", make)
    with pytest.raises(ZeroDivisionError):
        catalog.exchange_report("k", make)
    assert seen == [[], [report("p1")], [report("p1"), report("p2")]]
    assert all(a.process < b.process for a, b in pairwise(catalog.gateway_reports(["k"])))
