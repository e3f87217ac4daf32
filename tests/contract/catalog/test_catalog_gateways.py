"""Reports of gateways, and the leases of limits that are made of them."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import pytest
from catalog_place import Place
from sqlalchemy.engine import make_url
from tests.crash.network import Proxy
from tests.gateways import AMOUNT, RATE, Gateway, World, steady
from tests.servers.postgres import PostgresServer

from lakebed.limits.leases import LEASE, Leases
from lakebed.ports.catalog.gateways import GatewayReport
from lakebed.stores.catalog.sql import SqlCatalog, open_catalog


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


class Ways:
    """To a PostgreSQL server, one for each gateway."""

    def __init__(self, url: str, home: Path, stack: ExitStack) -> None:
        self.proxies: list[Proxy] = []
        self.world = World(self._open)
        self._url, self._home, self._stack = make_url(url), home, stack
        self._server = f"{self._url.query['host']}/.s.PGSQL.5432"

    def _open(self) -> SqlCatalog:
        proxy = self._stack.enter_context(Proxy([self._server]))
        self.proxies.append(proxy)
        url = self._url.difference_update_query(["host"]).set(host="127.0.0.1", port=proxy.port)
        catalog = open_catalog(url.render_as_string(False), self._home)
        self._stack.callback(catalog.close)
        return catalog

    def start(self) -> tuple[Gateway, Gateway]:
        """Two gateways, which renew as a process does; all is sent to the first."""
        first, second = self.world.start(2)
        for gateway in (first, second):
            gateway.renew = lambda leases=gateway.leases: _renew(leases)  # type: ignore[method-assign, misc]
        self.world.run(6, steady(500), steady(0))
        assert first.share > 0.9
        return first, second

    def lose(self, *gone: int) -> None:
        for one in gone:
            self.proxies[one].targets = []
            self.proxies[one].cut()

    def find(self) -> None:
        for proxy in self.proxies:
            proxy.targets = [self._server]


def _renew(leases: Leases) -> None:
    asyncio.run(leases._renew())
    leases.check()


@pytest.fixture
def ways(postgres: PostgresServer, tmp_path: Path) -> Iterator[Ways]:
    with ExitStack() as stack:
        yield Ways(postgres.create_schema(), tmp_path, stack)


@pytest.mark.server("postgres")
def test_gateways_that_lose_the_catalog_keep_the_limit_by_their_last_leases_and_then_evenly(
    ways: Ways,
) -> None:
    first, second = ways.start()
    ways.lose(0, 1)
    ways.world.run(LEASE - 2, steady(500), steady(500))
    assert first.share > 0.9
    ways.world.run(4, steady(500), steady(500))
    assert (first.share, second.share) == (0.5, 0.5)
    assert first.leases.lost
    assert second.leases.lost
    ways.find()
    ways.world.run(2, steady(500), steady(500))
    assert not first.leases.lost
    assert first.share + second.share <= 1 + 1e-9
    assert ways.world.most_over() <= AMOUNT + 2


@pytest.mark.server("postgres")
def test_while_one_of_two_gateways_loses_the_catalog_half_as_much_more_passes(ways: Ways) -> None:
    first, second = ways.start()
    ways.lose(0)
    ways.world.run(LEASE + 3, steady(500), steady(500))
    assert (first.share, second.share) == (0.5, 1)
    found = ways.world.run(10, steady(500), steady(500))
    assert sum(found) <= 1.5 * RATE * 10 + 2
    ways.find()
    ways.world.run(3, steady(500), steady(500))
    assert first.share + second.share <= 1 + 1e-9
    found = ways.world.run(5, steady(500), steady(500))
    assert sum(found) <= RATE * 5 + 2


@pytest.mark.server("postgres")
def test_a_catalog_that_hangs_is_a_lost_one_until_it_answers(ways: Ways) -> None:
    first, second = ways.start()

    async def story() -> None:
        ways.proxies[0].stall(0.5)
        renewal = asyncio.create_task(first.leases._renew())
        await asyncio.sleep(0.05)
        ways.world.clock.at += LEASE
        first.leases.check()
        assert (first.share, first.leases.lost) == (0.5, True)
        await renewal

    asyncio.run(story())
    ways.world.run(3, steady(500), steady(0))
    assert not first.leases.lost
    assert first.share + second.share <= 1 + 1e-9


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
