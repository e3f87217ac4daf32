"""The catalog on each of its databases: every test of this folder runs on SQLite and PostgreSQL."""

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from catalog_place import Place
from tests.servers import postgres as postgres_server
from tests.servers import unavailable
from tests.servers.postgres import PostgresServer

from lakebed.stores.catalog.sql import SqlCatalog


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The server of the whole run. A module that harms it has one of its own by this name."""
    if importlib.util.find_spec("psycopg") is None:
        unavailable("the package psycopg")
    with postgres_server.found() as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.server("postgres"))])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "sqlite":
        url = "sqlite:catalog.db"
    else:
        url = request.getfixturevalue("postgres").create_schema()
    with _closing(Place(url, tmp_path)) as place:
        yield place


@pytest.fixture
def sqlite_place(tmp_path: Path) -> Iterator[Place]:
    with _closing(Place("sqlite:catalog.db", tmp_path)) as place:
        yield place


@pytest.fixture
def postgres_place(postgres: PostgresServer, tmp_path: Path) -> Iterator[Place]:
    with _closing(Place(postgres.create_schema(), tmp_path)) as place:
        yield place


@contextmanager
def _closing(place: Place) -> Iterator[Place]:
    yield place
    for catalog in place.opened:
        catalog.close()


@pytest.fixture
def catalog(place: Place) -> SqlCatalog:
    return place.open()


@pytest.fixture
def reopened(place: Place) -> Callable[[SqlCatalog], SqlCatalog]:
    """Close a catalog and open it again, as a restart does."""

    def reopen(catalog: SqlCatalog) -> SqlCatalog:
        catalog.close()
        return place.open()

    return reopen
