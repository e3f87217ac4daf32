"""How exactly several gateways keep a limit together, by leases."""

import asyncio
import random

import pytest
from tests.gateways import AMOUNT, RATE, MemoryReports, World, steady

from lakebed.limits.leases import KIND, LEASE
from lakebed.ports.catalog.gateways import GatewayReport
from lakebed.vocabulary.errors import StoreUnavailable


@pytest.fixture
def store() -> MemoryReports:
    return MemoryReports()


@pytest.fixture
def world(store: MemoryReports) -> World:
    return World(lambda: store)


def test_a_gateway_alone_has_the_whole_limit(world: World) -> None:
    alone = world.add()
    world.run(3, steady(500))
    assert (alone.share, alone.leases.lease.share("other/")) == (1, 1)
    assert world.most_over() <= AMOUNT


@pytest.mark.parametrize(
    ("offered", "expected"),
    [
        ((500, 500), (50, 50)),
        ((500, 0), (95, 0)),  # all but what is reserved for the other
        ((500, 20), (75, 20)),  # who needs little has it, and a quarter more to grow
        ((30, 30), (30, 30)),  # together below the limit: everything passes
        ((500, 500, 10), (43, 43, 10)),
    ],
)
def test_gateways_let_through_the_limit_together_by_need(
    world: World, offered: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    world.start(len(offered))
    senders = [steady(rate) for rate in offered]
    world.run(8, *senders)
    found = world.run(20, *senders)
    for passed, wanted in zip(found, expected, strict=True):
        assert passed / 20 == pytest.approx(wanted, abs=2 + 0.04 * wanted)
    assert world.most_over() <= AMOUNT + 1


def test_a_sender_that_moves_from_one_to_another_gains_nothing(world: World) -> None:
    world.start(2)
    world.run(120, lambda at: 500 * (at // 7 % 2), lambda at: 500 * (1 - at // 7 % 2))
    assert world.most_over() <= AMOUNT + len(world.gateways)
    assert world.passed[-1] >= 0.5 * RATE * 120


def test_over_a_long_interval_what_was_sent_is_not_forgotten(world: World) -> None:
    first, second = world.start(2, "6000/1h")
    world.run(20, steady(1000), steady(0))
    assert world.passed[-1] >= 0.9 * 6000
    world.run(40, steady(0), steady(1000))
    world.run(40, steady(1000), steady(1000))
    assert world.passed[-1] <= 6000 + 100 * 6000 / 3600 + len(world.gateways)
    assert first.share + second.share <= 1 + 1e-9


def test_a_small_limit_passes_at_each_gateway(world: World) -> None:
    world.start(3, "1/1s")
    found = world.run(60, steady(10), steady(10), steady(10))
    assert min(found) >= 15
    assert sum(found) <= 1 + 60 + 3


def test_one_that_joins_begins_with_an_even_share(world: World) -> None:
    first = world.add()
    world.run(5, steady(500))
    second = world.add()
    assert second.leases.lease.share("other/") == 0.5
    assert second.share <= 0.5
    world.run(3, steady(500), steady(500))
    assert first.share == pytest.approx(0.5, abs=0.02)
    assert world.most_over() <= AMOUNT + 10  # what the newcomer has until the first gives way


def test_the_share_of_one_that_dies_goes_to_the_others(world: World, store: MemoryReports) -> None:
    first, second = world.start(2)
    world.run(5, steady(500), steady(500))
    second.away = True
    world.gateways.remove(second)
    world.run(LEASE - 2, steady(500))
    assert first.share == pytest.approx(0.5, abs=0.02)
    world.run(4, steady(500))
    assert first.share == 1
    assert world.most_over() <= AMOUNT + 2
    world.run(LEASE, steady(500))
    (left,) = store.gateway_reports([KIND])
    assert left.process == "gateway-0"


def test_without_the_catalog_the_last_lease_holds_and_then_an_even_share(world: World) -> None:
    first, second = world.start(2)
    world.run(8, steady(500), steady(0))
    assert first.share > 0.9
    first.away = second.away = True
    world.run(LEASE - 2, steady(500), steady(0))
    assert first.share > 0.9
    world.run(4, steady(500), steady(0))
    assert (first.share, second.share) == (0.5, 0.5)
    assert first.leases.lost
    first.away = second.away = False
    world.run(5, steady(500), steady(0))
    assert first.share > 0.9
    assert not first.leases.lost
    assert world.most_over() <= AMOUNT + 2


def test_a_renewal_of_unknown_outcome_takes_the_smaller_share(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = world.start(2)
    world.run(8, steady(500), steady(0))
    world.run(2, steady(0), steady(500))
    before = second.share
    exchange = second.leases.exchange

    def lost(*given: object) -> None:
        exchange(*given)  # type: ignore[arg-type]
        raise StoreUnavailable("the answer is lost")

    monkeypatch.setattr(second.leases, "exchange", lost)
    asyncio.run(second.leases._renew())
    assert second.share <= before
    assert first.share + second.share <= 1 + 1e-9


def test_a_lease_of_a_newer_version_counts_as_an_even_share(
    world: World, store: MemoryReports
) -> None:
    first = world.add()
    store.put_reports([GatewayReport("newer", KIND, 1, 2**60, b"\xff", 99)])
    first.renew()
    assert first.leases.gateways == 2
    assert first.share == 0.5


def test_shares_are_never_more_than_the_limit_together_whatever_is_sent(world: World) -> None:
    rng = random.Random(3)
    gateways = world.start(4)
    for _ in range(60):
        world.run(1, *(steady(rng.choice([0, 0, 5, 60, 500])) for _ in gateways))
        for gateway in gateways:
            assert sum(one.share for one in gateways) <= 1 + 1e-6
            gateway.renew()
    assert world.most_over() <= AMOUNT + len(gateways)
