"""How the loss of a series is found, recorded in the catalog before its tables, and forgotten."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lakebed.backup import loss as losses
from lakebed.backup import loss_report
from lakebed.backup.loss import Loss, open_detecting_loss
from lakebed.kinds import TABLES
from lakebed.ports.catalog.checkpoints import Checkpoint
from lakebed.ports.health import Health
from lakebed.ports.series import Missing
from lakebed.runtime.settings import Settings
from lakebed.stores.catalog.sql import SqlCatalog, open_catalog
from lakebed.vocabulary.errors import Conflict, NotFound, StoreUnavailable, Superseded

ALL = tuple(TABLES)
ROUTER = Checkpoint("router", 9, b"state")


class Tables:
    """A series that has tables, or not, and whose creation of tables may fail."""

    def __init__(self) -> None:
        self.there: set[str] = set()
        self.broken: tuple[str, ...] = ()
        self.away = False

    def missing(self) -> Missing:
        gone = tuple(name for name in ALL if name not in self.there)
        return Missing(len(gone) == len(ALL), broken=self.broken, tables=gone)

    def migrate(self) -> None:
        if self.away:
            raise StoreUnavailable("away")
        self.there = set(ALL)

    def close(self) -> None:
        """Nothing is open."""


class World:
    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.catalog: SqlCatalog = open_catalog("sqlite:catalog.db", folder)
        self.home, self.tables = folder / "home", Tables()
        monkeypatch.setattr(losses, "open_series", lambda settings, make: self.tables)

    def open(self) -> Loss | None:
        settings = Settings(home=self.home)
        return open_detecting_loss(settings, self.catalog)[1]

    def work(self, partition: int = 0) -> int:
        """A keeper has a partition, and saves; returns the term of its claim."""
        term = self.catalog.claim("keeper", partition)
        self.catalog.save_checkpoints("keeper", partition, [ROUTER], term=term)
        return term

    def finish(self, loss: Loss, **result: Any) -> None:
        losses.finish(self.catalog, msgspec.structs.replace(loss, done=True, **result))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = World(tmp_path, monkeypatch)
    yield made
    made.catalog.close()


def lost(world: World) -> Loss:
    """A series that was worked with and lost, and opened again."""
    world.open()
    world.work()
    world.tables.there.clear()
    found = world.open()
    assert found is not None
    return found


def test_a_new_series_is_no_loss(world: World) -> None:
    assert world.open() is None
    assert world.open() is None


def test_a_loss_is_recorded_before_the_tables_are_created(world: World) -> None:
    """A keeper that dies in between, with its home, leaves all to the next one."""
    world.open()
    world.work()
    world.tables.there.clear()
    world.tables.away = True
    with pytest.raises(StoreUnavailable):
        world.open()
    noted = losses.read(world.catalog)
    assert noted is not None
    assert not noted.created
    assert losses.checkpoints(world.catalog) == {0: [ROUTER]}
    world.tables.away = False
    found = world.open()
    assert found is not None
    assert found.created
    assert found.at == noted.at, "it is the same loss"
    assert losses.is_unfinished(world.catalog)


def test_keepers_at_work_lose_their_claims_and_begin_again_at_the_copied_checkpoints(
    world: World,
) -> None:
    world.open()
    term, silent = world.work(), world.catalog.claim("keeper", 1)  # one has saved nothing yet
    world.tables.there.clear()
    assert world.open() is not None
    for partition, old in ((0, term), (1, silent)):
        with pytest.raises(Superseded):
            world.catalog.save_checkpoints("keeper", partition, [ROUTER], term=old)
    assert losses.checkpoints(world.catalog) == {0: [ROUTER]}


def test_what_another_start_finds_again_is_the_same_loss(world: World) -> None:
    found = lost(world)
    assert world.open() == found
    world.finish(found)
    assert losses.read(world.catalog) is None
    assert losses.checkpoints(world.catalog) == {}
    assert world.open() is None


def test_a_loss_during_a_rebuild_begins_it_again(world: World) -> None:
    first = lost(world)
    world.work()
    world.tables.there.clear()
    second = world.open()
    assert second is not None
    assert second.at != first.at
    world.finish(first)  # by the process that rebuilt the first
    assert losses.is_unfinished(world.catalog)


def test_one_table_that_is_gone_is_a_loss_and_one_that_never_was_is_none(world: World) -> None:
    world.tables.there = set(ALL[1:])  # as an earlier version left it
    world.work()
    assert world.open() is None
    world.tables.there.discard(ALL[0])
    found = world.open()
    assert found is not None
    assert (found.everything, found.tables) == (False, (ALL[0],))


def test_a_damaged_part_is_told_of_once_and_does_not_shorten_a_rebuild(world: World) -> None:
    first = lost(world)
    assert first.everything
    world.tables.broken = ("archive/broken-on-start_1",)
    second = world.open()
    assert second is not None
    assert (second.everything, second.broken) == (True, world.tables.broken)
    world.finish(second)
    assert world.open() is None
    world.tables.broken = ()
    assert world.open() is None
    world.tables.broken = ("archive/broken-on-start_1",)  # of another series, by the same name
    assert world.open() is not None


def test_what_is_missing_stays_until_it_was_acknowledged(world: World) -> None:
    catalog, well = world.catalog, Health(True)
    with pytest.raises(NotFound):
        losses.acknowledge(catalog, 0)
    found = lost(world)
    assert "being rebuilt" in loss_report.health(catalog, well).message
    with pytest.raises(Conflict):
        losses.acknowledge(catalog, 0)
    world.finish(found, missing=7)
    message = loss_report.health(catalog, well).message
    assert "7 messages are in no backup" in message
    assert "lakebed series acknowledge" in message
    with pytest.raises(Conflict, match="7"):
        losses.acknowledge(catalog, 6)
    losses.acknowledge(catalog, 7)
    assert loss_report.health(catalog, well) == well


def test_where_nothing_is_missing_it_is_well_by_itself(world: World) -> None:
    world.finish(lost(world), remarks=("backup x is damaged",))
    assert loss_report.health(world.catalog, Health(True)).ok
    assert not losses.is_unfinished(world.catalog)


def test_a_loss_that_nobody_acknowledged_is_not_forgotten_for_the_next(world: World) -> None:
    world.finish(lost(world), missing=7)
    world.work()
    world.tables.there.clear()
    second = world.open()
    assert second is not None
    world.finish(second)
    assert "7 messages" in loss_report.health(world.catalog, Health(True)).message


def test_the_record_of_an_earlier_version_moves_from_the_home_to_the_catalog(world: World) -> None:
    world.tables.there = set(ALL)
    world.home.mkdir()
    at_loss = {0: [Checkpoint("router", 5, b"")]}
    (world.home / "series.lost.json").write_bytes(msgspec.json.encode(Loss("gone", 1)))
    (world.home / "series.lost.checkpoints").write_bytes(msgspec.msgpack.encode(at_loss))
    (world.home / "series.lost.known").write_bytes(b'["archive/broken"]')
    world.tables.broken = ("archive/broken",)
    world.work()
    found = world.open()
    assert found is not None
    assert (found.reason, found.created) == ("gone", True)
    assert losses.checkpoints(world.catalog) == at_loss
    assert list(world.home.iterdir()) == []
