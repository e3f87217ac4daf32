"""Orders about parked stretches: made once, carried out by one process at a time."""

import threading
from dataclasses import replace

import pytest
from catalog_place import Place

from lakebed.ports.catalog.parking import ParkedOrder
from lakebed.stores.catalog.sql import SqlCatalog
from lakebed.vocabulary.times import MINUTE, SECOND

NOW = 1_790_000_000 * SECOND
RELEASE = ParkedOrder("ann", 0, 5, 90, 7, 70, "release", 5, asked=NOW)
DROP = replace(RELEASE, first=100, last=120, wish="drop", next=100, asked=NOW + 1)


def test_a_stretch_that_has_an_order_keeps_it(catalog: SqlCatalog) -> None:
    assert catalog.order_parked([RELEASE, DROP]) == 2
    other = replace(RELEASE, wish="drop", messages=99)
    elsewhere = replace(RELEASE, partition=1, asked=NOW - 1)
    assert catalog.order_parked([other, elsewhere]) == 1
    assert catalog.parked_orders() == [elsewhere, RELEASE, DROP]


def test_a_release_belongs_to_one_process_until_its_claim_runs_out(catalog: SqlCatalog) -> None:
    catalog.order_parked([DROP, RELEASE])
    assert catalog.claim_release(NOW, NOW + MINUTE) == RELEASE
    assert catalog.claim_release(NOW + SECOND, NOW + 2 * MINUTE) is None
    catalog.advance_release(RELEASE, 40, False, NOW + 2 * MINUTE)
    assert catalog.claim_release(NOW + MINUTE + SECOND, NOW + 3 * MINUTE) is None
    # the process has died: another goes on where it stood
    taken = catalog.claim_release(NOW + 3 * MINUTE, NOW + 4 * MINUTE)
    assert taken == replace(RELEASE, next=40)
    catalog.advance_release(taken, 91, True, NOW + 5 * MINUTE)
    assert catalog.claim_release(NOW + 9 * MINUTE, NOW + 10 * MINUTE) is None
    assert catalog.parked_orders() == [replace(RELEASE, next=91, done=True), DROP]


def test_what_is_settled_is_gone_and_may_be_ordered_again(catalog: SqlCatalog) -> None:
    catalog.order_parked([RELEASE, DROP])
    catalog.settle_parked(RELEASE)
    catalog.settle_parked(RELEASE)
    assert catalog.parked_orders() == [DROP]
    assert catalog.order_parked([RELEASE]) == 1


@pytest.mark.server("postgres")
def test_of_processes_that_claim_at_once_one_gets_it(postgres_place: Place) -> None:
    catalogs = [postgres_place.open() for _ in range(4)]
    catalogs[0].order_parked([RELEASE])
    together = threading.Barrier(len(catalogs))
    claimed: list[ParkedOrder | None] = []

    def claim(catalog: SqlCatalog) -> None:
        together.wait(20)
        claimed.append(catalog.claim_release(NOW, NOW + MINUTE))

    threads = [threading.Thread(target=claim, args=(catalog,)) for catalog in catalogs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(claimed) == 4
    assert [one for one in claimed if one is not None] == [RELEASE]
