"""The section `[backup]`, and the settings that rebuilding a lost series reads."""

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
    """The settings that a rebuild reads."""

    @property
    def backup(self) -> BackupSection: ...

    @property
    def journal(self) -> JournalSection: ...

    @property
    def limits(self) -> LimitsSection: ...
