"""However the journal is cut, replayed and crashed over, a keeper's answers are those of one batch.

The kinds, the task, the shard and the catalog are the real ones. The series store replaces rows by
their keys, as ClickHouse does; `tests/test_cases.py` runs chosen cases over the real one.
"""

import asyncio
import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lakebed.ingest.building import BatchBuilder
from lakebed.keeper.ledger import CONSUMER, PART, Ledger
from lakebed.keeper.settings import KeeperSection
from lakebed.policies.outcomes import Outcome
from lakebed.ports.catalog.ledger import LedgerSegment
from lakebed.queries.ledger import Groups, LedgerQuestion, Sums
from lakebed.queries.ledger import read as read_ledger
from lakebed.runtime.settings import Settings
from lakebed.stores.catalog.sql import SqlCatalog, open_catalog
from lakebed.stores.journal.memory import MemoryJournal
from lakebed.vocabulary.attributes import Attributes, Coded
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.sparse import Sparse
from lakebed.vocabulary.times import HOUR, SECOND, UNSET
from tests.keyed import KeyedSeries
from tests.nightly import often
from tests.shards import claimed_shard

BEGIN = 1_790_000_000 * SECOND // HOUR * HOUR
BASE = {"topics": ["#"], "type": "number"}
TEXT = {"topics": ["#"], "type": "text"}
POLICIES = [
    {**BASE, "name": "all", "keep": "archive"},
    {**BASE, "name": "rare", "keep": "archive", "filter": {"max_rate": "30s"}, "topics": ["a"]},
    {**BASE, "name": "new", "keep": "window", "for": "1h", "filter": {"unique": True}},
    {**BASE, "name": "scaled", "keep": "last_n", "count": 3, "transform": {"scale": 0.5}},
    {**BASE, "name": "now", "keep": "last_value", "every": "10s"},
    {**BASE, "name": "minutes", "keep": "aggregate", "every": "1m", "for": "30m",
     "functions": ["sum", "min", "max", "first", "last", "p50", "stddev"]},
    {**TEXT, "name": "words", "keep": "aggregate", "every": "5m",
     "functions": ["unique", "top", "first", "last", "min", "max"]},
    {**TEXT, "name": "lines", "keep": "last_n", "count": 2, "buffer": "2m", "topics": ["b"]},
]  # fmt: skip
EVERY = Settings(keeper=KeeperSection(checkpoint=0))
GRAIN = 0.25  # values whose sums are exact in any order

MESSAGES = st.lists(
    st.tuples(
        st.sampled_from(["a", "b"]),
        st.integers(-8, 8).map(lambda i: b"%g" % (i * GRAIN)) | st.just(b"no number"),
        # seconds since the message before; now and then a long silence, in which windows leave
        st.sampled_from([0, 1, 7, 45, 200, 200, 2000]),
        # how long before its arrival it was measured, where the sender says so
        st.none() | st.sampled_from([0, 3, 90, 250, 400, 5000]),
    ),
    min_size=1,
    max_size=25,
)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["read", "read", "write", "save", "crash", "fall", "pause", "pause", "let go"]
        ),
        st.integers(1, 9),
    ),
    max_size=30,
)
Message = tuple[str, bytes, int, int | None]


class Run:
    """One keeper's life over one journal."""

    number = itertools.count()  # of the partition: each run has its own checkpoints in the catalog

    def __init__(self, catalog: SqlCatalog, messages: list[Message]) -> None:
        self.partition = next(self.number)
        self.catalog, self.series, self.journal = catalog, KeyedSeries(), MemoryJournal()
        self.now = self.last = BEGIN
        self._append(messages)
        self.take_over()

    def _append(self, messages: list[Message]) -> None:
        builder = BatchBuilder()
        for topic, payload, pause, age in messages:
            self.last += pause * SECOND
            event = UNSET if age is None else self.last - age * SECOND
            unit = Coded.constant(Attributes(principal=f"unit:{len(payload)}"), 1)
            sparse = Sparse(event=[event], attributes=unit)
            builder.extend([Channel("ann", topic)], [payload], self.last, sparse)
        asyncio.run(self.journal.append(builder.build()))

    def take_over(self) -> None:
        self.shard = claimed_shard(
            self.catalog, self.series, self.journal, EVERY,
            partition=self.partition, end=self.journal.end,
        )  # fmt: skip

    def read(self, limit: int) -> bool:
        if self.shard.revision < 0 and self.shard.replayed:
            self.shard.adopt(1, self.catalog.policies(), self.now)
        offset = self.shard.offset
        entries = self.journal.entries(0, offset, limit)
        if not entries:
            return False
        batch = entries[0].batch
        size = min(limit, len(batch))
        cut = batch.take(np.arange(size))
        self.shard.absorb([replace(entries[0], partition=self.partition, batch=cut)])
        self.now = max(self.now, int(cut.received[-1]))
        return True

    def step(self, what: str, size: int) -> None:
        if what == "read":
            self.read(size)
        elif what == "write":
            self.shard.flush(self.now)
        elif what == "save":
            self.shard.checkpoint(self.now)
        elif what == "crash":
            self.take_over()
        elif what == "let go":
            self.shard.write_below(self.shard.offset, self.now)
        elif what == "fall":  # what was read is written, and forgotten
            while self.read(size):
                pass
            self.shard.flush(self.now, final=True)
            self.take_over()
            self.read(size)
        else:
            self.pause()

    def pause(self) -> None:
        """Idle until just before the next message arrives: windows that ended leave memory."""
        if self.shard.offset < self.journal.end:
            (entry,) = self.journal.entries(0, self.shard.offset, 1)
            self.now = max(self.now, int(entry.batch.received[0]) - 1)
        self.shard.flush(self.now)
        self.shard.checkpoint(self.now)
        self.read(1)

    def finish(self) -> None:
        while self.read(1000):
            pass
        end = self.last + HOUR
        self.shard.flush(end)
        self.shard.flush(end, final=True)
        self.shard.checkpoint(end, final=True)

    def answers(self) -> dict[str, Any]:
        (parts,) = self.catalog.checkpoints(CONSUMER, self.partition).values()
        (state,) = (part.state for part in parts if part.part == PART)
        ledger = Ledger.from_bytes(state)
        rows = self.series.rows(leave_out=("version", "partition", "size"))
        return {
            "rows": [row for row in rows if not row[0].startswith("aggregate")],
            "windows": merged(row for table, row in rows if table.startswith("aggregate")),
            "flow": {str(outcome): n for outcome, n in ledger.totals.items() if n},
            "by policy": {key: row.tolist() for key, row in sorted(ledger.policies.items())},
            "bytes": int(ledger.sizes.sum()),
            "hours": self.hours(ledger),
        }

    def hours(self, ledger: Ledger) -> dict[tuple[str, ...], Sums]:
        """The byte ledger by topic, unit and policy, once its sums are those of the flow."""

        def ask(*by: str) -> Groups:
            everything = LedgerQuestion(
                BEGIN, self.last + HOUR, None, by, lambda _: True, lambda *_: True
            )
            return read_ledger(self.catalog, everything)

        total = ask("owner").total
        assert (total.in_messages, total.in_bytes) == (ledger.messages, int(ledger.sizes.sum()))
        assert total.kept_messages == ledger.totals[Outcome.KEPT]
        topics = {names[0]: sums for (_, names), sums in ask("topic").rows()}
        for code, channel in enumerate(ledger.channels):
            found = topics[channel.topic]
            assert found.in_bytes == ledger.sizes[code]
            assert found.kept_messages == ledger.by_channel(Outcome.KEPT)[code]
        policies = {names[0]: sums for (_, names), sums in ask("policy").rows() if names[0]}
        for (_, name), row in ledger.policies.items():
            if row.any():
                found = policies[name]
                assert (found.in_messages, found.kept_messages) == (row.sum(), row[Outcome.KEPT])
        return {names: sums for (_, names), sums in ask("topic", "unit", "policy").rows()}


def merged(rows: Iterator[dict[str, Any]]) -> dict[Any, dict[str, Any]]:
    """Fragments of one window put together, by rules written down here once more."""
    windows: dict[Any, dict[str, Any]] = {}
    for row in rows:
        key = (row["policy"], row["topic"], row["start"], row["end"])
        del row["fragment"]
        windows[key] = _joined(windows[key], row) if key in windows else _counted(row)
    for window in windows.values():
        for name in ("mean", "m2"):
            if name in window:
                window[name] = pytest.approx(window[name], rel=1e-9, abs=1e-9)
    return windows


def _counted(row: dict[str, Any]) -> dict[str, Any]:
    """Parallel columns of a sketch as a mapping."""
    for names in (("bins", "counts"), ("tops", "counts")):
        if names[0] in row:
            keys, counts = row.pop(names[0]), row.pop(names[1])
            row[names[0]] = dict(zip(keys or (), counts or (), strict=True))
    if "hashes" in row:
        row["hashes"] = set(row["hashes"])
    return row


def _joined(one: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    other = _counted(row)
    n, m = one["count"], other["count"]
    out = {**one, "count": n + m, "complete": min(one["complete"], other["complete"])}
    out["min"], out["max"] = min(one["min"], other["min"]), max(one["max"], other["max"])
    for edge, choose in (("first", min), ("last", max)):
        chosen = choose(one, other, key=lambda w: (w[f"{edge}_time"], w[f"{edge}_offset"]))
        for name in (edge, f"{edge}_time", f"{edge}_offset"):
            out[name] = chosen[name]
    if "mean" in one:
        delta = other["mean"] - one["mean"]
        out["sum"] = one["sum"] + other["sum"]
        out["mean"] = one["mean"] + delta * m / (n + m)
        out["m2"] = one["m2"] + other["m2"] + delta**2 * n * m / (n + m)
    if "hashes" in one:
        out["hashes"] = one["hashes"] | other["hashes"]
    for name in ("bins", "tops"):
        if name in one:
            keys = one[name].keys() | other[name].keys()
            out[name] = {k: one[name].get(k, 0) + other[name].get(k, 0) for k in keys}
    return out


@pytest.fixture(scope="module")
def catalog() -> Iterator[SqlCatalog]:
    quick = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(dir=quick if quick.is_dir() else None))
    opened = open_catalog("sqlite:catalog.db", folder)
    opened.put_policies("ann", POLICIES)
    yield opened
    opened.close()
    shutil.rmtree(folder)


class Apart:
    """The catalog as one run sees it: last values and a byte ledger of its own."""

    def __init__(self, catalog: SqlCatalog) -> None:
        self._catalog = catalog
        self.last: dict[tuple[str, str], Any] = {}
        self.segments: dict[tuple[int, int], LedgerSegment] = {}

    def save_ledger(self, segments: list[LedgerSegment]) -> int:
        self.segments |= {(segment.hour, segment.first): segment for segment in segments}
        return 0

    def ledger(self, start: int, end: int) -> list[LedgerSegment]:
        return [segment for (hour, _), segment in self.segments.items() if start <= hour < end]

    def ledger_rows(self, start: int, end: int) -> int:
        return 0

    def upsert_last(self, values: list[Any]) -> None:
        for value in values:
            held = self.last.get((value.policy, value.topic))
            rank: Callable[[Any], Any] = lambda v: (v.time, v.partition, v.offset)  # noqa: E731
            if held is None or rank(value) > rank(held):
                self.last[value.policy, value.topic] = value

    def shown(self) -> list[dict[str, Any]]:
        rows = [asdict(self.last[key]) for key in sorted(self.last)]
        return [{name: row[name] for name in row if name != "partition"} for row in rows]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._catalog, name)


@pytest.mark.slow
@pytest.mark.timeout(0 if often(0, 1) else 600)
@settings(max_examples=often(120, 10_000), deadline=None, suppress_health_check=list(HealthCheck))
@given(messages=MESSAGES, steps=STEPS)
@example(  # late data was written; its replay meets a pause in which the window could leave
    messages=[("a", b"1", 0, None), ("b", b"1", 200, None), ("a", b"1", 200, 400)],
    steps=[("fall", 1), ("pause", 1)],
)
def test_any_cut_any_replay_and_any_crash_give_the_answers_of_one_batch(
    catalog: SqlCatalog, messages: list[Message], steps: list[tuple[str, int]]
) -> None:
    plain, own = Apart(catalog), Apart(catalog)
    whole = Run(plain, messages)  # type: ignore[arg-type]
    whole.finish()
    cut = Run(own, messages)  # type: ignore[arg-type]
    cut.read(1)  # policies are in force before the first message, as in the other run
    for what, size in steps:
        cut.step(what, size)
    cut.finish()
    expected, found = whole.answers(), cut.answers()
    for part in expected:
        assert found[part] == expected[part], part
    assert own.shown() == plain.shown()
