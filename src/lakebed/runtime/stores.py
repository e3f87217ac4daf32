"""URL schemes -> adapters of the stores."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from lakebed.ports import Catalog, Journal, Objects, Series, TokenStore
from lakebed.settings import Settings
from lakebed.vocabulary.errors import Problem, SettingsError

if TYPE_CHECKING:
    from lakebed.backup.loss import Checkpoints, Loss

T = TypeVar("T")


class SqlStores(Catalog, TokenStore, Protocol):
    """What one SQL database fulfils."""


def _sqlite_journal(url: str, settings: Settings, begin: int) -> Journal:
    from lakebed.stores.journal.sqlite import SqliteJournal

    path = settings.home / url.removeprefix("sqlite:")
    return SqliteJournal(path, settings.journal, begin=begin)


def _memory_journal(url: str, settings: Settings, begin: int) -> Journal:
    from lakebed.stores.journal.memory import MemoryJournal

    return MemoryJournal(settings.journal)


def _kafka_journal(url: str, settings: Settings, begin: int) -> Journal:
    try:
        from lakebed.stores.journal.kafka.journal import KafkaJournal
    except ModuleNotFoundError as error:
        if error.name != "confluent_kafka":
            raise
        what = "kafka:// needs the package confluent-kafka: install lakebed[kafka]"
        raise SettingsError(Problem("journal.url", what)) from None
    return KafkaJournal(url, settings.journal, payload=settings.limits.payload)


def _sql_catalog(url: str, settings: Settings) -> SqlStores:
    from lakebed.stores.catalog.sql import open_catalog

    return open_catalog(url, settings.home)


def _clickhouse_series(url: str, settings: Settings, make: bool) -> Series:
    from lakebed.stores.series.opening import open_series

    return open_series(url, settings.home, make, settings.series)


JOURNALS = {"sqlite": _sqlite_journal, "memory": _memory_journal, "kafka": _kafka_journal}
CATALOGS = {"sqlite": _sql_catalog, "postgresql": _sql_catalog}
SERIES = {
    "chdb": _clickhouse_series,
    "clickhouse": _clickhouse_series,
    "clickhouses": _clickhouse_series,
}


def open_journal(settings: Settings, begin: int = 0) -> Journal:
    """Open the journal; in a new one that is ours alone offsets begin at `begin`."""
    return _choose(JOURNALS, settings.journal.url, "journal")(settings.journal.url, settings, begin)


def open_catalog(settings: Settings) -> SqlStores:
    return _choose(CATALOGS, settings.catalog.url, "catalog")(settings.catalog.url, settings)


def open_series(settings: Settings, make: bool = True) -> Series:
    """Open the series; without `make` tables that are missing are left so."""
    return _choose(SERIES, settings.series.url, "series")(settings.series.url, settings, make)


def open_objects(url: str, *, make: bool = False) -> Objects:
    """Open a folder or an object store; `make` a folder that is missing."""
    from lakebed.stores.objects.store import open_objects

    return open_objects(url, make=make)


def backups_of(settings: Settings) -> Objects | None:
    """The place of this home's backups, where one is configured."""
    place = settings.backup.to
    if place is None:
        return None
    return open_objects(place if "://" in place else str(settings.home / place))


def catalog_in(folder: Path) -> Catalog:
    """The catalog that is the file `catalog.db` of a folder."""
    from lakebed.stores.catalog.sql import open_catalog

    return open_catalog("sqlite:catalog.db", folder)


def series_noticing(settings: Settings, checkpoints: "Checkpoints") -> tuple[Series, "Loss | None"]:
    """The series, and what of it is lost: the catalog's checkpoints say that there was one."""
    from lakebed.backup.loss import open_noticing

    url = settings.series.url
    folder = settings.home / url.partition(":")[2].removeprefix("//")
    return open_noticing(
        settings.home,
        folder if url.startswith("chdb:") else None,
        checkpoints,
        partial(open_series, settings),
    )


def _choose(adapters: Mapping[str, T], url: str, store: str) -> T:
    scheme = url.partition(":")[0]
    if scheme not in adapters:
        known = ", ".join(adapters)
        raise SettingsError(Problem(f"{store}.url", f"no {store} speaks {scheme!r}: use {known}"))
    return adapters[scheme]
