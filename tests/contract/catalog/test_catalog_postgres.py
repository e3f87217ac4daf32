"""What only a server can do: be shared, break, stop, come back."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from catalog_place import Place
from tests.servers.postgres import PostgresServer, running

from lakebed.ports.catalog.checkpoints import Checkpoint
from lakebed.ports.catalog.last_values import LastValue
from lakebed.stores.catalog.engine import POSTGRES_WAITS
from lakebed.vocabulary.errors import SettingsError, StoreUnavailable

pytestmark = pytest.mark.server("postgres")
VALUE = LastValue("ann", "now", "plant/1", "number", 1_000, 21.5, 4, 0, 7)
BREAK = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'lakebed'"


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    """A server of its own. Who stops it starts it again."""
    with running() as server:
        yield server


def test_several_may_open_an_empty_database_at_once(postgres_place: Place) -> None:
    threads = [threading.Thread(target=postgres_place.open) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [catalog.revision() for catalog in postgres_place.opened] == [0] * 5


def test_what_one_process_writes_another_reads(postgres_place: Place) -> None:
    writer, reader = postgres_place.open(), postgres_place.open()
    writer.put_policies("ann", [{"name": "raw"}])
    assert reader.revision() == 1
    assert reader.policies() == writer.policies()


def test_a_partition_is_taken_from_a_process_that_was_suspended_while_it_saved(
    postgres_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(POSTGRES_WAITS, "idle_in_transaction_session_timeout", "100ms")
    suspended = postgres_place.open()
    term = suspended.claim("keeper", 0)

    def save_slowly() -> None:
        with suspended.transaction():
            suspended.save_checkpoints("keeper", 0, [Checkpoint("part", 1, b"")], [], term)
            assert postgres_place.open().claim("keeper", 0) == term + 1

    with pytest.raises(StoreUnavailable):
        save_slowly()
    assert suspended.checkpoints("keeper", 0) == {}


def test_who_waits_for_a_lock_does_not_wait_for_ever(
    postgres_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(POSTGRES_WAITS, "lock_timeout", "100ms")
    holder, waiter = postgres_place.open(), postgres_place.open()
    with holder.transaction():
        term = holder.claim("keeper", 0)
        with pytest.raises(StoreUnavailable, match="lock timeout"):
            waiter.claim("keeper", 0)
    assert waiter.claim("keeper", 0) == term + 1


def test_bulk_writes_of_the_same_values_in_opposite_orders_do_not_block_each_other(
    postgres_place: Place,
) -> None:
    values = [LastValue("ann", "now", f"t/{i}", "number", i, i, 1, 0, i) for i in range(500)]
    orders = (values, values[::-1])
    catalogs = [postgres_place.open() for _ in orders]
    errors: list[Exception] = []

    def write(place: int) -> None:
        try:
            for _ in range(5):
                catalogs[place].upsert_last(orders[place])
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(place,)) for place in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(catalogs[0].last_values("ann")) == 500


def test_connections_that_break_are_replaced(
    postgres_place: Place, postgres: PostgresServer
) -> None:
    catalog = postgres_place.open()
    catalog.upsert_last([VALUE])
    postgres.sql(BREAK)
    assert catalog.last_values("ann") == [VALUE]


def test_a_server_that_stops_makes_the_catalog_unavailable_until_it_is_back(
    postgres_place: Place, postgres: PostgresServer
) -> None:
    catalog = postgres_place.open()
    catalog.upsert_last([VALUE])
    postgres.stop()
    try:
        assert not catalog.health().ok
        with pytest.raises(StoreUnavailable):
            catalog.upsert_last([VALUE])
        with pytest.raises(StoreUnavailable):
            postgres_place.open()
    finally:
        postgres.start()
    assert catalog.health().ok
    assert catalog.last_values("ann") == [VALUE]


def test_a_connection_that_breaks_inside_a_transaction_undoes_it(
    postgres_place: Place, postgres: PostgresServer
) -> None:
    catalog = postgres_place.open()

    def write_and_lose_the_connection() -> None:
        with catalog.transaction():
            catalog.upsert_last([VALUE])
            postgres.sql(BREAK)
            catalog.last_values("ann")

    with pytest.raises(StoreUnavailable):
        write_and_lose_the_connection()
    assert catalog.last_values("ann") == []


def test_a_database_in_another_encoding_is_refused(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    options = "ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'"
    with pytest.raises(SettingsError, match="SQL_ASCII; it must be UTF8"):
        Place(postgres.create_database(options), tmp_path).open()
