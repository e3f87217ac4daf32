"""The story of a keeper whose catalog is on a failing disk: policies, values, places are saved.

The journal and the series store are whole here. Whatever fails: the next run ends with the answers
of a run in which nothing failed.
"""

import asyncio
import json
import pickle
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from lakebed.consuming.retry import Retry
from lakebed.ingest.building import BatchBuilder
from lakebed.keeper import ledger
from lakebed.keeper.settings import KeeperSection
from lakebed.runtime.settings import Settings
from lakebed.stores.catalog.sql import SqlCatalog, open_catalog
from lakebed.stores.journal.memory import MemoryJournal
from lakebed.vocabulary.errors import LakebedError
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.times import MINUTE, SECOND
from tests.faults.journal import Tell
from tests.keyed import KeyedSeries
from tests.shards import claimed_shard

BEGIN = 1_790_000_000 * SECOND // MINUTE * MINUTE
STEP = 9 * SECOND
BASE = {"topics": ["#"], "type": "number"}
POLICIES = [
    {**BASE, "name": "all", "keep": "archive"},
    {**BASE, "name": "ring", "keep": "last_n", "count": 5},
    {**BASE, "name": "now", "keep": "last_value"},
    {**BASE, "name": "minutes", "keep": "aggregate", "every": "1m", "functions": ["sum", "count"]},
]
MESSAGES, EACH = 24, 6


class LastingSeries(KeyedSeries):
    """Its inserts stand in a file, beside the folder that faults are armed for."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        if path.exists():
            with path.open("rb") as file:
                while file.peek(1):
                    super().write(*pickle.load(file))

    def write(self, table: str, rows: pa.Table) -> None:
        super().write(table, rows)
        with self._path.open("ab") as file:
            pickle.dump((table, rows), file)


def prepare(folder: Path) -> None:
    folder.mkdir(parents=True)
    open_catalog("sqlite:catalog.db", folder).close()
    whole = folder.with_name("whole")
    whole.mkdir()
    folder.with_name("expected.json").write_text(json.dumps(_run(whole)))


def live(folder: Path, tell: Tell) -> None:
    try:
        _run(folder)
    except LakebedError as error:
        tell("left", str(error))


def survey(folder: Path, told: list[list[Any]], tell: Tell) -> None:
    found = json.loads(json.dumps(_run(folder)))
    if found != json.loads(folder.with_name("expected.json").read_text()):
        tell("wrong", f"other answers: {found}")


def _run(folder: Path) -> list[Any]:
    """Take over, read everything there is, write, save; returns what is kept then."""
    series = LastingSeries(folder.with_name(folder.name + ".rows"))
    catalog = open_catalog("sqlite:catalog.db", folder)
    try:
        _put_policies(catalog)
        _keep(catalog, series)
        last = [asdict(value) for value in catalog.last_values("ann")]
        return [repr(series.rows()), last, repr(ledger.load(catalog).totals)]
    finally:
        catalog.close()


def _put_policies(catalog: SqlCatalog) -> None:
    """As an operator does, who asks again when told that it did not work."""
    for _ in range(20):
        try:
            catalog.put_policies("ann", POLICIES)
        except LakebedError:
            continue
        return
    raise AssertionError("policies are never taken")


def _keep(catalog: SqlCatalog, series: KeyedSeries) -> None:
    journal = _journal()
    retry = Retry(first_pause=0.001)
    settings = Settings(keeper=KeeperSection(checkpoint=0))
    shard = claimed_shard(catalog, series, journal, settings, retry=retry)
    while True:
        now = BEGIN + shard.offset * STEP
        if (
            shard.replayed
            and (revision := retry.until_available(catalog.revision)) != shard.revision
        ):
            shard.adopt(revision, retry.until_available(catalog.policies), now)
        entries = journal.entries(0, shard.offset, EACH)
        if not entries:
            break
        shard.absorb(entries)
        now = BEGIN + shard.offset * STEP
        shard.flush(now)
        shard.checkpoint(now)
    shard.flush(now + MINUTE, final=True)
    shard.checkpoint(now + MINUTE, final=True)


def _journal() -> MemoryJournal:
    """The same messages in every run."""
    journal = MemoryJournal()
    for start in range(0, MESSAGES, EACH):
        builder = BatchBuilder()
        for i in range(start, start + EACH):
            builder.extend([Channel("ann", f"t{i % 3}")], [b"%d" % (i * i)], BEGIN + i * STEP)
        asyncio.run(journal.append(builder.build()))
    return journal
