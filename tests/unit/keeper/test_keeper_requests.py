"""What other threads ask of a running keeper: to erase its state of what is about to be deleted."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lakebed.ingest.building import BatchBuilder
from lakebed.keeper.erasure_requests import request_erasure
from lakebed.keeper.keeper import Keeper
from lakebed.ports.erasure import Erasure
from lakebed.runtime.settings import Settings
from lakebed.stores.catalog.sql import SqlCatalog, open_catalog
from lakebed.stores.journal.sqlite import SqliteJournal
from lakebed.vocabulary.errors import Unavailable
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.times import now

from .test_shard import ARCHIVE, LAST, Rows

ALL = Erasure("anna", "#")


class Running:
    def __init__(self, folder: Path) -> None:
        self.catalog: SqlCatalog = open_catalog("sqlite:catalog.db", folder)
        self.path = folder / "journal.db"
        self.journal, self.series = SqliteJournal(self.path), Rows()
        self.failed: list[BaseException] = []
        self.keeper = Keeper(
            self.journal, self.series, self.catalog, Settings(), self.failed.append
        )

    def forget(self, timeout: float = 30.0) -> tuple[dict[int, int], int]:
        wake = self.keeper.erasure_asked
        return request_erasure(self.catalog, self.journal, ALL, wake=wake, timeout=timeout)

    def send(self, *payloads: bytes) -> None:
        builder = BatchBuilder()
        builder.extend([Channel("anna", "t")] * len(payloads), payloads, now())
        asyncio.run(self.journal.append(builder.build()))


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    made = Running(tmp_path)
    made.catalog.put_policies("anna", [ARCHIVE, LAST])
    made.keeper.start()
    made.keeper.policies_changed()
    yield made
    made.keeper.stop(10)
    made.journal.close()
    made.catalog.close()
    assert made.failed == []


def test_all_that_was_sent_before_the_request_is_covered(running: Running) -> None:
    for number in range(20):
        running.send(b"%d" % number)
    places, last = running.forget()
    assert (places, last) == ({0: 20}, 1)
    assert len(running.series.kept()) == 20  # written: the caller deletes all of them below 20
    saved = {part.offset for part in running.catalog.checkpoints("keeper")[0]}
    assert saved == {20}


def test_behind_a_gap_at_the_end_of_the_journal_policies_and_requests_come_into_force(
    running: Running,
) -> None:
    running.send(b"1")
    running.forget()
    running.keeper.stop(10)
    # a salvage leaves offsets out: the journal's end lies behind every message that is left
    running.journal.close()
    running.journal = SqliteJournal(running.path, begin=2**40)
    running.series.rows.clear()
    again = running.keeper = Keeper(
        running.journal, running.series, running.catalog, Settings(), running.failed.append
    )
    again.start()
    running.catalog.put_policies("anna", [{**ARCHIVE, "name": "more"}])
    again.policies_changed()
    running.send(b"2")
    assert running.forget()[0] == {0: 2**40 + 1}
    again.stop(10)
    assert {row["policy"] for _, row in running.series.rows} == {"all", "more"}


def test_requests_may_come_at_once_and_again(running: Running) -> None:
    running.send(b"1")
    found: list[int] = []
    forget = lambda: found.append(running.forget()[1])  # noqa: E731
    threads = [threading.Thread(target=forget) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [0, 0, 0, 0, 1]


def test_a_keeper_that_cannot_keep_up_says_so_and_deletes_nothing(
    running: Running,
) -> None:
    running.series.away = True
    running.send(b"1")
    for _ in range(2):  # it waits for the store within the first; the second finds it waiting
        with pytest.raises(Unavailable):
            running.forget(0.3)
    running.series.away = False
    running.send(b"2")
    assert running.forget()[0] == {0: 2}
    assert len(running.series.kept()) == 2


def test_who_waits_for_a_keeper_gives_up_when_the_process_stops(tmp_path: Path) -> None:
    made = Running(tmp_path)
    with pytest.raises(Unavailable, match="stopping"):
        request_erasure(made.catalog, made.journal, ALL, stopping=lambda: True)
    assert made.catalog.erasure_orders() == []
    made.journal.close()
    made.catalog.close()


def test_an_order_given_while_no_keeper_ran_is_followed_by_the_next(tmp_path: Path) -> None:
    made = Running(tmp_path)
    made.catalog.put_policies("anna", [ARCHIVE, LAST])
    made.send(b"1", b"2")
    made.keeper.start()
    assert made.forget() == ({0: 2}, 1)
    made.keeper.stop(10)
    made.journal.close()
    made.catalog.close()
    assert made.failed == []
