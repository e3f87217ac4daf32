"""What every object store does."""

from pathlib import Path

import pytest

from lakebed.errors import NotFound, SettingsError, StoreUnavailable
from lakebed.objects.store import open_objects
from lakebed.ports import Objects


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return open_objects(str(tmp_path / "place"), make=True)


def test_what_was_put_is_read_listed_replaced_and_deleted(objects: Objects, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"from a file")
    objects.put("a/b/one", b"1")
    objects.put("a/two", tmp_path / "file")
    objects.put("c", b"x")
    objects.put("c", b"yes")
    assert objects.get("c") == b"yes"
    assert objects.sizes("a/") == {"a/b/one": 1, "a/two": 11}
    assert objects.sizes() == {"a/b/one": 1, "a/two": 11, "c": 3}
    assert objects.folders() == {"a", "c"}
    objects.fetch("a/two", tmp_path / "fetched")
    assert (tmp_path / "fetched").read_bytes() == b"from a file"
    objects.delete("a/two")
    assert objects.sizes("a/") == {"a/b/one": 1}


def test_what_is_not_there_is_not_found(objects: Objects, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nothing"):
        objects.get("nothing")
    with pytest.raises(NotFound, match="nothing"):
        objects.fetch("nothing", tmp_path / "x")
    with pytest.raises(NotFound, match="no folder"):
        open_objects(str(tmp_path / "elsewhere"))


def test_files_of_a_folder_are_private(objects: Objects, tmp_path: Path) -> None:
    objects.put("a/one", b"1")
    assert (tmp_path / "place" / "a" / "one").stat().st_mode & 0o077 == 0


def test_places_that_are_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SettingsError, match="neither a folder nor"):
        open_objects("ftp://somewhere/else")
    with pytest.raises(StoreUnavailable):
        open_objects(str(tmp_path / "file" / "below"), make=True)
