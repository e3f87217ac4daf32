"""The settings, stores and services that all roles of a process use."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakebed.ports.accounts.accounts import Accounts
from lakebed.ports.catalog.catalog import Catalog
from lakebed.ports.health import Health
from lakebed.ports.journal.journal import Journal
from lakebed.ports.series import Series
from lakebed.ports.tracing import Tracer
from lakebed.runtime.settings import Settings
from lakebed.system.descriptors import Descriptors

if TYPE_CHECKING:
    from lakebed.access.identification import Identification
    from lakebed.access.unit_directory import UnitDirectory
    from lakebed.accounts.audit_trail import AuditTrail
    from lakebed.accounts.presence import Presence
    from lakebed.consuming.feed import LiveFeed
    from lakebed.egress.guard import Egress
    from lakebed.ingest.intake import Intake
    from lakebed.limits.reports import ClusterReports
    from lakebed.metering.outgoing import OutgoingMeter
    from lakebed.ports.objects import Objects
    from lakebed.secrets.resolving import Secrets


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """Passed to each role when it is opened.

    Attributes:
        alone: whether this process has locked its home, and no other process uses its stores.
        fail: stops the process with an error; a part cannot keep its guarantees. Thread-safe.
        ready: returns the health of all parts by name. Thread-safe.
        units: all units in memory, for those who `follow` them.
        audit: writes the audit log.
        presence: notes which units are connected to this process.
        descriptors: decides whether a new connection may take one.
        outgoing: counts what readers are sent, for the byte ledger.
        secrets: resolves `secret:NAME` of documents.
        egress: what calls to addresses of users go through.
        tracer: traces what the process does; None where that is off.
        stack: callbacks that end the work of stores and roles, called in reverse order.
        opened_series, opened_intake, opened_cluster: None where no role needs them.
    """

    settings: Settings
    alone: bool
    fail: Callable[[BaseException], None]
    ready: Callable[[], dict[str, Health]]
    stack: AsyncExitStack
    catalog: Catalog
    accounts: Accounts
    journal: Journal
    identification: "Identification"
    units: "UnitDirectory"
    audit: "AuditTrail"
    presence: "Presence"
    feed: "LiveFeed"
    descriptors: Descriptors
    outgoing: "OutgoingMeter"
    secrets: "Secrets"
    egress: "Egress"
    tracer: Tracer | None = None
    opened_series: Series | None = None
    opened_intake: "Intake | None" = None
    opened_cluster: "ClusterReports | None" = None

    def relay_objects(self) -> "Objects":
        """Open the object store of the files that relays write."""
        from lakebed.stores.opening import open_objects

        where = self.settings.relays.objects
        remote = "://" in where
        return open_objects(where if remote else str(self.settings.home / where), make=not remote)

    @property
    def series(self) -> Series:
        """The series; only for roles that declare that they need it."""
        assert self.opened_series is not None
        return self.opened_series

    @property
    def intake(self) -> "Intake":
        """The intake of all roles that write to the journal; only for roles that declare this."""
        assert self.opened_intake is not None
        return self.opened_intake

    @property
    def cluster(self) -> "ClusterReports":
        """Load and use of limits of all gateways; beside the intake."""
        assert self.opened_cluster is not None
        return self.opened_cluster
