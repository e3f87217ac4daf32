"""Backs up and restores a home on which no server runs.

    lock the home ──> open its stores, or make new ones beside them ──> backup.taking, .restoring

A running server takes its backups itself; see `backup/service.py`.
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


def back_up(
    settings: StoreSettings, location: str, keep: int | None, take_over: bool = False
) -> dict[str, Any]:
    """Take a backup of a home on which no server runs.

    Raises:
        NotFound: there is no catalog, so no server has ever run on it.
        Conflict: the series is lost; the loss is recorded for the next start.
    """
    home = settings.home
    if not store_paths(settings).catalog.exists():
        raise NotFound(f"{home} is not the home of a server")
    objects = opening.open_objects(location, make=True)
    with ExitStack() as stack:
        stack.callback(os.close, homes.lock(home))
        homes.check_whole(home)
        catalog = stack.enter_context(closing(opening.open_catalog(settings)))
        series, lost = loss.open_detecting_loss(settings, catalog)
        stack.enter_context(closing(series))
        if lost is not None and not lost.done:
            raise Conflict(
                f"the series is lost ({lost.reason}): a server started on it rebuilds it"
            )
        journal = stack.enter_context(closing(opening.open_journal(settings, after=catalog)))
        stores = taking.Stores(catalog, journal, series, lineage.of_home(home), home)
        made = taking.take(stores, objects, take_over=take_over)
    return summary(made, objects.location) | {"removed": taking.sweep(objects, keep)}


def restore(
    settings: StoreSettings, location: str, name: str | None, replace: bool
) -> tuple[Manifest, list[Path]]:
    """Restore a home from a backup; return its manifest, and the renamed former stores."""
    objects = opening.open_objects(location)
    chosen = manifest.choose(objects, name)
    descriptor = homes.lock(settings.home)
    try:
        former = restoring.restore(
            objects,
            chosen,
            store_paths(settings),
            partial(_series_at, settings),
            replace,
            partial(_begin_history, settings),
        )
    finally:
        os.close(descriptor)
    return chosen, former


def _begin_history(settings: StoreSettings, path: Path) -> None:
    """Let relays in the file of a catalog be others to targets that keep positions."""
    with closing(opening.open_catalog(settings, url=f"sqlite:{path.absolute()}")) as catalog:
        catalog.renumber_relays()


def _series_at(settings: StoreSettings, path: Path) -> Series:
    """Open an embedded series at another path, or the series of the server."""
    if not settings.series.url.startswith("chdb:"):
        return opening.open_series(settings)
    return opening.open_series(settings, url=f"chdb:{path.absolute()}")


def store_paths(settings: StoreSettings) -> restoring.StorePaths:
    """The paths of a home's embedded stores.

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
    return restoring.StorePaths(
        home,
        home / settings.catalog.url.removeprefix("sqlite:"),
        home / settings.journal.url.removeprefix("sqlite:"),
        home / series.removeprefix("//") if scheme == "chdb" else None,
    )
