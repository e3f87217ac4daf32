"""Taking and reading backups, with a series of ours; catalog, journal and objects are real."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lakebed.backup import manifest as manifests
from lakebed.backup.lineage import Lineage
from lakebed.backup.restoring import check, load_series
from lakebed.backup.service import Backups
from lakebed.backup.taking import Cancelled, Progress, Stores, sweep, take
from lakebed.ingest.building import BatchBuilder
from lakebed.ports.objects import Objects
from lakebed.ports.series import Part
from lakebed.stores.catalog.sql import open_catalog
from lakebed.stores.journal.sqlite import SqliteJournal
from lakebed.stores.objects.store import open_objects
from lakebed.vocabulary.errors import Conflict, Invalid, NotFound, StoreUnavailable
from lakebed.vocabulary.messages import Channel


class Tables:
    """A series whose parts are given; also its own snapshot."""

    def __init__(self, parts: dict[str, list[int]]) -> None:
        self.tables = parts
        self.read_parts: list[str] = []
        self.inserted: list[int] = []

    def snapshot(self) -> "Tables":
        return self

    def parts(self) -> list[Part]:
        return [Part("archive", "1", h, h, len(v), 8 * len(v)) for h, v in self.tables.items()]

    def read(self, part: Part, rows: int) -> Iterator[pa.Table]:
        self.read_parts.append(part.hash)
        yield pa.table({"offset": self.tables[part.hash]})

    def write(self, table: str, rows: pa.Table) -> None:
        self.inserted += rows["offset"].to_pylist()

    def close(self) -> None:
        pass


class World:
    def __init__(self, folder: Path) -> None:
        self.catalog = open_catalog("sqlite:catalog.db", folder)
        self.journal = SqliteJournal(folder / "journal.db")
        self.journal.consumer("keeper")
        self.series: Any = Tables({"p": [1, 2], "q": [3]})
        self.objects: Objects = open_objects(str(folder / "place"), make=True)
        self.stores = Stores(
            self.catalog, self.journal, self.series, Lineage("me"), folder, lambda: self.quiesce()
        )

    @contextmanager
    def quiesce(self) -> Iterator[None]:
        yield

    def send(self, count: int) -> None:
        builder = BatchBuilder()
        builder.extend([Channel("ann", "x")] * count, [b"1"] * count, 7)
        asyncio.run(self.journal.append(builder.build()))

    def close(self) -> None:
        self.journal.close()
        self.catalog.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.close()


def test_a_backup_says_what_it_holds_and_gives_it_back(world: World) -> None:
    world.send(5)
    made = take(world.stores, world.objects)
    assert (made.messages, made.position, made.rows) == (5, {0: 5}, {"archive": 3})
    assert manifests.read(world.objects, made.name) == made
    assert manifests.choose(world.objects, None) == made
    assert check(world.objects, made) == []
    loaded: list[int] = []
    load_series(world.objects, made, world.series, loaded.append)
    assert world.series.inserted == [1, 2, 3]
    assert sum(loaded) == sum(piece.size for part in made.series for piece in part.pieces)


def test_parts_that_are_there_are_not_read_again(world: World) -> None:
    take(world.stores, world.objects)
    world.series.tables = {"q": [3], "r": [4]}
    world.series.read_parts.clear()
    second = take(world.stores, world.objects)
    assert world.series.read_parts == ["r"]
    assert second.written < second.size
    assert check(world.objects, second) == []


def test_a_part_whose_object_has_gone_is_written_again(world: World) -> None:
    first = take(world.stores, world.objects)
    world.objects.delete(first.series[0].pieces[0].name)
    assert [problem.what for problem in check(world.objects, first)] == ["it is missing"]
    assert check(world.objects, take(world.stores, world.objects)) == []


def test_old_backups_leave_with_what_only_they_need(world: World) -> None:
    take(world.stores, world.objects)
    world.series.tables = {"q": [3], "r": [4]}
    second = take(world.stores, world.objects)
    world.objects.put("series/archive/1/left-0.parquet", b"by one that was interrupted")
    assert len(sweep(world.objects, keep=1)) == 1
    assert manifests.names(world.objects) == [second.name]
    assert set(world.objects.sizes("series/")) == {
        piece.name for part in second.series for piece in part.pieces
    }
    assert check(world.objects, second) == []


def test_with_a_damaged_manifest_nothing_it_may_need_is_removed(world: World) -> None:
    first = take(world.stores, world.objects)
    world.objects.put(f"manifests/{first.name}.json", b'{"sha256": "", "manifest": {}}')
    world.series.tables = {"r": [4]}
    take(world.stores, world.objects)
    before = world.objects.sizes()
    assert sweep(world.objects) == []
    assert world.objects.sizes() == before


def test_a_backup_that_fails_on_the_way_is_none(world: World) -> None:
    def broken(part: Part, rows: int) -> Iterator[pa.Table]:
        raise StoreUnavailable("away")

    world.series.read = broken
    with pytest.raises(StoreUnavailable):
        take(world.stores, world.objects)
    assert manifests.names(world.objects) == []
    with pytest.raises(NotFound, match="no complete backup"):
        manifests.choose(world.objects, None)
    assert list(world.stores.scratch.glob("backup-*")) == []
    assert world.journal.health().ok


def test_a_backup_that_is_cancelled_is_none(world: World) -> None:
    with pytest.raises(Cancelled):
        take(world.stores, world.objects, Progress(cancelled=True))
    assert manifests.names(world.objects) == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[:-20] + b"\x00" + data[-19:],
        lambda data: data.replace(b'"messages":5', b'"messages":6'),
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        lambda data: b"[]",
    ],
)
def test_a_manifest_that_was_changed_is_refused(
    spoil: Callable[[bytes], bytes], world: World
) -> None:
    world.send(5)
    name = take(world.stores, world.objects).name
    place = f"manifests/{name}.json"
    world.objects.put(place, spoil(world.objects.get(place)))
    with pytest.raises(Invalid, match=place):
        manifests.read(world.objects, name)


def test_a_manifest_of_a_newer_format_is_refused_and_says_so(world: World) -> None:
    made = take(world.stores, world.objects)
    manifests.write(world.objects, replace_format(made, 99))
    with pytest.raises(Invalid, match="format 99"):
        manifests.read(world.objects, made.name)


def replace_format(made: manifests.Manifest, form: int) -> manifests.Manifest:
    fields = {name: getattr(made, name) for name in made.__struct_fields__}
    return manifests.Manifest(**fields | {"format": form})


def test_the_place_of_another_home_is_refused(world: World) -> None:
    take(world.stores, world.objects)
    with pytest.raises(Conflict, match="another home"):
        take(replace(world.stores, lineage=Lineage("other")), world.objects)


def test_a_restored_home_keeps_its_history_up_to_where_it_parted(world: World) -> None:
    world.send(5)
    first = take(world.stores, world.objects)
    world.send(5)
    second = take(world.stores, world.objects)
    restored = Lineage("me").fork(first)
    assert restored.name != "me"
    assert restored.contains(first)
    assert not restored.contains(second)
    stores = replace(world.stores, lineage=restored)
    with pytest.raises(Conflict, match="--take-over"):
        take(stores, world.objects)
    assert len(manifests.names(world.objects)) == 2  # the original's, which goes on
    take(world.stores, world.objects)
    take(stores, world.objects, take_over=True)
    take(stores, world.objects)
    with pytest.raises(Conflict, match="another home"):
        take(world.stores, world.objects)


def at_rest(backups: Backups) -> dict[str, Any]:
    """The last one, once it has ended."""
    deadline = time.monotonic() + 60
    while (state := backups.state())["running"] is not None:
        assert time.monotonic() < deadline, state
        time.sleep(0.01)
    last: dict[str, Any] = state["last"]
    return last


def test_a_server_takes_one_backup_at_a_time_and_tells_how_it_ended(world: World) -> None:
    backups = Backups(world.stores, lambda place: world.objects)
    assert backups.state() == {"running": None, "last": None}
    with world.journal.changed:  # a backup cannot look at the journal
        backups.begin("there", None)
        with pytest.raises(Conflict, match="is running"):
            backups.begin("there", None)
    assert at_rest(backups)["name"] == manifests.names(world.objects)[0]
    backups.close()


def test_the_last_backup_is_known_after_a_restart_and_those_at_its_place(world: World) -> None:
    notes = Notes()
    backups = Backups(world.stores, lambda place: world.objects, notes=notes)
    backups.begin("there", None)
    name = at_rest(backups)["name"]
    again = Backups(world.stores, lambda place: world.objects, notes=notes)
    assert again.state()["last"]["name"] == name
    assert [(one["name"], one["state"]) for one in again.at("there")] == [(name, "complete")]


class Notes:
    def __init__(self) -> None:
        self.texts: dict[str, str | None] = {}

    def note(self, name: str) -> str | None:
        return self.texts.get(name)

    def write_note(self, name: str, text: str | None) -> None:
        self.texts[name] = text


def test_a_server_tells_why_a_backup_failed(world: World) -> None:
    def refuse() -> Any:
        raise StoreUnavailable("the tables are away")

    world.series.snapshot = refuse
    backups = Backups(world.stores, lambda place: world.objects)
    backups.begin("there", None)
    assert at_rest(backups)["error"] == "the tables are away"
