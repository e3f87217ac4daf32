"""What it costs the keeper that relays follow a policy: the same shard without and with a follower.

    python -m bench.outbox

CPU time of the thread that absorbs, drains and saves; the series takes nothing and costs nothing,
the catalog is SQLite in a folder of its own. The best of several runs; pairs take turns.
"""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any, cast

from tests.shards import claimed_shard

from bench.report import Report
from lakebed.ingest.building import BatchBuilder
from lakebed.ports.catalog.outbox import Follower, Gives
from lakebed.runtime.settings import Settings
from lakebed.stores.catalog.sql import open_catalog
from lakebed.stores.journal.memory import MemoryJournal
from lakebed.stores.journal.settings import JournalSection
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.times import MINUTE, SECOND

_TOPICS, _OF_A_TURN, _RUNS = 1_000, 10_000, 5
_BEGIN = 1_790_000_040 * SECOND
_POLICIES: dict[str, tuple[Gives, dict[str, Any]]] = {
    "archive, kept": ("kept", {"keep": "archive"}),
    "aggregate, finished": ("finished", {"keep": "aggregate", "every": "1m"}),
    "aggregate, changed": ("changed", {"keep": "aggregate", "every": "1m"}),
    "last_value, changed": ("changed", {"keep": "last_value", "every": "1s"}),
}


class _Nowhere:
    """A series that takes rows for nothing."""

    def write(self, table: str, rows: object) -> None: ...


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--messages", type=int, default=500_000)
    given = parser.parse_args()
    turns = max(1, given.messages // _OF_A_TURN)
    journal = _journal(turns)
    figures: dict[str, Any] = {}
    for name, (gives, document) in _POLICIES.items():
        best = [float("inf")] * 2
        for _ in range(_RUNS):
            for followed in (False, True):
                best[followed] = min(
                    best[followed], _run(journal, turns, gives, document, followed)
                )
        alone, followed_ = (seconds / (turns * _OF_A_TURN) * 1e6 for seconds in best)
        figures[f"{name}: alone µs/msg"] = alone
        figures[f"{name}: followed µs/msg"] = followed_
        figures[f"{name}: more µs/msg"] = followed_ - alone
    about = f"{turns * _OF_A_TURN:,} messages on {_TOPICS:,} topics, a checkpoint each 10,000"
    Report("outbox", about, "python -m bench.outbox", figures, []).show()


def _journal(turns: int) -> MemoryJournal:
    """Messages of 50 s for each turn, so that windows end in most of them."""
    journal = MemoryJournal(JournalSection(url="memory:", limit=2**40))
    channels = [Channel("anna", f"plant/{n:04d}/temperature") for n in range(_TOPICS)]
    for turn in range(turns):
        builder = BatchBuilder()
        sent = [channels[n % _TOPICS] for n in range(_OF_A_TURN)]
        payloads = [b"%d.%02d" % (n % 40, turn % 100) for n in range(_OF_A_TURN)]
        builder.extend(sent, payloads, _received(turn))
        asyncio.run(journal.append(builder.build()))
    return journal


def _received(turn: int) -> int:
    return _BEGIN + turn * 50 * SECOND


def _run(
    journal: MemoryJournal, turns: int, gives: Gives, document: dict[str, Any], followed: bool
) -> float:
    with tempfile.TemporaryDirectory() as folder:
        catalog = open_catalog("sqlite:catalog.db", Path(folder))
        policy = {"name": "p", "topics": ["#"], "type": "number", **document}
        catalog.put_policies("anna", [policy])
        if followed:
            catalog.follow(Follower("anna/r/1", "anna", "p", gives, 2**40))
        shard = claimed_shard(catalog, cast(Any, _Nowhere()), journal, Settings(), end=0)
        shard.adopt(catalog.revision(), catalog.policies(), _BEGIN)
        began = time.thread_time()
        for turn in range(turns):
            shard.absorb(journal.entries(0, shard.offset, _OF_A_TURN))
            now = _received(turn)
            shard.flush(now, final=True)
            shard.checkpoint(now, final=True)
        shard.flush(_received(turns) + MINUTE, final=True)
        took = time.thread_time() - began
        catalog.close()
    return took


if __name__ == "__main__":
    main()
