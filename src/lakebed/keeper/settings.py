"""The sections `[keeper]` and `[dead_letters]`, and what a keeper reads of the settings."""

from typing import Protocol

from pydantic import Field

from lakebed.ingest.settings import LimitsSection
from lakebed.section import Duration, Section, Size, Zone
from lakebed.vocabulary.times import Micros, parse_duration


class KeeperSection(Section):
    """How much a keeper reads, holds and saves at a time."""

    read: int = Field(50_000, ge=1, description="messages read from the journal at a time")
    buffer_rows: int = Field(500_000, ge=1, description="rows one policy may hold before a write")
    buffer_bytes: Size = Field(64 * 2**20, description="bytes one policy may hold before a write")
    checkpoint: Duration = Field(
        parse_duration("1s"), description="shortest distance between two checkpoints"
    )
    timezone: Zone = Field("UTC", description="time zone of windows, for policies without one")


class DeadLettersSection(Section):
    """How many dead letters are kept."""

    count: int = Field(10_000, ge=1, description="dead letters kept of one owner, the newest")
    age: Duration = Field(parse_duration("30d"), description="how long a dead letter is kept")


class _OfJournal(Protocol):
    @property
    def id_horizon(self) -> Micros: ...

    @property
    def commit_delay(self) -> Micros: ...


class KeeperSettings(Protocol):
    """The settings that a keeper reads."""

    @property
    def keeper(self) -> KeeperSection: ...

    @property
    def dead_letters(self) -> DeadLettersSection: ...

    @property
    def limits(self) -> LimitsSection: ...

    @property
    def journal(self) -> _OfJournal: ...
