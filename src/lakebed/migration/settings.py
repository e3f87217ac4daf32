"""The settings that a migration reads."""

from typing import Protocol

from lakebed.ingest.settings import LimitsSection
from lakebed.keeper.settings import KeeperSettings
from lakebed.stores.journal.settings import JournalSection
from lakebed.stores.opening import StoreSettings


class MigrationSettings(StoreSettings, KeeperSettings, Protocol):
    """The settings that a migration reads."""

    @property
    def journal(self) -> JournalSection: ...

    @property
    def limits(self) -> LimitsSection: ...
