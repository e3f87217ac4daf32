import sys
from pathlib import Path

import pytest
from sqlalchemy import URL

from lakebed.stores.catalog.engine import engine_for
from lakebed.vocabulary.errors import SettingsError


def url_of(text: str, home: Path = Path("/home/lakebed")) -> URL:
    engine = engine_for(text, home)
    engine.dispose()
    return engine.url


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:catalog.db", "/home/lakebed/catalog.db"),
        ("sqlite:deep/catalog.db", "/home/lakebed/deep/catalog.db"),
        ("sqlite:/var/lib/catalog.db", "/var/lib/catalog.db"),
        ("sqlite:///var/lib/catalog.db", "/var/lib/catalog.db"),
        ("sqlite:odd ?name=1#%41.db", "/home/lakebed/odd ?name=1#%41.db"),
    ],
)
def test_a_sqlite_path_counts_from_the_home_and_is_taken_as_written(url: str, path: str) -> None:
    assert Path(str(url_of(url).database)) == Path(path)


def test_a_postgres_url_keeps_what_it_says_and_gains_time_limits() -> None:
    pytest.importorskip("psycopg")
    url = url_of("postgresql://ann:p%40ss@db:5433/lake?sslmode=require&connect_timeout=60")
    assert (url.username, url.password, url.host, url.port) == ("ann", "p@ss", "db", 5433)
    assert url.database == "lake"
    assert url.query["sslmode"] == "require"
    assert url.query["connect_timeout"] == "60"  # the user's word counts
    assert "tcp_user_timeout" in url.query


@pytest.mark.parametrize(
    "url", ["", "catalog.db", "sqlite:", "mysql://db/lake", "postgres", "postgresql:lake"]
)
def test_another_url_is_refused_and_says_what_is_allowed(url: str) -> None:
    with pytest.raises(SettingsError, match=r"catalog\.url: write sqlite:PATH or postgresql://"):
        url_of(url)


def test_a_port_that_is_no_number_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"catalog\.url"):
        url_of("postgresql://db:port/lake")


def test_postgres_without_its_driver_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(SettingsError, match=r"psycopg: install lakebed\[postgres\]"):
        url_of("postgresql://db/lake")
