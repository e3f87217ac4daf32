"""Consumers besides the keeper, when a home is moved or its journal is lost."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from lakebed.migration import consumers
from lakebed.ports.catalog.backfills import Backfill
from lakebed.ports.catalog.checkpoints import Checkpoint
from lakebed.ports.catalog.outbox import Follower
from lakebed.ports.journal.journal import Journal
from lakebed.runtime.settings import Settings
from lakebed.stores import opening
from lakebed.vocabulary.errors import Conflict
from lakebed.vocabulary.messages import Batch, Channel


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


@pytest.fixture
def journal(settings: Settings) -> Iterator[Journal]:
    with closing(opening.open_journal(settings)) as journal:
        yield journal


def append(journal: Journal, count: int) -> None:
    times = np.zeros(count, np.int64)
    batch = Batch((Channel("a", "t"),), np.zeros(count, np.int32), [b"1"] * count, times)
    asyncio.run(journal.append(batch))


def test_a_consumer_that_would_lose_messages_keeps_a_home_from_being_moved(
    journal: Journal,
) -> None:
    journal.consumer("keeper").close()
    consumers.check(journal.positions())
    journal.consumer("counting").close()
    append(journal, 3)
    with pytest.raises(Conflict, match=r"'counting' has 3 messages.*drop-consumer counting"):
        consumers.check(journal.positions())
    journal.drop_consumer("counting")
    consumers.check(journal.positions())


def test_checkpoints_move_only_where_they_belong_to_no_partition() -> None:
    rows = [{"consumer": name} for name in ("keeper", "examples", "counting", "migration")]
    assert consumers.movable(rows) == [{"consumer": "examples"}, {"consumer": "migration"}]
    relays = [{"consumer": "relays", "part": part} for part in ("head", "ann/a/1", "ann/b/2")]
    assert consumers.movable(relays, {"ann/b/2"}) == relays[2:]


def test_relays_that_read_from_the_outbox_move_with_their_backfills(settings: Settings) -> None:
    with closing(opening.open_catalog(settings)) as catalog:
        catalog.follow(Follower("ann/a/1", "ann", "minute", "finished", 1))
        wanted = Backfill("ann/a/1", "ann", "a", 0, "minute", "finished", 0, 1)
        backfill = catalog.begin_backfill(wanted)
        assert consumers.followers(catalog) == {"ann/a/1", backfill.id}


def test_a_new_journal_begins_behind_the_checkpoints_of_all_consumers(settings: Settings) -> None:
    with closing(opening.open_catalog(settings)) as catalog:
        catalog.save_checkpoints("keeper", 0, [Checkpoint("ledger", 10, b"")])
        catalog.save_checkpoints("counting", 0, [Checkpoint("counts", 25, b"")])
        with closing(opening.open_journal(settings, after=catalog)) as journal:
            assert journal.extent() == {0: (25, 25)}
