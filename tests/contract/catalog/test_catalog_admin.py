"""The admin's token: made once, however many processes start on one catalog."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from catalog_place import Place

from lakebed.runtime.admin_token import ensure_admin
from lakebed.stores.catalog.sql import SqlCatalog

GIVEN = "g" * 32
OTHER = "o" * 32


def token(home: Path) -> str:
    return (home / "admin.token").read_text().strip()


def test_a_first_start_makes_a_token_that_only_its_user_can_read(
    catalog: SqlCatalog, tmp_path: Path
) -> None:
    ensure_admin(catalog, tmp_path, ours=False)
    found = catalog.find_token(token(tmp_path))
    assert found is not None
    assert found.admin
    assert (tmp_path / "admin.token").stat().st_mode & 0o777 == 0o600


def test_a_second_home_does_not_end_the_token_of_the_first(
    catalog: SqlCatalog, tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    ensure_admin(catalog, first, ours=False)
    ensure_admin(catalog, second, ours=False)
    assert catalog.find_token(token(first)) is not None
    assert not (second / "admin.token").exists()


def test_a_home_alone_makes_a_deleted_token_anew(catalog: SqlCatalog, tmp_path: Path) -> None:
    ensure_admin(catalog, tmp_path, ours=True)
    before = token(tmp_path)
    (tmp_path / "admin.token").unlink()
    ensure_admin(catalog, tmp_path, ours=True)
    assert catalog.find_token(before) is None
    assert catalog.find_token(token(tmp_path)) is not None


def test_a_token_that_is_given_replaces_the_one_in_force_and_writes_no_file(
    catalog: SqlCatalog, tmp_path: Path
) -> None:
    ensure_admin(catalog, tmp_path, ours=False)
    for given in (GIVEN, GIVEN, OTHER):
        ensure_admin(catalog, tmp_path / "other", given, ours=False)
        found = catalog.find_token(given)
        assert found is not None
        assert found.admin
    assert catalog.find_token(token(tmp_path)) is None
    assert catalog.find_token(GIVEN) is None
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("given", [None, GIVEN])
def test_processes_that_start_together_agree_on_one_token(
    postgres_place: Place, tmp_path: Path, given: str | None
) -> None:
    def start(number: int) -> SqlCatalog:
        catalog = postgres_place.open()
        ensure_admin(catalog, tmp_path / str(number), given, ours=False)
        return catalog

    with ThreadPoolExecutor(6) as pool:
        catalogs = list(pool.map(start, range(6)))
    assert [(i.owner, i.name) for i in catalogs[0].tokens()] == [("admin", "admin")]
    written = [token(path) for path in tmp_path.iterdir() if (path / "admin.token").exists()]
    assert len(written) == (1 if given is None else 0)
    assert catalogs[0].find_token(given or written[0]) is not None
