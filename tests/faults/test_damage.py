"""A small journal cut short and flipped at every page, every frame of the WAL, every record edge.

The start never fails; intact batches are served; what is missing is told until an operator has
seen it; new messages are taken, at places that were never used.
"""

import asyncio
import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

from lakebed.ingest.building import BatchBuilder
from lakebed.stores.journal import blocks, database
from lakebed.stores.journal.database import PAGES
from lakebed.stores.journal.settings import JournalSection
from lakebed.stores.journal.sqlite import SqliteJournal
from lakebed.vocabulary.messages import Batch, Channel

pytestmark = [pytest.mark.slow(20), pytest.mark.timeout(600)]

HEAD, WAL_HEADER = 24, 32  # bytes before each frame of a WAL, and before all
BATCHES, EACH = 14, 5
ALL = list(range(BATCHES * EACH))


def batch(start: int, count: int) -> Batch:
    noise = random.Random(start)  # from small ones within a page to large ones over many
    size = (30, 400, 2500)[start // EACH % 3]
    values = [b"%d:" % i + noise.randbytes(size) for i in range(start, start + count)]
    builder = BatchBuilder()
    builder.extend([Channel("ann", "a")] * count, values, 7)
    return builder.build()


def numbers(journal: SqliteJournal) -> list[int]:
    found = []
    offset, end = journal.extent()[0]
    while offset < end:
        entries, offset = journal.read(offset, 100)
        found += [int(p.partition(b":")[0]) for entry in entries for p in entry.batch.payloads]
    return found


@pytest.fixture(params=PAGES)
def page(request: pytest.FixtureRequest) -> int:
    """Bytes of a page of the damaged file: as it is made now, or was by the first versions."""
    size: int = request.param
    return size


@pytest.fixture
def folder() -> Iterator[Path]:
    quick = Path("/dev/shm")
    made = Path(tempfile.mkdtemp(dir=quick if quick.is_dir() else None))
    yield made
    shutil.rmtree(made)


def write(folder: Path, page: int, *, closed: bool) -> dict[str, bytes]:
    """The files of a journal: closed, all in the file; killed, nearly all in the WAL."""
    path = folder / "made" / "journal.db"
    with patch.object(database, "PAGE", page):
        journal = SqliteJournal(path, JournalSection(), cache=0)
    for start in range(0, len(ALL), EACH):
        asyncio.run(journal.append(batch(start, EACH)))
    if closed:
        journal.close()
    names = ("journal.db",) if closed else ("journal.db", "journal.db-wal")
    files = {name: (path.parent / name).read_bytes() for name in names}
    journal.close()
    return files


def check(folder: Path, files: dict[str, bytes], *, missing: int) -> list[int]:
    """Start on these files, and again; returns what is served."""
    home = folder / "home"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    for name, content in files.items():
        (home / name).write_bytes(content)
    journal = SqliteJournal(home / "journal.db", JournalSection(), cache=0)
    found = numbers(journal)
    assert found == sorted(set(found) & set(ALL))
    assert len(found) >= len(ALL) - missing
    end = journal.extent()[0][1]
    assert end >= max(found, default=-1) + 1, "a place would be used twice"
    assert asyncio.run(journal.append(batch(1000, 1))) == 1
    told = not journal.health().ok  # what was put aside meanwhile came before the append
    journal.close()
    journal = SqliteJournal(home / "journal.db", JournalSection(), cache=0)
    assert numbers(journal) == [*found, 1000]
    assert journal.health().ok != told, "told until somebody has seen it, not longer, not shorter"
    journal.acknowledge_damage(journal.damage())
    assert journal.health().ok
    journal.close()
    if found != ALL[: len(found)]:
        assert told, "a hole is never passed over in silence"
    return found


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :]


def edges(content: bytes) -> list[int]:
    """Where blocks begin."""
    found, at = [], content.find(blocks.MAGIC)
    while at >= 0:
        found.append(at)
        at = content.find(blocks.MAGIC, at + 1)
    return found


def test_a_file_flipped_anywhere_that_matters_costs_no_more_than_a_batch(
    folder: Path, page: int
) -> None:
    (whole,) = write(folder, page, closed=True).values()
    chance = random.Random(1)
    pages = [p + at for p in range(0, len(whole), page) for at in (0, 5, chance.randrange(page))]
    records = [edge + step for edge in edges(whole) for step in (-1, 0)]
    assert len(records) >= 2 * BATCHES
    for place in sorted({*pages, *records}):
        found = check(folder, {"journal.db": flipped(whole, place)}, missing=3 * EACH)
        assert len(found) >= len(ALL) - EACH or place < 9 * page, place


def test_a_file_cut_at_any_page_or_record_serves_what_is_left(folder: Path, page: int) -> None:
    (whole,) = write(folder, page, closed=True).values()
    pages = [p + step for p in range(page, len(whole), page) for step in (-1, 0, 1)]
    for length in sorted({*pages, *edges(whole)}):
        found = check(folder, {"journal.db": whole[:length]}, missing=len(ALL))
        intact = sum(edge + 3 * 4096 * EACH < length for edge in edges(whole))
        assert len(found) >= (intact - 1) * EACH


def test_a_wal_cut_at_any_frame_serves_every_transaction_before_the_cut(
    folder: Path, page: int
) -> None:
    files = write(folder, page, closed=False)
    wal = files["journal.db-wal"]
    before: list[int] = []
    frame = HEAD + page
    lengths = [WAL_HEADER + n * frame for n in range((len(wal) - WAL_HEADER) // frame + 1)]
    for length in sorted({n + step for n in lengths for step in (-1, 0, 1) if n + step > 0}):
        found = check(folder, files | {"journal.db-wal": wal[:length]}, missing=len(ALL))
        assert found == ALL[: len(found)]
        assert len(found) >= len(before), "more bytes never make less of it"
        before = found
    assert before == ALL


def test_a_wal_flipped_in_any_frame_costs_no_more_than_a_batch(folder: Path, page: int) -> None:
    files = write(folder, page, closed=False)
    wal = files["journal.db-wal"]
    chance = random.Random(2)
    frame = HEAD + page
    heads = range(WAL_HEADER, len(wal) - frame + 1, frame)[:: 4096 // page]  # each takes a while
    places = [p + at for p in heads for at in (2, 10, 17, HEAD + chance.randrange(page))]
    for place in [3, 9, 17, 29, *places, *edges(wal)]:
        found = check(folder, files | {"journal.db-wal": flipped(wal, place)}, missing=EACH)
        assert len(found) >= len(ALL) - EACH
