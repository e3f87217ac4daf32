"""The sections `[keeper]` and `[dead_letters]`, and what a keeper reads of the settings."""

from collections.abc import Sequence
from typing import Protocol

from pydantic import Field

from lakebed.ingest.settings import LimitsSection
from lakebed.metering.settings import LedgerSection
from lakebed.section import Duration, Section, Size, UnitPatterns, Zone
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


class UnitsSection(Section):
    """What units report of themselves, and how much of it is kept."""

    state: UnitPatterns = Field(
        (), description="topics of every owner on which units report their state, such as"
        " `state/{unit}`; one pattern or a list"
    )  # fmt: skip
    log: UnitPatterns = Field((), description="topics on which they report entries of their log")
    state_every: Duration = Field(
        parse_duration("1m"), description="a unit's state is kept at most once in this, less 1 s"
    )
    log_for: Duration = Field(parse_duration("30d"), description="how long logs are kept")


class _OfSource(Protocol):
    @property
    def state(self) -> tuple[str, ...]: ...

    @property
    def log(self) -> tuple[str, ...]: ...


class _OfJournal(Protocol):
    @property
    def id_horizon(self) -> Micros: ...

    @property
    def commit_delay(self) -> Micros: ...

    @property
    def span(self) -> Micros: ...


class KeeperSettings(Protocol):
    """The settings that a keeper reads."""

    @property
    def keeper(self) -> KeeperSection: ...

    @property
    def dead_letters(self) -> DeadLettersSection: ...

    @property
    def units(self) -> UnitsSection: ...

    @property
    def brokers(self) -> Sequence[_OfSource]: ...

    @property
    def limits(self) -> LimitsSection: ...

    @property
    def journal(self) -> _OfJournal: ...

    @property
    def ledger(self) -> LedgerSection: ...
