"""What every object store does: a folder, and S3."""

from pathlib import Path

import pytest
from tests.servers import s3

from lakebed.ports.objects import Objects
from lakebed.stores.objects.store import open_objects
from lakebed.vocabulary.errors import NotFound, SettingsError, StoreUnavailable


@pytest.fixture
def bucket(
    request: pytest.FixtureRequest, s3_server: s3.S3Server, monkeypatch: pytest.MonkeyPatch
) -> Objects:
    """A place of its own in the bucket."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return open_objects(f"s3://{s3.BUCKET}/{request.node.name}")


@pytest.mark.parametrize("name", ["AWS_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
def test_the_server_may_be_named_by_each_of_the_usual_variables(
    name: str, s3_server: s3.S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["AWS_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"]
    for key, value in s3_server.environment.items():
        monkeypatch.setenv(key, value)
    for weaker in names:
        monkeypatch.setenv(weaker, "http://127.0.0.1:9")
    for stronger in names[names.index(name) + 1 :]:
        monkeypatch.delenv(stronger)
    monkeypatch.setenv(name, s3_server.environment["AWS_ENDPOINT"])
    objects = open_objects(f"s3://{s3.BUCKET}/{name}")
    objects.put("a", b"1")
    assert objects.sizes() == {"a": 1}


@pytest.fixture
def folder(tmp_path: Path) -> Objects:
    return open_objects(str(tmp_path / "place"), make=True)


@pytest.fixture(params=["folder", "bucket"])
def objects(request: pytest.FixtureRequest) -> Objects:
    found: Objects = request.getfixturevalue(request.param)
    return found


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
    assert objects.sizes("nothing/") == {}


def test_names_and_content_may_be_anything(objects: Objects) -> None:
    content = {"a b/c%20d": b"", "a b/ö?&+": bytes(range(256)), "a b/=": b"x" * 100_000}
    for name, data in content.items():
        objects.put(name, data)
    assert {name: objects.get(name) for name in objects.sizes("a b/")} == content


def test_more_objects_than_a_page_of_the_store_holds_are_all_listed(bucket: Objects) -> None:
    names = {f"many/{number:04}" for number in range(1100)}
    for name in names:
        bucket.put(name, b"")
    assert set(bucket.sizes("many/")) == names


def test_a_file_of_many_megabytes_comes_back_whole(objects: Objects, tmp_path: Path) -> None:
    rows = b"".join(number.to_bytes(8) for number in range(3_000_000))  # 24 MB, in several parts
    (tmp_path / "large").write_bytes(rows)
    objects.put("large", tmp_path / "large")
    objects.fetch("large", tmp_path / "fetched")
    assert (tmp_path / "fetched").read_bytes() == rows
    assert objects.sizes()["large"] == len(rows)


def test_a_folder_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no folder"):
        open_objects(str(tmp_path / "elsewhere"))


def test_a_store_that_is_killed_says_so_and_has_everything_when_it_is_back(
    bucket: Objects, s3_server: s3.S3Server
) -> None:
    bucket.put("a/one", b"1")
    s3_server.kill()
    try:
        for act in (
            lambda: bucket.put("a/two", b"2"), lambda: bucket.get("a/one"), bucket.sizes
        ):  # fmt: skip
            with pytest.raises(StoreUnavailable, match="s3://"):
                act()
    finally:
        s3_server.start()
    bucket.put("a/two", b"2")
    assert bucket.get("a/one") == b"1"
    assert bucket.sizes("a/") == {"a/one": 1, "a/two": 1}


def test_credentials_that_are_wrong_are_told_of(
    bucket: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    with pytest.raises(StoreUnavailable, match="cannot write x"):
        open_objects(f"s3://{s3.BUCKET}/other").put("x", b"")


def test_files_of_a_folder_are_private(folder: Objects, tmp_path: Path) -> None:
    folder.put("a/one", b"1")
    assert (tmp_path / "place" / "a" / "one").stat().st_mode & 0o077 == 0


def test_places_that_are_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SettingsError, match="neither a folder nor"):
        open_objects("ftp://somewhere/else")
    with pytest.raises(StoreUnavailable):
        open_objects(str(tmp_path / "file" / "below"), make=True)
