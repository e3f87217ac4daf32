"""What is done to a home that no server runs on: backing it up, and restoring one.

    lock the home ──> open its stores, or make new ones beside them ──> backup.taking, .restoring

A server that runs does the first itself; see `backup/service.py`.
"""

import os
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

from lakebed.backup import lineage, loss, manifest, restoring, taking
from lakebed.backup.manifest import Manifest
from lakebed.backup.service import summary
from lakebed.ports.series import Series
from lakebed.stores import home as homes
from lakebed.stores import opening
from lakebed.stores.opening import StoreSettings
from lakebed.vocabulary.errors import Conflict, NotFound, Unsupported


def back_up(settings: StoreSettings, place: str, keep: int | None) -> dict[str, Any]:
    """Take a backup of a home that no server runs on.

    Raises:
        NotFound: there is no catalog, so no server has ever run on it.
        Conflict: the series is lost; what was noticed is noted for the next start.
    """
    home = settings.home
    if not places(settings).catalog.exists():
        raise NotFound(f"{home} is not the home of a server")
    objects = opening.open_objects(place, make=True)
    with ExitStack() as stack:
        stack.callback(os.close, homes.lock(home))
        homes.check_whole(home)
        catalog = stack.enter_context(closing(opening.open_catalog(settings)))
        series, lost = loss.open_noticing(settings, catalog.checkpoints("keeper"))
        stack.enter_context(closing(series))
        if lost is not None and not lost.done:
            raise Conflict(
                f"the series is lost ({lost.reason}): a server started on it rebuilds it"
            )
        journal = stack.enter_context(closing(opening.open_journal(settings, after=catalog)))
        stores = taking.Stores(catalog, journal, series, lineage.of_home(home), home)
        made = taking.take(stores, objects)
    return summary(made, objects.place) | {"removed": taking.sweep(objects, keep)}


def restore(
    settings: StoreSettings, place: str, name: str | None, replace: bool
) -> tuple[Manifest, list[Path]]:
    """Make a home what it was in a backup; returns that, and what was put aside."""
    objects = opening.open_objects(place)
    chosen = manifest.choose(objects, name)
    descriptor = homes.lock(settings.home)
    try:
        aside = restoring.restore(
            objects, chosen, places(settings), partial(_series_at, settings), replace
        )
    finally:
        os.close(descriptor)
    return chosen, aside


def _series_at(settings: StoreSettings, path: Path) -> Series:
    """An embedded series at another path; that of a server is where it is."""
    if not settings.series.url.startswith("chdb:"):
        return opening.open_series(settings)
    return opening.open_series(settings, url=f"chdb:{path.absolute()}")


def places(settings: StoreSettings) -> restoring.Places:
    """Where the embedded stores of a home are.

    Raises:
        Unsupported: the catalog or the journal is not a file.
    """
    home = settings.home
    for store, url in (("catalog", settings.catalog.url), ("journal", settings.journal.url)):
        if not url.startswith("sqlite:"):
            raise Unsupported(
                f"{store}.url is {url.partition(':')[0]}:…, which has tools of its own"
            )
    scheme, _, series = settings.series.url.partition(":")
    return restoring.Places(
        home,
        home / settings.catalog.url.removeprefix("sqlite:"),
        home / settings.journal.url.removeprefix("sqlite:"),
        home / series.removeprefix("//") if scheme == "chdb" else None,
    )
