"""Opens stores: the scheme of a URL chooses the adapter.

    journal.url   sqlite:  memory:  kafka://
    catalog.url   sqlite:  postgresql://
    series.url    chdb:    clickhouse://  clickhouses://
    backups       a folder, or s3://

To add a store, write its adapter and add a line to one of the tables below. An adapter is imported
when a URL names it: unused ones cost nothing and need not be installed.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol, TypeVar

from lakebed.ports.accounts.accounts import Accounts
from lakebed.ports.catalog.catalog import Catalog
from lakebed.ports.catalog.checkpoints import CheckpointReader
from lakebed.ports.catalog.journal import JournalRecord
from lakebed.ports.journal.journal import Journal
from lakebed.ports.objects import Objects
from lakebed.ports.series import Series
from lakebed.stores.catalog.settings import CatalogSection
from lakebed.stores.journal.settings import JournalSection
from lakebed.stores.series.settings import SeriesSection
from lakebed.system.extras import needed
from lakebed.vocabulary.errors import Problem, SettingsError

T = TypeVar("T")

_EMBEDDED = ("sqlite", "memory", "chdb")


class SqlStores(Catalog, Accounts, Protocol):
    """The ports that one SQL database implements."""


class JournalCatalog(CheckpointReader, JournalRecord, Protocol):
    """What opening a journal asks of the catalog."""


class _Payload(Protocol):
    @property
    def payload(self) -> int: ...


class StoreSettings(Protocol):
    """The settings that opening the stores reads."""

    @property
    def home(self) -> Path: ...

    @property
    def journal(self) -> JournalSection: ...

    @property
    def catalog(self) -> CatalogSection: ...

    @property
    def series(self) -> SeriesSection: ...

    @property
    def limits(self) -> _Payload: ...


def _sqlite_journal(settings: StoreSettings, begin: int, _: JournalRecord | None) -> Journal:
    from lakebed.stores.journal.sqlite import SqliteJournal

    path = settings.home / settings.journal.url.removeprefix("sqlite:")
    return SqliteJournal(path, settings.journal, begin=begin)


def _memory_journal(settings: StoreSettings, begin: int, _: JournalRecord | None) -> Journal:
    from lakebed.stores.journal.memory import MemoryJournal

    return MemoryJournal(settings.journal)


def _kafka_journal(settings: StoreSettings, begin: int, record: JournalRecord | None) -> Journal:
    try:
        from lakebed.stores.journal.kafka.journal import KafkaJournal
    except ModuleNotFoundError as error:
        raise needed(error, "journal.url", "kafka://") from error
    return KafkaJournal(
        settings.journal.url, settings.journal, payload=settings.limits.payload, record=record
    )


def _sql_catalog(url: str, home: Path) -> SqlStores:
    from lakebed.stores.catalog.sql import open_catalog

    return open_catalog(url, home)


def _clickhouse_series(url: str, settings: StoreSettings, make: bool) -> Series:
    from lakebed.stores.series.opening import open_series

    return open_series(url, settings.home, make, settings.series)


JOURNALS: dict[str, Callable[[StoreSettings, int, JournalRecord | None], Journal]] = {
    "sqlite": _sqlite_journal,
    "memory": _memory_journal,
    "kafka": _kafka_journal,
}
CATALOGS: dict[str, Callable[[str, Path], SqlStores]] = {
    "sqlite": _sql_catalog,
    "postgresql": _sql_catalog,
}
SERIES: dict[str, Callable[[str, StoreSettings, bool], Series]] = {
    "chdb": _clickhouse_series,
    "clickhouse": _clickhouse_series,
    "clickhouses": _clickhouse_series,
}


def is_embedded(url: str) -> bool:
    """Whether the store runs in this process and has its files in the home."""
    return url.partition(":")[0] in _EMBEDDED


def open_journal(settings: StoreSettings, after: JournalCatalog | None = None) -> Journal:
    """Open the journal.

    Args:
        after: a new embedded journal begins behind this catalog's checkpoints. Offsets must grow,
            and versions made of them, even if the journal's file is lost.
    """
    url = settings.journal.url
    open_it = _choose(JOURNALS, url, "journal")
    begin = after.highest_offset(0) if after is not None and is_embedded(url) else 0
    return open_it(settings, begin, after)


def open_catalog(settings: StoreSettings, url: str | None = None) -> SqlStores:
    """Open the catalog.

    Args:
        url: open this URL instead of the settings' one.
    """
    url = settings.catalog.url if url is None else url
    return _choose(CATALOGS, url, "catalog")(url, settings.home)


def open_catalog_in(folder: Path) -> Catalog:
    """Open the catalog in the file `catalog.db` of a folder."""
    return _sql_catalog("sqlite:catalog.db", folder)


def open_series(settings: StoreSettings, make: bool = True, url: str | None = None) -> Series:
    """Open the series.

    Args:
        make: whether to make missing tables.
        url: open this URL instead of the settings' one.
    """
    url = settings.series.url if url is None else url
    return _choose(SERIES, url, "series")(url, settings, make)


def open_objects(url: str, *, make: bool = False) -> Objects:
    """Open a folder or an object store; `make` creates a missing folder."""
    from lakebed.stores.objects.store import open_objects

    return open_objects(url, make=make)


def _choose(adapters: Mapping[str, T], url: str, store: str) -> T:
    scheme = url.partition(":")[0]
    if scheme not in adapters:
        known = ", ".join(adapters)
        raise SettingsError(Problem(f"{store}.url", f"no {store} speaks {scheme!r}: use {known}"))
    return adapters[scheme]
