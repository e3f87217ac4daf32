"""The SQLite journal under what a machine does to it: kills, full disks, damage, failing fsyncs."""

import asyncio
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from lakebed.ingest.building import BatchBuilder
from lakebed.stores.journal import database
from lakebed.stores.journal.blocks import checksum
from lakebed.stores.journal.database import PAGE
from lakebed.stores.journal.settings import JournalSection
from lakebed.stores.journal.sqlite import SqliteJournal
from lakebed.vocabulary.errors import Fatal, JournalFailed, JournalFull, UnknownFormat
from lakebed.vocabulary.messages import Batch, Channel, Entry
from lakebed.vocabulary.sparse import Sparse
from lakebed.vocabulary.times import HOUR, SECOND

A = Channel("ann", "plant/a")


def batch(start: int, count: int, size: int = 0, keyed: bool = False) -> Batch:
    builder = BatchBuilder()
    noise = random.Random(start)
    payloads = [b"%d:" % i + noise.randbytes(size) for i in range(start, start + count)]
    keys = [b"%d" % i for i in range(start, start + count)] if keyed else None
    builder.extend([A] * count, payloads, 7, Sparse(keys=keys))
    return builder.build()


def append(journal: SqliteJournal, made: Batch) -> int:
    return asyncio.run(journal.append(made))


def numbers(journal: SqliteJournal) -> list[int]:
    """The numbers of all messages that can be read, in order."""
    found: list[Entry] = []
    offset, end = journal.extent()[0]
    while offset < end:
        entries, offset = journal.read(offset, 100)
        found += entries
    payloads = (p for entry in found for p in entry.batch.payloads)
    return [int(p.partition(b":")[0]) for p in payloads if p]  # nothing is left of a duplicate


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "journal.db"


@pytest.fixture
def opened(path: Path) -> Iterable[list[SqliteJournal]]:
    """Journals to close at the end, whatever happened."""
    journals: list[SqliteJournal] = []
    yield journals
    for journal in journals:
        journal.close()


def open_journal(path: Path, opened: list[SqliteJournal], **options: Any) -> SqliteJournal:
    opened.append(SqliteJournal(path, JournalSection(**options), cache=0))
    return opened[-1]


# --- crash ----------------------------------------------------------------------------------------

WORKER = """
import asyncio, sys
from pathlib import Path
from lakebed.stores.journal.sqlite import SqliteJournal
from lakebed.ingest.building import BatchBuilder
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.sparse import Sparse
from lakebed.stores.journal.settings import JournalSection

async def main():
    journal = SqliteJournal(Path(sys.argv[1]), JournalSection(span=0))
    reader = journal.consumer("keeper")
    number = int(sys.argv[2])
    while True:
        builder = BatchBuilder()
        count = 1 + number % 7
        values = [b"%d:" % i for i in range(number, number + count)]
        builder.extend([Channel("ann", "t")] * count, values, 1, Sparse(keys=values))
        await journal.append(builder.build())
        number += count
        print(number, flush=True)

asyncio.run(main())
"""


def test_everything_acknowledged_is_there_after_a_kill(
    path: Path, opened: list[SqliteJournal]
) -> None:
    acknowledged = 0
    chance = random.Random(1)
    for _ in range(5):
        worker = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(path), str(acknowledged)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert worker.stdout is not None
        for _ in range(chance.randrange(1, 60)):
            acknowledged = int(worker.stdout.readline())
        worker.send_signal(signal.SIGKILL)
        acknowledged = max([acknowledged, *map(int, worker.stdout.read().split())])
        worker.stdout.close()
        worker.wait()
        journal = open_journal(path, opened)
        found = numbers(journal)
        # one batch may have become durable without having been acknowledged any more; sent
        # again by the next worker under the same keys it is left out
        assert found == list(range(len(found)))
        assert acknowledged <= len(found) <= acknowledged + 7
        assert journal.health().ok
        journal.close()


# --- no room, failing writes ----------------------------------------------------------------------


def cap(journal: SqliteJournal, pages: int | None) -> None:
    """Let SQLite find its disk full at so many pages more than now; None for no cap."""

    def work(connection: sqlite3.Connection) -> None:
        now = connection.execute("PRAGMA page_count").fetchone()[0]
        wanted = 2**30 if pages is None else now + pages
        connection.execute(f"PRAGMA max_page_count={wanted}")

    journal._writer.submit(work).result()


def test_a_full_disk_is_told_leaves_nothing_behind_and_passes(
    path: Path, opened: list[SqliteJournal]
) -> None:
    journal = open_journal(path, opened)
    append(journal, batch(0, 5, keyed=True))
    cap(journal, 2)
    with pytest.raises(JournalFull):
        append(journal, batch(5, 50, size=1000, keyed=True))
    assert not journal.health().ok
    assert numbers(journal) == list(range(5))
    cap(journal, None)
    assert append(journal, batch(5, 50, size=1000, keyed=True)) == 50
    assert journal.health().ok
    journal.close()
    assert numbers(open_journal(path, opened)) == list(range(55))


class Broken:
    """A connection whose next COMMIT fails as if its fsync had."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        if sql == "COMMIT":
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = 1034
            error.sqlite_errorname = "SQLITE_IOERR_FSYNC"
            raise error
        return self._connection.execute(sql, *parameters)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def test_after_a_failed_fsync_nothing_is_appended_any_more(
    path: Path, opened: list[SqliteJournal]
) -> None:
    journal = open_journal(path, opened)
    append(journal, batch(0, 5))
    whole = journal._writer._connection
    journal._writer._connection = Broken(whole)  # type: ignore[assignment]
    with pytest.raises(JournalFailed, match="FSYNC"):
        append(journal, batch(5, 5))
    journal._writer._connection = whole
    with pytest.raises(JournalFailed, match="FSYNC"):
        append(journal, batch(5, 5))
    assert not journal.health().ok
    assert numbers(journal) == list(range(5))


def test_room_that_was_let_go_of_is_used_again(path: Path, opened: list[SqliteJournal]) -> None:
    journal = open_journal(path, opened, span=0)
    sizes = []
    for round_ in range(6):
        for i in range(20):
            append(journal, batch(round_ * 100 + i * 5, 5, size=2000))
        assert journal.trim() > 0
        sizes.append(path.stat().st_size)
    assert sizes[-1] <= max(sizes[:3]) * 1.1


def test_a_long_span_yields_when_most_of_the_limit_is_used(
    path: Path, opened: list[SqliteJournal]
) -> None:
    journal = open_journal(path, opened, span=24 * HOUR, limit=2**20)
    append(journal, batch(0, 10, size=1000))
    assert journal.trim() == 0
    append(journal, batch(10, 80, size=10_000))
    assert journal.trim() > 0


def test_a_checkpoint_keeps_the_wal_from_growing(path: Path, opened: list[SqliteJournal]) -> None:
    journal = open_journal(path, opened)
    for i in range(60):
        append(journal, batch(i * 10, 10, size=60_000))
    assert path.with_name("journal.db-wal").stat().st_size < 24 * 2**20
    assert len(numbers(journal)) == 600


# --- opening --------------------------------------------------------------------------------------


def test_another_process_is_kept_out(path: Path, opened: list[SqliteJournal]) -> None:
    open_journal(path, opened)
    with pytest.raises(Fatal, match="another process"):
        SqliteJournal(path)


def test_another_database_is_not_taken_for_a_journal(path: Path) -> None:
    path.parent.mkdir()
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE users (name TEXT)")
    other.close()
    with pytest.raises(Fatal, match="some other"):
        SqliteJournal(path)


def test_the_pragmas_that_the_promise_rests_on_are_set(
    path: Path, opened: list[SqliteJournal]
) -> None:
    journal = open_journal(path, opened)

    def work(connection: sqlite3.Connection) -> list[Any]:
        names = ("journal_mode", "synchronous", "wal_autocheckpoint")
        return [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

    assert journal._writer.submit(work).result() == ["wal", 2, 0]
    with (
        journal._blocks.connection() as reader,
        pytest.raises(sqlite3.OperationalError, match="readonly"),
    ):
        reader.execute("DELETE FROM batches")


def test_a_file_of_the_first_versions_keeps_its_larger_pages(
    path: Path, opened: list[SqliteJournal]
) -> None:
    with patch.object(database, "PAGE", 4096):
        open_journal(path, opened).close()
    assert int.from_bytes(path.read_bytes()[16:18], "big") == 4096
    journal = open_journal(path, opened)
    for i in range(20):
        append(journal, batch(i * 5, 5, size=1500))
    used = journal.health().detail["used"]
    assert 20 * 5 * 1500 < used < 20 * 5 * 1500 + 40 * 4096
    journal.close()
    journal = open_journal(path, opened)
    assert numbers(journal) == list(range(100))
    assert int.from_bytes(path.read_bytes()[16:18], "big") == 4096


def test_a_small_commit_writes_little(path: Path, opened: list[SqliteJournal]) -> None:
    journal = open_journal(path, opened)
    append(journal, batch(0, 4))
    wal = path.with_name(path.name + "-wal")
    before = wal.stat().st_size
    for i in range(1, 101):
        append(journal, batch(4 * i, 4))
    assert wal.stat().st_size - before < 100 * 2048  # a page, now and then two more


def test_memory_holds_little_of_what_all_consumers_have_done_with(
    path: Path, opened: list[SqliteJournal]
) -> None:
    journal = SqliteJournal(path, JournalSection(), cache=80_000)
    opened.append(journal)
    fast, slow = journal.consumer("fast"), journal.consumer("slow")
    for i in range(40):
        append(journal, batch(i * 5, 5))
    full = journal._recent.weight
    assert full > 50_000
    fast.commit({0: 200})
    assert journal._recent.weight == full, "the other one needs it"
    slow.commit({0: 100})
    assert journal._recent.start == 100
    slow.commit({0: 200})
    assert 10_000 <= journal._recent.weight < 12_000, "the newest stay for readers at the end"
    assert numbers(journal) == list(range(200))


# --- damage ---------------------------------------------------------------------------------------


def filled(path: Path, opened: list[SqliteJournal], batches: int = 20) -> list[int]:
    journal = open_journal(path, opened)
    for i in range(batches):
        append(journal, batch(i * 5, 5, size=1500))
    journal.consumer("keeper")
    found = numbers(journal)
    journal.close()
    return found


def as_of_version(block: bytes, version: int) -> bytes:
    """The block as a version to come would write it, as far as anybody can know."""
    return b"LBK%c" % version + checksum(version, block[8:]).to_bytes(4, "little") + block[8:]


def test_a_block_of_a_newer_version_is_no_damage(path: Path, opened: list[SqliteJournal]) -> None:
    """Whoever starts an old version on it learns so, and loses nothing of it."""
    filled(path, opened)
    editor = sqlite3.connect(path)
    (block,) = editor.execute("SELECT block FROM batches WHERE offset = 50").fetchone()
    newer = as_of_version(block, ord("9"))
    with editor:
        editor.execute("UPDATE batches SET block = ? WHERE offset = 50", (newer,))
    editor.close()
    journal = open_journal(path, opened)
    for read in (lambda: numbers(journal), lambda: journal.pending({0: 0})):
        with pytest.raises(UnknownFormat, match=r"version '9'.*newer version"):
            read()
    assert not journal.damage().known
    journal.close()
    path.with_name("journal.db.suspect").touch()  # as where SQLite finds the file malformed
    open_journal(path, opened).close()
    saved = sqlite3.connect(path)
    assert saved.execute("SELECT block FROM batches WHERE offset = 50").fetchone() == (newer,)
    saved.close()


def test_a_damaged_block_is_put_aside_and_the_rest_is_served(
    path: Path, opened: list[SqliteJournal]
) -> None:
    whole = filled(path, opened)
    editor = sqlite3.connect(path)
    (block,) = editor.execute("SELECT block FROM batches WHERE offset = 50").fetchone()
    bad = block[:100] + bytes([block[100] ^ 1]) + block[101:]
    with editor:
        editor.execute("UPDATE batches SET block = ? WHERE offset = 50", (bad,))
    editor.close()
    journal = open_journal(path, opened)
    expected = [i for i in whole if not 50 <= i < 55]
    assert numbers(journal) == expected
    journal.close()
    journal = open_journal(path, opened)
    assert journal.health().detail["damaged"] == 5
    assert not journal.health().ok
    assert numbers(journal) == expected
    assert append(journal, batch(100, 1)) == 1
    damage = journal.damage()
    assert [(block.offset, block.count) for block in damage.blocks] == [(50, 5)]
    assert (damage.messages, damage.missing, damage.salvaged) == (5, 0, False)
    journal.acknowledge_damage(journal.damage())
    assert journal.health().ok
    journal.close()
    journal = open_journal(path, opened)
    assert journal.health().ok
    assert not journal.damage().known


def test_the_start_survives_a_schema_that_is_no_text_any_more(
    path: Path, opened: list[SqliteJournal]
) -> None:
    whole = filled(path, opened)
    good = path.read_bytes()
    names = good.index(b"CREATE TABLE batches")
    for place in range(names - 30, names + 30, 2):
        for file in path.parent.iterdir():
            file.unlink()
        path.write_bytes(good[:place] + bytes([good[place] ^ 0x80]) + good[place + 1 :])
        check_start(path, opened, whole, missing=5)


def test_the_start_survives_a_bit_flipped_in_any_page(
    path: Path, opened: list[SqliteJournal]
) -> None:
    whole = filled(path, opened)
    good = path.read_bytes()
    chance = random.Random(3)
    pages = [
        *range(0, 10 * PAGE, PAGE),
        *range(10 * PAGE, len(good), 4 * PAGE),
    ]  # the roots, and some
    for page in pages:
        for place in (page + 3, page + chance.randrange(PAGE)):
            for file in path.parent.iterdir():
                file.unlink()
            bad = bytearray(good)
            bad[place] ^= 1 << chance.randrange(8)
            path.write_bytes(bad)
            check_start(path, opened, whole, missing=15)


def killed(path: Path, opened: list[SqliteJournal]) -> Path:
    """A journal as a killed process leaves it: twenty batches, all in the WAL alone."""
    journal = open_journal(path, opened)
    for i in range(20):
        append(journal, batch(i * 5, 5, size=1500))
    left = path.parent.parent / "killed" / path.name
    left.parent.mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(f"{path}{suffix}", f"{left}{suffix}")
    return left


def test_what_stands_in_the_wal_alone_is_salvaged_too(
    path: Path, opened: list[SqliteJournal]
) -> None:
    left = killed(path, opened)
    left.with_name(left.name + ".suspect").touch()  # as after SQLite called it malformed
    journal = open_journal(left, opened)
    assert numbers(journal) == list(range(100))
    assert not journal.health().ok


def test_a_wal_left_by_a_kill_is_no_damage(path: Path, opened: list[SqliteJournal]) -> None:
    left = killed(path, opened)
    for _ in range(3):
        journal = open_journal(left, opened)
        assert numbers(journal) == list(range(100))
        assert journal.health().ok
        journal.close()


def test_a_wal_cut_within_its_last_transaction_is_no_damage(
    path: Path, opened: list[SqliteJournal]
) -> None:
    left = killed(path, opened)
    wal = left.with_name(left.name + "-wal")
    os.truncate(wal, wal.stat().st_size - 3000)
    journal = open_journal(left, opened)
    assert numbers(journal) == list(range(95))
    assert journal.health().ok


@pytest.mark.parametrize("where", [5, 0.1, 0.5, 0.8])
def test_a_bit_flipped_in_the_wal_loses_no_more_than_what_it_hit(
    path: Path, opened: list[SqliteJournal], where: float
) -> None:
    left = killed(path, opened)
    wal = left.with_name(left.name + "-wal")
    bad = bytearray(wal.read_bytes())
    bad[int(where if where > 1 else len(bad) * where)] ^= 8
    wal.write_bytes(bad)
    check_start(left, opened, list(range(100)), missing=5)


def test_the_start_survives_a_file_cut_short_anywhere(
    path: Path, opened: list[SqliteJournal]
) -> None:
    filled(path, opened)
    good = path.read_bytes()
    for length in [1, 50, 100, PAGE - 1, *range(PAGE, len(good), 7 * 4096 + 11)]:
        for file in path.parent.iterdir():
            file.unlink()
        path.write_bytes(good[:length])
        check_start(path, opened, list(range(100)), missing=100)


def check_start(path: Path, opened: list[SqliteJournal], whole: list[int], missing: int) -> None:
    """It opens, serves only what was written, in order, loses little, and takes new messages."""
    journal = open_journal(path, opened)
    end = journal.extent()[0][1]
    found = numbers(journal)
    assert found == sorted(set(found) & set(whole))
    assert len(found) >= len(whole) - missing
    assert append(journal, batch(1000, 3)) == 3
    assert numbers(journal)[-3:] == [1000, 1001, 1002]
    assert journal.extent()[0][1] == end + 3
    if len(found) < len(whole):
        assert not journal.health().ok
    journal.close()


def test_what_is_not_a_database_at_all_is_put_aside(
    path: Path, opened: list[SqliteJournal]
) -> None:
    path.parent.mkdir()
    path.write_bytes(os.urandom(10_000))
    journal = open_journal(path, opened)
    assert append(journal, batch(0, 3)) == 3
    assert not journal.health().ok
    (aside,) = [str(p) for p in path.parent.iterdir() if ".damaged-" in p.name]
    damage = journal.damage()
    assert (damage.known, damage.salvaged, damage.files) == (True, True, (aside,))
    journal.acknowledge_damage(journal.damage())
    assert journal.health().ok
    assert not journal.damage().known


def test_a_clock_that_was_set_back_since_the_newest_message_is_told(
    path: Path, opened: list[SqliteJournal]
) -> None:
    clock = [1_800_000_000 * SECOND]
    journal = SqliteJournal(path, clock=lambda: clock[0])
    opened.append(journal)
    append(journal, batch(0, 5))
    assert journal.health().detail["ahead"] == 0
    clock[0] -= HOUR
    assert journal.health().detail["ahead"] == 3600


def test_a_snapshot_is_a_journal_with_what_consumers_still_need(
    path: Path, tmp_path: Path, opened: list[SqliteJournal]
) -> None:
    journal = SqliteJournal(path, JournalSection(span=0))
    opened.append(journal)
    for start in range(0, 50, 10):
        append(journal, batch(start, 10, keyed=True))
    journal.consumer("keeper")
    journal.commit("keeper", 25)
    release = journal.pin(7)  # as for what is to be filled
    pinned = journal.snapshot()
    assert pinned.start == {0: 7}
    pinned.close()
    release()
    snapshot = journal.snapshot()
    append(journal, batch(50, 10, keyed=True))
    journal.commit("keeper", 60)
    journal.trim()
    assert (snapshot.start, snapshot.end) == ({0: 25}, {0: 50})
    assert numbers(journal)[0] == 20  # held, though every consumer is done with it
    snapshot.write(tmp_path / "copy.db")
    snapshot.close()
    journal.trim()
    assert numbers(journal) == []

    copy = SqliteJournal(tmp_path / "copy.db", JournalSection())
    opened.append(copy)
    assert numbers(copy) == list(range(20, 50))
    assert copy.committed("keeper") == 25
    assert sorted(copy.known(b""), key=int) == [b"%d" % k for k in range(50)]
    assert append(copy, batch(40, 30, keyed=True)) == 20
    assert copy.extent()[0][1] == 80  # ten of them are noted as duplicates
