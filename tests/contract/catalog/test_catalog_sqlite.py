"""What only a file can do: belong to one process, be damaged, fill its disk."""

import stat

import pytest
from catalog_place import Place
from sqlalchemy import text

from lakebed.ports.catalog.checkpoints import Checkpoint
from lakebed.vocabulary.errors import Fatal, StoreUnavailable


def test_the_file_is_for_its_user_and_one_process_alone(
    sqlite_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lakebed.stores.catalog.engine._BUSY", 50)
    catalog = sqlite_place.open()
    file = sqlite_place.home / "catalog.db"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with pytest.raises(StoreUnavailable, match="locked"):
        sqlite_place.open()
    catalog.close()
    sqlite_place.open()


def test_a_commit_is_synced_to_disk_before_it_returns(sqlite_place: Place) -> None:
    with sqlite_place.open()._call() as connection:
        pragmas = {
            name: connection.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("synchronous", "journal_mode", "foreign_keys")
        }
    assert pragmas == {
        "synchronous": 2,
        "journal_mode": "wal",
        "foreign_keys": 1,
    }


def test_folders_on_the_way_are_made(sqlite_place: Place) -> None:
    sqlite_place.url = "sqlite:a/b/catalog.db"
    sqlite_place.open()
    assert (sqlite_place.home / "a" / "b" / "catalog.db").is_file()


def test_a_path_that_cannot_be_is_unavailable(sqlite_place: Place) -> None:
    (sqlite_place.home / "file").touch()
    sqlite_place.url = "sqlite:file/catalog.db"
    with pytest.raises(StoreUnavailable, match="file"):
        sqlite_place.open()


def test_a_file_that_is_no_database_is_fatal(sqlite_place: Place) -> None:
    (sqlite_place.home / "catalog.db").write_bytes(b"whatever its name says" * 100)
    with pytest.raises(Fatal, match="not a database"):
        sqlite_place.open()


def test_a_full_disk_makes_it_unavailable_and_room_makes_it_work_again(sqlite_place: Place) -> None:
    catalog = sqlite_place.open()
    with catalog._call() as connection:
        connection.execute(text("PRAGMA max_page_count = 40"))
    large = [Checkpoint("router", 1, b"x" * 1_000_000)]
    with pytest.raises(StoreUnavailable, match="full"):
        catalog.save_checkpoints("keeper", 0, large)
    with catalog._call() as connection:
        connection.execute(text("PRAGMA max_page_count = 1000000"))
    catalog.save_checkpoints("keeper", 0, large)
    assert catalog.checkpoints("keeper") == {0: large}
