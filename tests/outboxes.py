"""A keeper's shard with a catalog and a journal, and what it notes for relays."""

import asyncio
from copy import copy
from pathlib import Path
from typing import Any

import pyarrow as pa
from sqlalchemy import event

from lakebed.ingest.building import BatchBuilder
from lakebed.keeper.shard import Shard
from lakebed.outbox.blocks import decode
from lakebed.ports.catalog.outbox import Follower, Gives, Stream
from lakebed.runtime.settings import Settings
from lakebed.stores.catalog.sql import SqlCatalog, open_catalog
from lakebed.stores.journal.memory import MemoryJournal
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.sparse import Sparse
from lakebed.vocabulary.times import SECOND, Micros
from tests.shards import claimed_shard

NOW = 1_790_000_040 * SECOND  # a whole minute
ARCHIVE = {"name": "all", "topics": ["#"], "type": "number", "keep": "archive"}
MINUTES = {"name": "minute", "topics": ["#"], "type": "number", "keep": "aggregate", "every": "1m"}
LAST = {"name": "last", "topics": ["#"], "type": "number", "keep": "last_value", "every": "0s"}


class Crash(BaseException):
    """The process ends here."""


class World:
    """One owner, whose rows go to `series`, or else stay in `rows`."""

    def __init__(self, folder: Path, series: Any = None, owner: str = "anna") -> None:
        self.series, self.owner = self if series is None else series, owner
        self.catalog: SqlCatalog = open_catalog("sqlite:catalog.db", folder)
        self.journal, self.settings = MemoryJournal(), Settings()
        self.rows: dict[Any, dict[str, Any]] = {}  # of windows, by their key
        self.seconds, self.partition = 1000.0, 0
        self.left: int | None = None  # statements until the process ends
        event.listen(self.catalog._engine, "before_cursor_execute", self._count)

    def _count(self, *_: Any) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                self.left = None
                raise Crash

    def write(self, table: str, rows: pa.Table) -> None:
        for row in rows.to_pylist():
            if "start" in row:
                key = row["topic"], row["start"], row["fragment"]
                if key not in self.rows or self.rows[key]["version"] <= row["version"]:
                    self.rows[key] = row

    def shard(self) -> Shard:
        """A keeper's shard that takes over, as after a start or a crash."""
        return claimed_shard(
            self.catalog, self.series, self.journal, self.settings, partition=self.partition,
            end=self.journal.end, monotonic=lambda: self.seconds,
        )  # fmt: skip

    def beside(self, partition: int) -> "World":
        """Another partition of the same home."""
        other = copy(self)
        other.journal, other.partition = MemoryJournal(), partition
        return other

    def policies(self, *documents: dict[str, Any]) -> None:
        self.catalog.put_policies(self.owner, documents)

    def follow(self, policy: str, *gives: Gives) -> None:
        for one in gives:
            self.catalog.follow(
                Follower(f"{self.owner}/{policy}-{one}/1", self.owner, policy, one, 10**9)
            )

    def adopt(self, shard: Shard, now: Micros = NOW) -> None:
        shard.adopt(self.catalog.revision(), self.catalog.policies(), now)

    def send(self, *values: float, topic: str = "t", event: Micros = NOW,
             received: Micros = NOW) -> None:  # fmt: skip
        payloads = [str(value).encode() for value in values]
        self.send_payloads(*payloads, topic=topic, event=event, received=received)

    def send_payloads(self, *payloads: bytes, topic: str = "t", event: Micros = NOW,
                      received: Micros = NOW) -> None:  # fmt: skip
        n, builder = len(payloads), BatchBuilder()
        sparse = Sparse(event=[event] * n)
        builder.extend([Channel(self.owner, topic)] * n, payloads, received, sparse)
        asyncio.run(self.journal.append(builder.build()))

    def read(self, shard: Shard) -> None:
        while entries := self.journal.entries(0, shard.offset, 1000):
            shard.absorb(entries)

    def turn(self, shard: Shard, now: Micros = NOW, final: bool = False) -> None:
        self.read(shard)
        shard.flush(now, final)
        self.seconds += 5
        shard.checkpoint(now, final)

    def noted(self, policy: str) -> list[dict[str, Any]]:
        blocks = self.catalog.outbox_blocks(Stream(self.owner, policy, 0), 0, 10_000)
        places = [
            block.first + row["place"] for block in blocks for row in decode(block).rows.to_pylist()
        ]
        assert places == sorted(set(places))
        return [row for block in blocks for row in decode(block).rows.to_pylist()]
