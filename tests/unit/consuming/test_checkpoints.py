"""A partition has one worker, the last that claimed it: nobody else saves."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lakebed.consuming.checkpoints import PartitionCheckpoints
from lakebed.consuming.retry import Retry
from lakebed.ports.catalog.checkpoints import Checkpoint
from lakebed.stores.catalog.sql import SqlCatalog, open_catalog
from lakebed.vocabulary.errors import Superseded


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[SqlCatalog]:
    opened = open_catalog("sqlite:catalog.db", tmp_path)
    yield opened
    opened.close()


def claimed(catalog: SqlCatalog, consumer: str = "counting") -> PartitionCheckpoints:
    made = PartitionCheckpoints(catalog, Retry(), consumer, 0)
    made.claim()
    return made


def test_who_claims_later_has_what_was_saved_and_the_other_saves_nothing_more(
    catalog: SqlCatalog,
) -> None:
    first = claimed(catalog)
    first.save([Checkpoint("counts", 5, b"five")])
    assert first.is_ours()
    heir = claimed(catalog)
    assert not first.is_ours()
    with pytest.raises(Superseded):
        first.save([Checkpoint("counts", 7, b"")], beside={"examples": [Checkpoint("x", 7, b"")]})
    assert heir.load() == [Checkpoint("counts", 5, b"five")]
    assert heir.load("examples") == []


def test_consumers_have_claims_and_parts_of_their_own(catalog: SqlCatalog) -> None:
    counting, relay = claimed(catalog), claimed(catalog, "relay")
    counting.save([Checkpoint("once", 5, b"a"), Checkpoint("once:1", 5, b"b")])
    relay.save([Checkpoint("once", 3, b"c")])
    counting.save([Checkpoint("once", 6, b"d")], drop=["once:1"])
    assert counting.load() == [Checkpoint("once", 6, b"d")]
    assert relay.load() == [Checkpoint("once", 3, b"c")]


def test_what_is_saved_beside_has_a_name_of_its_own(catalog: SqlCatalog) -> None:
    checkpoints = claimed(catalog)
    checkpoints.save([], beside={"examples": [Checkpoint("ann", 5, b"x")], "others": []})
    assert checkpoints.load() == []
    assert checkpoints.load("examples") == [Checkpoint("ann", 5, b"x")]
