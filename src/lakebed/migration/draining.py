"""Lets the keeper of a home that no server runs on finish: nothing unread, nothing unwritten.

What is left then is the state of its tasks at one offset. It can be divided and carried elsewhere;
messages on their way could not.
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

_LOOK = 0.2  # seconds between two looks at how far it is
_PATIENCE = 60.0  # seconds that a store may refuse, and that writing may take at the end


def drain(
    settings: KeeperSettings,
    journal: KeeperJournal,
    series: SeriesWriter,
    catalog: KeeperCatalog,
    step: Callable[[int], None],
) -> list[Checkpoint]:
    """Returns the checkpoints of the journal's one partition, all at its end.

    Args:
        step: told how many messages are still to be worked off, now and then.

    Raises:
        StoreUnavailable: a store refuses; nothing is lost, the same may be tried again.
        Fatal: the keeper failed.
    """
    failures: list[BaseException] = []
    keeper = Keeper(journal, series, catalog, settings, failures.append)
    keeper.start()
    try:
        _wait(keeper, journal, partial(saved, catalog, settings), failures, step)
        keeper.policies_changed()
    finally:
        keeper.stop(_PATIENCE)
    if failures:
        raise failures[0]
    parts = saved(catalog, settings)
    if not is_drained(journal, parts):
        raise StoreUnavailable("the keeper could not write all that it had read: try again")
    return parts


def _wait(
    keeper: Keeper,
    journal: JournalReader,
    look: Callable[[], list[Checkpoint]],
    failures: list[BaseException],
    step: Callable[[int], None],
) -> None:
    refused_since: float | None = None
    while not failures:
        parts = look()
        counted = SavedParts.of(parts).counted
        step(journal.distance(0, counted, journal.extent()[0][1]))
        if parts and not journal.entries(0, counted, 1):
            return
        failing = keeper.health().message
        refused_since = (refused_since or time.monotonic()) if failing else None
        if refused_since is not None and time.monotonic() - refused_since > _PATIENCE:
            raise StoreUnavailable(failing)
        time.sleep(_LOOK)


def saved(catalog: KeeperCatalog, settings: KeeperSettings) -> list[Checkpoint]:
    """What the keeper has saved, but for policies that cannot be read and so have no task."""
    versions = PolicyVersions(catalog, settings.keeper.timezone)
    found = catalog.checkpoints(ledgers.CONSUMER, 0).get(0, [])
    tasks = SavedParts.of(found).tasks
    return [part for part in found if part.part not in tasks or versions.find(part.part)]


def is_drained(journal: JournalReader, parts: list[Checkpoint]) -> bool:
    """Whether nothing is behind the ledger and every task stands where it does."""
    counted = SavedParts.of(parts).counted
    return not journal.entries(0, counted, 1) and all(part.offset == counted for part in parts)
