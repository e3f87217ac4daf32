"""Files in a folder and in S3: whole, each record once, also after a crash between two files."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from relay_place import EGRESS, NOON, delivery, record
from tests.servers import s3

from lakebed.ports.objects import Objects
from lakebed.ports.relays import Record, TargetUnavailable
from lakebed.relays.targets.objects import KIND
from lakebed.relays.targets.objects.target import ObjectsTarget
from lakebed.relays.targets.target import Surroundings
from lakebed.stores.objects.store import open_objects
from lakebed.vocabulary.errors import StoreUnavailable
from lakebed.vocabulary.times import HOUR, SECOND

Open = Callable[..., ObjectsTarget]


@pytest.fixture(params=["folder", "bucket"])
def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Objects:
    if request.param == "folder":
        return open_objects(str(tmp_path / "exports"), make=True)
    server: s3.S3Server = request.getfixturevalue("s3_server")
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return open_objects(f"s3://{s3.BUCKET}/{tmp_path.name}")


@pytest.fixture
def opened(store: Objects) -> Open:
    return opener(store)


def opener(store: Objects) -> Open:
    def open(lane: int = 0, **options: object) -> ObjectsTarget:
        document = {"objects": "exports/", **options}
        assert KIND.check(document) == []
        around = Surroundings("ann/out/7", 3, lane, str, 20 * SECOND, EGRESS, lambda: store)
        target = KIND.open(document, around)
        assert isinstance(target, ObjectsTarget)
        return target

    return open


def files(store: Objects) -> dict[str, bytes]:
    return {name: store.get(name) for name in sorted(store.sizes()) if "/.relays/" not in name}


def test_records_come_once_in_files_of_their_folders(store: Objects, opened: Open) -> None:
    target = opened(path="{topic}/{date}/{hour}")
    assert target.position() is None
    late = Record("l", "../x y", NOON + HOUR, NOON, payload=b"\xff")
    first = delivery([record(1, "a/b"), late, record(2, "a/b")], 5)
    for _ in range(2):
        assert target.send(first) == ()
    target.send(delivery([record(6, "a/b")], 7))
    target.close()
    assert list(files(store)) == [
        "ann/exports/-/x%20y/2026-01-31/13/out-7-3.0-000000000005.ndjson",
        "ann/exports/a/b/2026-01-31/12/out-7-3.0-000000000005.ndjson",
        "ann/exports/a/b/2026-01-31/12/out-7-3.0-000000000007.ndjson",
    ]
    lines = list(files(store).values())[1].splitlines()
    assert [json.loads(line)["value"] for line in lines] == [{"n": 1}, {"n": 2}]
    again = opened()
    assert again.position() == 7
    assert opened(lane=1).position() is None


class Broken:
    """A store that fails at its n-th write."""

    def __init__(self, store: Objects, at: int) -> None:
        self._store, self._left, self.location = store, at, ""

    def put(self, name: str, source: bytes | Path) -> None:
        if self._left == 0:
            raise StoreUnavailable("the disk is full")
        self._left -= 1
        self._store.put(name, source)

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)


@pytest.mark.parametrize("at", range(5))
def test_a_crash_at_any_write_leaves_each_record_once(tmp_path: Path, at: int) -> None:
    store = open_objects(str(tmp_path / "exports"), make=True)
    sent = [record(n, f"t/{n}") for n in range(3)]
    opener(store)(path="{topic}").send(delivery([record(9, "t/9")], 1))
    target = opener(Broken(store, at))(path="{topic}")  # type: ignore[arg-type]
    with pytest.raises(TargetUnavailable, match="disk is full"):
        target.send(delivery(sent, 4))
    # another process takes over, and delivers in other pieces what is not there
    later = opener(store)(path="{topic}")
    position = later.position()
    assert position == (4 if at == 4 else 1)
    if position == 1:
        assert [name for name in files(store) if "t/9" not in name] == []
        later.send(delivery(sent[:1], 2))
        later.send(delivery(sent[1:], 4))
    found = [
        json.loads(line)["value"]["n"]
        for data in files(store).values()
        for line in data.splitlines()
    ]
    assert sorted(found) == [0, 1, 2, 9]


def test_csv_and_parquet_have_a_column_for_each_name(tmp_path: Path) -> None:
    store = open_objects(str(tmp_path / "exports"), make=True)
    windows = [
        Record("w", "a", NOON, NOON, "finished",
               {"start": NOON, "end": NOON + HOUR, "count": 2, "avg": 1.5}, policy="m"),
        Record("v", "=b", NOON, NOON, "finished",
               {"start": NOON, "end": NOON + HOUR, "last": {"x": [1]}, "avg": "n/a"}, policy="m"),
    ]  # fmt: skip
    for form in ("csv", "parquet"):
        opener(store)(lane=len(form), format=form).send(delivery(windows, 2))
    text, table = files(store).values()
    if text.startswith(b"PAR1"):
        text, table = table, text
    first, second = csv.DictReader(io.StringIO(text.decode()))
    assert (first["start"], first["count"], first["avg"]) == ("2026-01-31T12:00:00Z", "2", "1.5")
    assert (second["topic"], second["last"], second["count"]) == ("'=b", '{"x":[1]}', "")
    rows = pq.read_table(io.BytesIO(table))
    assert str(rows.schema.field("start").type) == "timestamp[us, tz=UTC]"
    assert rows["count"].to_pylist() == [2, None]
    assert rows["avg"].to_pylist() == ["1.5", "n/a"]


def test_every_mistake_is_named() -> None:
    wrong = {"objects": "../up", "format": "xlsx", "path": "{date"}
    assert [path[0] for path, _ in KIND.check(wrong)] == list(wrong)
    assert KIND.check({"objects": "/etc"}) != []
    assert KIND.check({"objects": "a/../b"}) != []
