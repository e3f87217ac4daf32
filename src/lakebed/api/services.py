"""The services that requests use. `runtime/` puts them together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from lakebed.access.identification import Identification
from lakebed.access.unit_directory import UnitDirectory
from lakebed.accounts.audit_trail import AuditTrail
from lakebed.accounts.signing_in import SignIn
from lakebed.api.settings import ApiSettings
from lakebed.diagnosis.finding import Finding
from lakebed.ingest.intake import Intake
from lakebed.limits.reports import ClusterReports
from lakebed.metering.outgoing import CountSent, uncounted
from lakebed.ports.accounts.accounts import Accounts
from lakebed.ports.catalog.backfills import BackfillStore
from lakebed.ports.catalog.boards import BoardStore
from lakebed.ports.catalog.checkpoints import TransactionalCheckpoints
from lakebed.ports.catalog.dead_letters import DeadLetterBox
from lakebed.ports.catalog.fills import FillOrders
from lakebed.ports.catalog.journal import JournalAdoption, JournalLoss
from lakebed.ports.catalog.last_values import LastValueReader
from lakebed.ports.catalog.ledger import LedgerReader
from lakebed.ports.catalog.notes import NoteStore
from lakebed.ports.catalog.outbox import OutboxFollowers, OutboxReader
from lakebed.ports.catalog.parking import ParkedOrders
from lakebed.ports.catalog.policies import PolicyStore, PolicyVersionReader
from lakebed.ports.catalog.refusals import RefusalStore
from lakebed.ports.catalog.relays import RelayStore
from lakebed.ports.catalog.secrets import SecretStore
from lakebed.ports.erasure import Erasure
from lakebed.ports.events import EventReader
from lakebed.ports.health import Health
from lakebed.ports.journal.adoption import Adoptable
from lakebed.ports.journal.operating import JournalOperations
from lakebed.ports.journal.reading import Backlog, JournalReader
from lakebed.ports.series import SeriesReader
from lakebed.secrets.resolving import Secrets
from lakebed.vocabulary.policy import Policy
from lakebed.vocabulary.times import Micros

if TYPE_CHECKING:
    from lakebed.api.emqx.revocation import Revocation
    from lakebed.api.openid.provider import Provider
    from lakebed.keeper.journal_adoption import Plan
    from lakebed.keeper.preview import Bounds, Preview
    from lakebed.relays.opening import TargetOpener
    from lakebed.system.sealing import Sealer

Delivery = list[tuple[str, bytes, Micros, Micros]]
"""Live messages: topic, payload, receive time, event time (or `UNSET`)."""


class Subscription(Protocol):
    @property
    def dropped(self) -> int:
        """Messages the feed had to skip for this subscriber."""
        ...

    def close(self) -> None: ...


class Feed(Protocol):
    """The part of `sources.feed.LiveFeed` that taps need."""

    def subscribe(
        self, owner: str, filters: Sequence[str], deliver: Callable[[Delivery], None]
    ) -> Subscription: ...


class Backups(Protocol):
    """The part of `backup.service.Backups` that requests need."""

    def begin(self, location: str, keep: int | None, take_over: bool = False) -> None:
        """Start a backup and return; `Conflict` while another runs."""
        ...

    def state(self) -> dict[str, Any]:
        """`running` and `last`."""
        ...

    def at(self, location: str) -> list[dict[str, Any]]:
        """The backups at a place, the newest first.

        Raises:
            SettingsError, Unavailable: the location cannot be used.
        """
        ...


class Losses(Protocol):
    """The part of `backup.loss_report.Losses` that requests need."""

    def state(self) -> dict[str, Any] | None:
        """What of the series is being rebuilt, or could not be; None where nothing is lost."""
        ...

    def acknowledge(self, missing: int) -> dict[str, Any]:
        """Forget a loss that an operator has seen; returns it.

        Raises:
            NotFound: there is nothing to acknowledge.
            Conflict: the rebuild is at work, or another number of messages is missing.
        """
        ...


class ApiJournal(JournalOperations, JournalReader, Backlog, Adoptable, Protocol):
    """The part of the journal that requests need."""


class ApiCatalog(
    PolicyStore,
    TransactionalCheckpoints,
    PolicyVersionReader,
    JournalAdoption,
    LastValueReader,
    DeadLetterBox,
    LedgerReader,
    ParkedOrders,
    FillOrders,
    NoteStore,
    BoardStore,
    SecretStore,
    RelayStore,
    OutboxFollowers,
    OutboxReader,
    BackfillStore,
    RefusalStore,
    Protocol,
):
    """The part of the catalog that requests need."""


class ApiSeries(SeriesReader, EventReader, Protocol):
    """The part of the series that requests need."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """The services of every process: health, and the routes that take messages.

    Attributes:
        ready: the health of every part this process depends on, by name.
        audit: writes the audit log.
        intake: None in a process that accepts no messages.
    """

    settings: ApiSettings
    identification: Identification
    ready: Callable[[], dict[str, Health]]
    audit: AuditTrail
    intake: Intake | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Services(Common):
    """The services of a process with the API.

    Attributes:
        units: all of them, in memory.
        revocation: ends connections at EMQX; None without its address.
        losses: what of the series is lost.
        cluster: load, and use of limits, of all gateways.
        examine: what is found about the machine's disks and the settings.
        preview: what a policy would have kept of the journal's recent past.
        held_since: when the oldest message was received that the journal holds; None for none.
        resending: where dead letters are sent again.
        erase: deletes what was kept and returns how many rows.
        adopt: goes on with a journal that is another one, as planned; returns what is lost.
        policies_changed: called when policies were written or deleted; any thread.
        sealer: encrypts secrets that are stored; raises `Unsupported` where the instance has no
            key that all its processes share.
        secrets: resolves and writes secrets.
        targets: opens targets of relays, to send their dead letters again.
        sign_in: makes sessions of names and passwords.
        sent: counts what readers are sent.
        backups: None in a process that takes none.
        openid: None where the settings name no address of the instance.
    """

    journal: ApiJournal
    series: ApiSeries
    catalog: ApiCatalog
    accounts: Accounts
    units: UnitDirectory
    sealer: "Callable[[], Sealer]"
    secrets: Secrets
    targets: "TargetOpener"
    sign_in: SignIn
    feed: Feed
    resending: Intake
    losses: Losses
    cluster: ClusterReports
    preview: "Callable[[Policy, Bounds], Preview]"
    held_since: Callable[[], Micros | None]
    erase: Callable[[Erasure], int]
    adopt: "Callable[[Plan], list[JournalLoss]]"
    policies_changed: Callable[[], None] = lambda: None
    examine: Callable[[], Sequence[Finding]] = tuple
    sent: CountSent = uncounted
    revocation: "Revocation | None" = None
    backups: Backups | None = None
    openid: "Provider | None" = None
