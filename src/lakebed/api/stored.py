"""Weighs what owners keep whose limit `stored` says how much it may be.

series, catalog ──usage, once a minute──> note in the catalog ──> every process that receives
"""

import asyncio
import json
from collections.abc import Mapping

import structlog

from lakebed.limits.book import STORED_NOTE, LimitBook
from lakebed.ports.catalog.last_values import LastValueReader
from lakebed.ports.catalog.notes import NoteStore
from lakebed.ports.series import SeriesReader
from lakebed.queries import reading
from lakebed.vocabulary.errors import LakebedError

log = structlog.get_logger(__name__)

_EVERY = 30.0  # seconds


async def weigh(
    book: LimitBook, series: SeriesReader, catalog: LastValueReader, notes: NoteStore
) -> None:
    """Weigh until cancelled."""
    while True:
        try:
            await asyncio.to_thread(weigh_once, book, series, catalog, notes)
        except LakebedError as error:
            log.warning("what is stored is not weighed", error=str(error))
        await asyncio.sleep(_EVERY)


def weigh_once(
    book: LimitBook, series: SeriesReader, catalog: LastValueReader, notes: NoteStore
) -> None:
    """Write down the bytes that each owner with such a limit keeps."""
    owners = book.owners_limited("stored")
    found: Mapping[str, int] = {
        owner: sum(row["bytes"] for row in reading.usage(series, catalog, owner))
        for owner in owners
    }
    text = json.dumps(found, sort_keys=True) if found else None
    if notes.note(STORED_NOTE) != text:
        notes.write_note(STORED_NOTE, text)
