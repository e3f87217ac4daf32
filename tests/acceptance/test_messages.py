"""What commands say when a disk is full, read-only or not theirs: the place, the cause, the way."""

import os
import shutil
import time
from pathlib import Path

import pytest

from tests import processes
from tests.acceptance.test_disks import Logging
from tests.crash.surroundings import FULL, READ_ONLY, Weather, turn_disk, weather

pytestmark = [
    pytest.mark.slow(15),
    pytest.mark.timeout(300),
    pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler"),
]


def _said(*words: str | Path, environment: dict[str, str] | None = None) -> str:
    done = processes.lakebed(*words, environment=environment)
    assert done.returncode != 0, done.stdout
    assert "Traceback" not in done.stderr
    return done.stderr


def test_the_full_disk_is_named_whichever_it_is(tmp_path: Path) -> None:
    home, place, other = (tmp_path / name for name in ("home", "place", "other"))
    server = Logging(home)
    surroundings = Weather(server, tmp_path)
    flags = ("--home", home)
    with server:
        server.put_policy(name="all", topics=["#"], type="number", keep="archive")
        server.send("plant/1", "1")
        server.settle(lambda flow: flow["kept"] == 1)
        surroundings.disk(FULL)
        begun = time.monotonic()
        said = _said("forget", "plant/1", "--yes", "--url", server.url, *flags)
        assert f"0 MiB are free on the disk of {home}" in said
        assert time.monotonic() - begun < 15
        said = _said("backup", place, *flags)
        assert str(home) in said
        assert "free some space" in said
        surroundings.disk(0)
        assert server.stop() == 0

    for state, words in ((FULL, "No space left"), (READ_ONLY, "Read-only file system")):
        for folder in (place, other):
            folder.mkdir(exist_ok=True)
        shim = tmp_path / f"shim-{state}"
        (shim / "place").mkdir(parents=True)
        (shim / "other").mkdir()
        at_place = weather(shim / "place", place)
        turn_disk(Path(at_place["WEATHER"]), state)
        said = _said("backup", place, *flags, environment=at_place)
        assert str(place) in said
        assert str(home) not in said
        assert words in said
        if not (place / "manifests").exists():
            assert processes.lakebed("backup", place, *flags).returncode == 0
        at_other = weather(shim / "other", other)
        turn_disk(Path(at_other["WEATHER"]), state)
        said = _said("restore", place, "--home", other, environment=at_other)
        assert str(other) in said
        assert words in said
        assert str(place) not in said


def test_an_object_store_without_credentials_is_told_and_no_address_of_a_cloud_is_asked() -> None:
    nothing = {name: "" for name in os.environ if name.startswith("AWS_")}
    said = _said("backups", "s3://bucket/prefix", environment=nothing)
    assert "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in said
    assert "Error performing" not in said
