"""The story of a journal behind its intake: messages come, are read, are let go of.

Whatever fails: what was acknowledged is read once, and nothing else is; after a write that may
have failed for good nothing more is acknowledged; a disk that was full holds up and loses nothing.
"""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from lakebed.ingest import intake as intakes
from lakebed.ingest.building import BatchBuilder
from lakebed.ingest.intake import Intake
from lakebed.ingest.offers import Columns
from lakebed.stores.journal import writer
from lakebed.stores.journal.settings import JournalSection
from lakebed.stores.journal.sqlite import SqliteJournal
from lakebed.vocabulary.errors import JournalFailed, LakebedError
from lakebed.vocabulary.messages import Channel, Entry
from lakebed.vocabulary.sparse import Sparse

Tell = Callable[..., None]
A = Channel("ann", "plant/a")
ROUNDS, EACH = 5, 3
ALL = list(range(ROUNDS * EACH))


def payload(number: int) -> bytes:
    return b"%d:" % number + b"%08x" % (number * 2654435761 % 2**32) * (40 * (number % 9))


def number(found: bytes) -> int:
    value = int(found.partition(b":")[0])
    if found != payload(value):
        raise AssertionError(f"message {value} was altered")
    return value


def prepare(folder: Path) -> None:
    folder.mkdir(parents=True)


def live(folder: Path, tell: Tell) -> None:
    writer._CHECKPOINT = 6 * 1024  # type: ignore[misc]  # checkpoints all the time
    intakes._RETRY = (0.002, 0.01)
    intakes._SPACING = 0.0
    try:
        journal = open_journal(folder)
    except LakebedError as error:
        tell("left", str(error))
        return
    try:
        asyncio.run(_live(journal, tell))
    finally:
        journal.close()


def open_journal(folder: Path) -> SqliteJournal:
    return SqliteJournal(folder / "journal.db", JournalSection(span=0), cache=0)


async def _live(journal: SqliteJournal, tell: Tell) -> None:
    failed: list[str] = []
    intake = Intake(journal, timeout=0.3, on_fatal=lambda error: failed.append(str(error)))
    await intake.start()
    reader = journal.consumer("keeper")
    for start in range(0, len(ALL), EACH):
        await send(intake, ALL[start : start + EACH], tell)
        if failed:
            tell("left", failed[0])
            await _prove_silence(journal, tell)
            break
        entries = reader.poll(0, 100)
        show(entries, tell)
        reader.commit({entry.partition: entry.end for entry in entries[-1:]})
        if start % (2 * EACH) == 0:
            try:
                await asyncio.to_thread(journal.trim)
            except LakebedError as error:
                tell("left", str(error))
    await intake.stop()


async def _prove_silence(journal: SqliteJournal, tell: Tell) -> None:
    """What failed once is not tried again, by whomever."""
    builder = BatchBuilder()
    builder.extend([A], [payload(ALL[-1])], 7)
    try:
        await journal.append(builder.build())
    except JournalFailed:
        return
    tell("wrong", "the journal goes on after it has failed")


async def send(intake: Intake, numbers: list[int], tell: Tell) -> None:
    payloads = [payload(i) for i in numbers]
    keys = [b"%d" % i for i in numbers]
    try:
        await intake.append(Columns([A] * len(numbers), payloads, 7, Sparse(keys=keys)))
    except LakebedError as error:
        tell("refused", str(error))
    else:
        tell("acknowledged", numbers)


def show(entries: Iterable[Entry], tell: Tell) -> None:
    for entry in entries:
        for offset, found in zip(entry.offsets.tolist(), entry.batch.payloads, strict=True):
            if found:  # nothing is left of a duplicate
                tell("read", offset, number(found))


def survey(folder: Path, told: list[list[Any]], tell: Tell) -> None:
    acknowledged = {i for event in told if event[0] == "acknowledged" for i in event[1]}
    places = [(event[1], event[2]) for event in told if event[0] == "read"]
    journal = open_journal(folder)
    if not journal.health().ok:
        tell("wrong", f"health: {journal.health()}")
    reader = journal.consumer("keeper")

    def note(_: str, offset: int, value: int) -> None:
        places.append((offset, value))

    def read_on() -> None:
        while entries := reader.poll(0, 100):
            show(entries, note)

    read_on()
    if lost := acknowledged - {value for _, value in places}:
        tell("wrong", f"acknowledged and lost: {sorted(lost)}")
    asyncio.run(_send_again(journal, tell))
    read_on()
    if sorted(value for _, value in set(places)) != ALL:
        tell("wrong", f"not each once: {sorted(set(places))}")
    journal.close()


async def _send_again(journal: SqliteJournal, tell: Tell) -> None:
    """As senders do that got no acknowledgement, and those that lost it."""
    intake = Intake(journal, timeout=0.3, on_fatal=lambda error: tell("wrong", str(error)))
    await intake.start()
    await send(intake, ALL, tell)
    await intake.stop()
