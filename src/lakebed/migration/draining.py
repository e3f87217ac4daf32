"""Runs the keeper of a home until it has read and written everything.

All tasks then have their state at one offset, so that it can be split and moved. Messages in flight
could not be moved.
"""

import time
from collections.abc import Callable
from functools import partial

from lakebed.keeper import ledger as ledgers
from lakebed.keeper.keeper import Keeper, KeeperCatalog, KeeperJournal
from lakebed.keeper.settings import KeeperSettings
from lakebed.keeper.state import SavedParts
from lakebed.keeper.versions import PolicyVersions
from lakebed.ports.catalog.checkpoints import Checkpoint
from lakebed.ports.journal.reading import JournalReader
from lakebed.ports.series import SeriesWriter
from lakebed.vocabulary.errors import StoreUnavailable

_POLL = 0.2  # seconds between two checks of the progress
_TIMEOUT = 60.0  # seconds that a store may refuse, and that the last writes may take
_CUT = 10.0  # seconds in which windows of fills are ended


def drain(
    settings: KeeperSettings,
    journal: KeeperJournal,
    series: SeriesWriter,
    catalog: KeeperCatalog,
    step: Callable[[int], None],
) -> list[Checkpoint]:
    """Run the keeper to the journal's end; return all checkpoints of the only partition.

    Args:
        step: called regularly with the number of messages that are left.

    Raises:
        StoreUnavailable: a store refuses; nothing is lost, and it can be tried again.
        Fatal: the keeper failed.
    """
    failures: list[BaseException] = []
    keeper = Keeper(journal, series, catalog, settings, failures.append)
    keeper.start()
    try:
        _wait(keeper, journal, partial(saved, catalog, settings), failures, step)
        keeper.policies_changed()
        keeper.cut_fills(_CUT)
    finally:
        keeper.stop(_TIMEOUT)
    if failures:
        raise failures[0]
    parts = saved(catalog, settings)
    if not is_drained(journal, parts):
        raise StoreUnavailable("the keeper could not write all that it had read: try again")
    return parts


def _wait(
    keeper: Keeper,
    journal: JournalReader,
    load: Callable[[], list[Checkpoint]],
    failures: list[BaseException],
    step: Callable[[int], None],
) -> None:
    refused_since: float | None = None
    while not failures:
        parts = load()
        counted = SavedParts.of(parts).counted
        step(journal.distance(0, counted, journal.extent()[0][1]))
        if parts and not journal.entries(0, counted, 1):
            return
        failing = keeper.health().message
        refused_since = (refused_since or time.monotonic()) if failing else None
        if refused_since is not None and time.monotonic() - refused_since > _TIMEOUT:
            raise StoreUnavailable(failing)
        time.sleep(_POLL)


def saved(catalog: KeeperCatalog, settings: KeeperSettings) -> list[Checkpoint]:
    """Load the keeper's checkpoints, without those of policies that cannot be read."""
    versions = PolicyVersions(catalog, settings.keeper.timezone)
    found = catalog.checkpoints(ledgers.CONSUMER, 0).get(0, [])
    tasks = SavedParts.of(found).tasks
    return [part for part in found if part.part not in tasks or versions.find(part.part)]


def is_drained(journal: JournalReader, parts: list[Checkpoint]) -> bool:
    """Whether the ledger is at the journal's end, and every task is at the ledger's offset."""
    counted = SavedParts.of(parts).counted
    return not journal.entries(0, counted, 1) and all(part.offset == counted for part in parts)
