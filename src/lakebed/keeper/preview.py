"""A preview: what a policy would have kept of the messages that the journal still has."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from lakebed.consuming.deduplication import Deduplicator
from lakebed.keeper.chunk import Chunk
from lakebed.keeper.ledger import Ledger
from lakebed.keeper.replay import replay
from lakebed.keeper.routes import Routes
from lakebed.keeper.task import PolicyTask, TaskFactory
from lakebed.kinds import TABLES
from lakebed.kinds.kind import Effect, LastValues, Rows
from lakebed.policies.outcomes import CODES, UNFILTERED, Outcome
from lakebed.ports.journal.reading import JournalReader
from lakebed.vocabulary.messages import Ints
from lakebed.vocabulary.policy import Policy
from lakebed.vocabulary.times import DAY, Micros, to_rfc3339

_READ = 50_000  # messages at a time
LIMIT = 5_000_000
"""Messages looked at; beyond, the preview says that it stopped."""


@dataclass(slots=True)
class Preview:
    """Attributes:
    matched: messages on the policy's topics.
    outcomes: int64[CODES] of them.
    rows, bytes: what would be in the stores, and its size as usage counts it.
    since, until: receive times of the first and last message looked at, or None.
    complete: False where the journal holds more than was looked at: more messages than the limit,
        or some from before its partitions grew.
    """

    matched: int = 0
    outcomes: Ints = field(default_factory=lambda: np.zeros(CODES, np.int64))
    rows: int = 0
    bytes: int = 0
    since: Micros | None = None
    until: Micros | None = None
    complete: bool = True

    def to_dict(self) -> dict[str, Any]:
        """As the API answers."""
        found = [Outcome(code) for code in np.flatnonzero(self.outcomes).tolist()]
        return {
            "matched": self.matched,
            "kept": int(self.outcomes[Outcome.KEPT]),
            "late": int(self.outcomes[Outcome.LATE]),
            "filtered": {o.reason: int(self.outcomes[o]) for o in found if o not in UNFILTERED},
            "rows": self.rows,
            "bytes": self.bytes,
            "from": None if self.since is None else to_rfc3339(self.since),
            "to": None if self.until is None else to_rfc3339(self.until),
            "complete": self.complete,
        }


def preview(
    policy: Policy,
    journal: JournalReader,
    future: Micros,
    limit: int = LIMIT,
    *,
    horizon: Micros = DAY,
) -> Preview:
    """Read the journal from its beginning; nothing is written, and no consumer moves.

    Args:
        future: how far ahead of its arrival an event time may lie, microseconds.
        limit: messages of a partition after which it stops.
        horizon: how long a key is remembered, microseconds.
    """
    result = Preview(complete=not journal.holds_older())
    for partition, (start, end) in journal.extent().items():
        ledger = Ledger()
        task = TaskFactory(partition, ledger.topics, future).fresh(policy, start)
        read, deduplicate = partial(journal.entries, partition), Deduplicator(horizon).judge
        chunks = replay(read, start, end, _READ, ledger, deduplicate)
        _absorb(task, ledger, chunks, limit, result)
        result.complete &= task.offset >= end
    return result


def _absorb(
    task: PolicyTask, ledger: Ledger, chunks: Iterator[Chunk], limit: int, result: Preview
) -> None:
    routes, seen = Routes([task]), 0
    kept: dict[tuple[object, ...], int] = {}
    for chunk in chunks:
        for _, index, piece in routes.deliver(chunk, ledger.channels):
            result.matched += len(index)
            result.outcomes += np.bincount(task.absorb(piece), minlength=CODES)
        task.offset = chunk.end
        if len(chunk):
            seen += len(chunk)
            if result.since is None:
                result.since = int(chunk.received[0])
            result.until = int(chunk.received[-1])
            _tally(task.drain(result.until, final=True), kept)
        if seen >= limit:
            break
    result.rows += len(kept)
    result.bytes += sum(kept.values())


def _tally(effects: Iterable[Effect], kept: dict[tuple[object, ...], int]) -> None:
    """Add rows by key with their size: a row written again replaces itself, as in the store."""
    for effect in effects:
        match effect:
            case Rows(table, rows):
                key = [name for name in TABLES[table].key if name not in ("owner", "policy")]
                columns = [rows.column(name).to_pylist() for name in key]
                sizes = rows.column("size").to_pylist()
                kept.update(zip(zip(*columns, strict=True), sizes, strict=True))
            case LastValues(values):
                kept.update({(value.topic,): value.size for value in values})
