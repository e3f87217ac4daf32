"""The story of a damaged journal that is salvaged at its start, on a disk that fails meanwhile.

Whatever fails: the next start serves every intact batch, and tells of the loss.
"""

import asyncio
import shutil
import sqlite3
from pathlib import Path
from typing import Any

from lakebed.ingest.building import BatchBuilder
from lakebed.stores.journal.settings import JournalSection
from lakebed.stores.journal.sqlite import SqliteJournal
from lakebed.vocabulary.errors import LakebedError
from tests.faults.journal import A, Tell, number, open_journal, payload

BATCHES, EACH = 12, 4
GONE = range(5 * EACH, 6 * EACH)
INTACT = [i for i in range(BATCHES * EACH) if i not in GONE]


def prepare(folder: Path) -> None:
    """Twelve batches, half of them in the WAL alone; a page of one in the file is damaged."""
    path = folder.with_name("made") / "journal.db"
    journal = SqliteJournal(path, JournalSection(), cache=0)
    for batch in range(BATCHES):
        builder = BatchBuilder()
        builder.extend([A] * EACH, [payload(batch * EACH + i) for i in range(EACH)], 7)
        asyncio.run(journal.append(builder.build()))
        if batch == BATCHES // 2:
            journal.close()
            _damage(path)
            journal = SqliteJournal(path, JournalSection(), cache=0)
    folder.mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(f"{path}{suffix}", folder)
    journal.close()
    (folder / "journal.db.suspect").touch()


def _damage(path: Path) -> None:
    editor = sqlite3.connect(path)
    place = "SELECT offset, block FROM batches WHERE offset = ?"
    offset, block = editor.execute(place, (GONE.start,)).fetchone()
    bad = block[:50] + bytes([block[50] ^ 4]) + block[51:]
    with editor:
        editor.execute("UPDATE batches SET block = ? WHERE offset = ?", (bad, offset))
    editor.close()


def live(folder: Path, tell: Tell) -> None:
    try:
        open_journal(folder).close()
    except LakebedError as error:
        tell("left", str(error))


def survey(folder: Path, told: list[list[Any]], tell: Tell) -> None:
    journal = open_journal(folder)
    found = []
    offset, end = journal.extent()[0]
    while offset < end:
        entries, offset = journal.read(offset, 100)
        found += [number(value) for entry in entries for value in entry.batch.payloads]
    if found != INTACT:
        tell("wrong", f"served {found}")
    if journal.health().ok:
        tell("wrong", "the loss is not told")
    journal.close()
