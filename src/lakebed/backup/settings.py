"""The section `[backup]`, and what rebuilding a lost series reads of the settings."""

from typing import Protocol

from pydantic import Field

from lakebed.ingest.settings import LimitsSection
from lakebed.keeper.settings import KeeperSettings
from lakebed.section import Section
from lakebed.stores.journal.settings import JournalSection
from lakebed.stores.opening import StoreSettings


class BackupSection(Section):
    """Where backups are."""

    to: str | None = Field(
        None, description="folder or `s3://BUCKET/PREFIX` from which a lost series is rebuilt"
    )


class RebuildSettings(StoreSettings, KeeperSettings, Protocol):
    """Of all settings, those that a rebuild reads."""

    @property
    def backup(self) -> BackupSection: ...

    @property
    def journal(self) -> JournalSection: ...

    @property
    def limits(self) -> LimitsSection: ...
