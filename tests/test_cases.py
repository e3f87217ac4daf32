"""Every case of `tests/cases` through the real keeper and the real stores, cut up in many ways.

    input.ndjson ──> MemoryJournal ──> Shard ──> chDB, SQLite ──> the API's own reading ──> compare
                          └── read again after every crash

Time is the case's, never the clock's.
"""

import asyncio
import base64
import json
import math
import random
import shutil
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest

from lakebed.api.formats import rows as api_rows
from lakebed.api.routes.flow import show as show_flow
from lakebed.ingest.building import BatchBuilder
from lakebed.keeper import ledger as ledgers
from lakebed.keeper.settings import KeeperSection
from lakebed.policies.document import read_file
from lakebed.policies.outcomes import Outcome
from lakebed.ports.question import Question
from lakebed.ports.series import Series
from lakebed.queries import reading as queries
from lakebed.runtime.settings import Settings
from lakebed.stores.catalog.sql import SqlCatalog, open_catalog
from lakebed.stores.journal.memory import MemoryJournal
from lakebed.stores.series.opening import open_series
from lakebed.vocabulary.messages import Batch, Channel
from lakebed.vocabulary.policy import Policy
from lakebed.vocabulary.sparse import Sparse
from lakebed.vocabulary.time_parsing import from_rfc3339
from lakebed.vocabulary.times import UNSET, Micros
from tests.cases import reference
from tests.shards import claimed_shard

FOLDERS = reference.folders()
AT_ONCE = 20  # writes
SETTINGS = Settings(keeper=KeeperSection(checkpoint=0))
TOLERANCE = {"p50": 2e-3, "p95": 2e-3, "p99": 2e-3}
"""Relative; of sketches. All other numbers must agree to 1e-9."""


# --- what a case is made of -----------------------------------------------------------------------


@dataclass(frozen=True)
class Message:
    topic: str
    payload: bytes
    received: Micros
    event: Micros
    id: str


def _messages(case: Path) -> list[Message]:
    found = []
    for text in (case / "input.ndjson").read_text(encoding="utf-8").split("\n"):
        if text:
            line = json.loads(text)
            payload = (
                line["payload"].encode()
                if "payload" in line
                else base64.b64decode(line["payload_base64"])
            )
            event = from_rfc3339(line["time"]) if "time" in line else UNSET
            received = from_rfc3339(line["received"])
            found.append(Message(line["topic"], payload, received, event, line.get("id", "")))
    return found


def _batch(owner: str, messages: Sequence[Message]) -> Batch:
    builder = BatchBuilder()
    for message in messages:
        builder.extend(
            [Channel(owner, message.topic)],
            [message.payload],
            message.received,
            Sparse(event=[message.event], ids=[message.id] if message.id else None),
        )
    return builder.build()


class Gathering:
    """The real series store, which gets several writes of a table as one: each costs 15 ms.

    What is read was written before; equal keys still meet in different writes, and in one.
    """

    def __init__(self, series: Series) -> None:
        self._series = series
        self._waiting: defaultdict[str, list[pa.Table]] = defaultdict(list)

    def write(self, table: str, rows: pa.Table) -> None:
        waiting = self._waiting[table]
        if waiting and waiting[0].column_names != rows.column_names:  # one insert has one shape
            self._pass_on(table)
        self._waiting[table].append(rows)
        if len(self._waiting[table]) == AT_ONCE:
            self._pass_on(table)

    def _pass_on(self, table: str) -> None:
        self._series.write(table, pa.concat_tables(self._waiting.pop(table)).combine_chunks())

    def __getattr__(self, name: str) -> Any:
        for table in list(self._waiting):
            self._pass_on(table)
        return getattr(self._series, name)


# --- a keeper that can crash ----------------------------------------------------------------------


class Bench:
    """One run of a case: a journal, a catalog of its own, and a shard at work."""

    def __init__(self, catalog: SqlCatalog, series: Series, case: Path, owner: str) -> None:
        self.catalog, self.series, self.owner = catalog, series, owner
        file = read_file((case / "policy.yaml").read_text(encoding="utf-8"), owner)
        self.policies: list[Policy] = file.policies
        catalog.put_policies(owner, file.documents)
        self.journal = MemoryJournal()
        self.now: Micros = 0
        self.take_over()

    def take_over(self) -> None:
        """As a keeper that was just started: from the last checkpoint, the rest is forgotten."""
        self.shard = claimed_shard(self.catalog, self.series, self.journal, SETTINGS)
        self.offset = self.shard.offset

    def append(self, messages: Sequence[Message]) -> None:
        asyncio.run(self.journal.append(_batch(self.owner, messages)))

    def read(self, limit: int) -> bool:
        """Absorb the next messages of the journal; False at its end."""
        if self.shard.revision < 0 and self.shard.replayed:
            self.shard.adopt(self.catalog.revision(), self.catalog.policies(), self.now)
        entries = self.journal.entries(0, self.offset, limit)
        if not entries:
            return False
        self.shard.absorb(entries)
        self.offset = entries[-1].end
        self.now = max(self.now, int(entries[-1].batch.received.max()))
        return True

    def write(self) -> None:
        self.shard.flush(self.now)

    def save(self) -> None:
        self.shard.checkpoint(self.now)

    def finish(self, now: Micros) -> None:
        while self.read(1000):
            pass
        self.shard.flush(now)
        self.shard.flush(now, final=True)
        self.shard.checkpoint(now, final=True)

    # --- what the API would say ------------------------------------------------------------------

    def records(self) -> dict[str, list[dict[str, Any]]]:
        return {policy.name: self._records(policy) for policy in self.policies}

    def _records(self, policy: Policy) -> list[dict[str, Any]]:
        # no wildcard at the beginning covers topics that begin with $
        asked = ["#", *(topic for topic in policy.topics if topic.startswith("$"))]
        found = []
        for topic in asked:
            page = queries.read(self.series, self.catalog, Question(policy, topic))
            assert page.next_cursor is None
            for row in api_rows(page):
                shown = json.loads(msgspec.json.encode(row))
                shown.pop("position", None)
                shown.pop("late", None)  # whether a window had left memory: pauses change that
                found.append(shown)
        return found

    def flow(self) -> dict[str, Any]:
        return _shown(ledgers.load(self.catalog).totals)

    def flow_by_policy(self) -> dict[str, dict[str, Any]]:
        counts = ledgers.load(self.catalog).policies
        nothing = _shown({})
        return {policy.name: nothing for policy in self.policies} | {
            name: _shown({outcome: int(row[outcome]) for outcome in Outcome})
            for (_, name), row in counts.items()
        }


def _shown(counts: dict[Outcome, int]) -> dict[str, Any]:
    answer = show_flow(counts, 0)
    parts = (
        "skipped", "kept", "late", "over_quota", "dead_letter", "duplicates", "lost", "in_flight",
    )  # fmt: skip
    total = sum(answer[part] for part in parts) + sum(answer["filtered"].values())
    assert answer["received"] == total
    for part in ("over_quota", "duplicates", "lost", "in_flight"):
        assert answer.pop(part) == 0
    if not answer["dead_letter"]:  # which a case alone has that tells of them
        del answer["dead_letter"]
    return answer


# --- the ways to cut the input --------------------------------------------------------------------


def at_once(bench: Bench, messages: list[Message], dice: random.Random) -> None:
    bench.append(messages)
    bench.read(len(messages))


def one_by_one(bench: Bench, messages: list[Message], dice: random.Random) -> None:
    for message in messages:
        bench.append([message])
        bench.read(1)
        bench.write()
        bench.save()


def cut_anywhere(bench: Bench, messages: list[Message], dice: random.Random) -> None:
    rest = messages
    while rest:
        size = dice.randint(1, max(1, len(messages) // 3))
        bench.append(rest[:size])
        rest = rest[size:]
        bench.read(dice.choice((2, 1000)))
        bench.write()
        if dice.random() < 0.5:
            bench.save()


def crashing(bench: Bench, messages: list[Message], dice: random.Random) -> None:
    """Rows written before a crash are written again; what was only in memory is read again."""
    rest = messages
    while rest:
        size = dice.randint(1, max(1, len(messages) // 4))
        bench.append(rest[:size])
        rest = rest[size:]
        while bench.read(dice.randint(1, size + 1)):
            if dice.random() < 0.6:
                bench.write()
            if dice.random() < 0.4:
                bench.save()
            if dice.random() < 0.25:
                bench.take_over()


def long_pauses(bench: Bench, messages: list[Message], dice: random.Random) -> None:
    """The keeper idles before each message: windows that ended leave its memory."""
    for message in messages:
        bench.now = max(bench.now, message.received - 1)
        bench.write()
        bench.save()
        bench.append([message])
        bench.read(1)
        if dice.random() < 0.2:
            bench.take_over()
            while bench.read(1):
                pass
        bench.write()
        bench.save()


WAYS = {way.__name__: way for way in (at_once, one_by_one, cut_anywhere, crashing, long_pauses)}


# --- the tests ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Series]:
    opened = open_series("chdb:series", tmp_path_factory.mktemp("series"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def empty_catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("catalog")
    open_catalog("sqlite:catalog.db", home).close()
    return home / "catalog.db"


@pytest.fixture
def catalog(empty_catalog: Path, tmp_path: Path) -> Iterator[SqlCatalog]:
    shutil.copy(empty_catalog, tmp_path)
    opened = open_catalog("sqlite:catalog.db", tmp_path)
    yield opened
    opened.close()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", FOLDERS, ids=lambda case: case.name)
def test_a_case_gives_what_is_expected_however_its_input_is_cut(
    case: Path, way: str, series: Series, catalog: SqlCatalog
) -> None:
    expected = json.loads((case / "expected.json").read_text(encoding="utf-8"))
    store: Any = series if way == "crashing" else Gathering(series)
    bench = Bench(catalog, store, case, f"{case.name} {way}")
    WAYS[way](bench, _messages(case), random.Random(f"{case.name} {way}"))
    bench.finish(from_rfc3339(expected["now"]))
    assert_same(bench.records(), expected["records"])
    assert bench.flow_by_policy() == expected["policies"]
    assert bench.flow() == expected["flow"]


@pytest.mark.parametrize("case", FOLDERS, ids=lambda case: case.name)
def test_the_reference_gives_what_a_case_expects(case: Path) -> None:
    expected = json.loads((case / "expected.json").read_text(encoding="utf-8"))
    assert reference.expected(case, reference.instant(expected["now"])) == expected


def test_there_is_a_case_for_every_kind_and_type() -> None:
    allowed = {
        *((keep, kind) for keep in ("last_value", "last_n", "archive") for kind in _TYPES),
        *((keep, kind) for keep in ("window", "aggregate") for kind in ("number", "text")),
    }
    covered = {tuple(folder.name.split("-")[:2]) for folder in FOLDERS}
    assert allowed <= covered


_TYPES = ("number", "text", "json")


def assert_same(found: Any, expected: Any, name: str = "", path: str = "") -> None:
    """Equal, with room for the rounding of floating point and of sketches."""
    if isinstance(expected, dict):
        assert isinstance(found, dict), path
        assert found.keys() == expected.keys(), path
        for key, value in expected.items():
            assert_same(found[key], value, key, f"{path}/{key}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), f"{path}: {found} is not {expected}"
        for place, (one, other) in enumerate(zip(found, expected, strict=True)):
            assert_same(one, other, name, f"{path}/{place}")
    elif isinstance(expected, float) and isinstance(found, (int, float)):
        tolerance = TOLERANCE.get(name, 1e-9)
        same = math.isclose(found, expected, rel_tol=tolerance, abs_tol=1e-12)
        assert same, f"{path}: {found} is not {expected}"
    else:
        assert found == expected, f"{path}: {found!r} is not {expected!r}"
