"""A kind is one file and one line: its document, state, table and answers come with it."""

import asyncio
from pathlib import Path

import every_nth
import pytest

from lakebed.consuming.retry import Retry
from lakebed.ingest.building import BatchBuilder
from lakebed.keeper.chunk import join
from lakebed.keeper.ledger import Ledger
from lakebed.keeper.preview import preview
from lakebed.keeper.stores import Stores
from lakebed.keeper.task import PolicyTask
from lakebed.kinds import KINDS, TABLES
from lakebed.kinds.kind import Site
from lakebed.policies.document import parse, to_document
from lakebed.ports.question import Question
from lakebed.queries import choice, reading
from lakebed.stores.catalog.sql import open_catalog
from lakebed.stores.journal.memory import MemoryJournal
from lakebed.stores.series.opening import open_series
from lakebed.vocabulary.errors import Invalid
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.times import MINUTE, SECOND

NOW = 1_790_000_000 * SECOND
DOCUMENT = {
    "name": "sparse", "topics": ["plant/#"], "type": "number", "keep": "every_nth", "nth": 3,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _a_new_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one line."""
    monkeypatch.setitem(KINDS, "every_nth", every_nth.KIND)
    monkeypatch.setitem(TABLES, "every_nth", every_nth.TABLE)


def test_its_document_is_checked_and_written_back() -> None:
    policy = parse(DOCUMENT, "ann")
    assert policy.options == {"nth": 3}
    assert parse(to_document(policy), "ann") == policy
    with pytest.raises(Invalid, match="keep: every_nth needs `nth`, such as `nth: 10`"):
        parse({**DOCUMENT, "nth": None}, "ann")
    with pytest.raises(Invalid, match="-1 is no whole number"):
        parse({**DOCUMENT, "nth": -1}, "ann")
    with pytest.raises(Invalid, match="`nth` belongs to keep: every_nth, not to archive"):
        parse({**DOCUMENT, "keep": "archive"}, "ann")
    with pytest.raises(Invalid, match="takes type: number"):
        parse({**DOCUMENT, "type": "text"}, "ann")


def test_what_it_keeps_is_written_read_and_weighed(tmp_path: Path) -> None:
    catalog, series = open_catalog("sqlite:catalog.db", tmp_path), open_series("chdb:s", tmp_path)
    journal = MemoryJournal()
    try:
        catalog.put_policies("ann", [DOCUMENT])
        policy = choice.choose(catalog, "ann", ["plant/1"])
        builder = BatchBuilder()
        payloads = [b"%d" % value for value in range(1, 10)]
        builder.extend([Channel("ann", "plant/1")] * 9, payloads, NOW)
        asyncio.run(journal.append(builder.build()))
        found = preview(policy, journal, MINUTE)
        assert (found.matched, found.rows.count) == (9, 3)
        ledger = Ledger()
        task = PolicyTask(Site(policy, 0, ledger.topics), 0, MINUTE)
        task.absorb(join(journal.entries(0, 0, 100), ledger))
        Stores(series, catalog, Retry()).write([task.drain(NOW, final=True)])
        page = reading.read(series, catalog, Question(policy, "plant/+"))
        assert page.rows["number"].to_pylist() == [3.0, 6.0, 9.0]
        (usage,) = reading.usage(series, catalog, "ann")
        assert (usage["keep"], usage["rows"], usage["bytes"]) == ("every_nth", 3, 3)
    finally:
        series.close()
        catalog.close()
        journal.close()
