"""Weighs what owners keep whose limit `stored` says how much it may be.

series, catalog ──usage, once a minute──> note in the catalog ──> every process that receives
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence

import structlog

from lakebed.limits.book import STORED_NOTE, LimitBook
from lakebed.ports.accounts.shares import Share
from lakebed.ports.catalog.last_values import LastValueReader
from lakebed.ports.catalog.notes import NoteStore
from lakebed.ports.series import SeriesReader
from lakebed.queries import reading
from lakebed.vocabulary.errors import LakebedError

log = structlog.get_logger(__name__)

_EVERY = 30.0  # seconds


async def weigh(
    book: LimitBook,
    series: SeriesReader,
    catalog: LastValueReader,
    notes: NoteStore,
    shares: Callable[[], Sequence[Share]] = tuple,
) -> None:
    """Weigh until cancelled."""
    while True:
        try:
            await asyncio.to_thread(weigh_once, book, series, catalog, notes, shares)
        except LakebedError as error:
            log.warning("what is stored is not weighed", error=str(error))
        await asyncio.sleep(_EVERY)


def weigh_once(
    book: LimitBook,
    series: SeriesReader,
    catalog: LastValueReader,
    notes: NoteStore,
    shares: Callable[[], Sequence[Share]] = tuple,
) -> None:
    """Write down the bytes that each owner with such a limit keeps.

    Args:
        shares: of all owners: who is sent to by others has such a limit without sending itself.
    """
    written_to = {share.owner for share in shares() if "publish" in share.may}
    limited = {owner for owner in written_to if book.limits(owner).stored is not None}
    owners = sorted(limited.union(book.owners_limited("stored")))
    found: Mapping[str, int] = {
        owner: sum(row["bytes"] for row in reading.usage(series, catalog, owner))
        for owner in owners
    }
    text = json.dumps(found, sort_keys=True) if found else None
    if notes.note(STORED_NOTE) != text:
        notes.write_note(STORED_NOTE, text)
