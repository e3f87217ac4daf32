"""The catalog as a whole, as an adapter implements it."""

from pathlib import Path
from typing import Protocol

from lakebed.ports.accounts.owners import ReportTopicStore
from lakebed.ports.accounts.units import UnitReportStore
from lakebed.ports.catalog.backfills import BackfillStore
from lakebed.ports.catalog.boards import BoardStore
from lakebed.ports.catalog.checkpoints import TransactionalCheckpoints
from lakebed.ports.catalog.content import ContentStore
from lakebed.ports.catalog.dead_letters import DeadLetterBox, DeadLetterSink
from lakebed.ports.catalog.erasures import ErasureOrders, ErasureRequests
from lakebed.ports.catalog.fills import FillOrders
from lakebed.ports.catalog.gateways import GatewayReports
from lakebed.ports.catalog.journal import JournalAdoption
from lakebed.ports.catalog.last_values import LastValueStore
from lakebed.ports.catalog.ledger import LedgerStore
from lakebed.ports.catalog.notes import NoteStore
from lakebed.ports.catalog.outbox import OutboxStore
from lakebed.ports.catalog.parking import ParkedOrders
from lakebed.ports.catalog.policies import PolicyStore, PolicyVersionReader
from lakebed.ports.catalog.refusals import RefusalStore
from lakebed.ports.catalog.relays import RelayStore
from lakebed.ports.catalog.secrets import SecretStore
from lakebed.ports.health import Health


class Copyable(Protocol):
    """What a backup needs."""

    def copy(self, path: Path) -> None:
        """Write a consistent copy into a new SQLite file, which is a complete catalog.

        Raises:
            Unsupported: this database is backed up with its own tools.
        """
        ...


class Catalog(
    PolicyStore,
    PolicyVersionReader,
    TransactionalCheckpoints,
    JournalAdoption,
    LastValueStore,
    DeadLetterSink,
    DeadLetterBox,
    ErasureRequests,
    ErasureOrders,
    ParkedOrders,
    FillOrders,
    ContentStore,
    NoteStore,
    RefusalStore,
    UnitReportStore,
    ReportTopicStore,
    LedgerStore,
    BoardStore,
    OutboxStore,
    BackfillStore,
    SecretStore,
    RelayStore,
    GatewayReports,
    Copyable,
    Protocol,
):
    """The SQL store. Calls block, are thread-safe, and are one transaction each.

    Every method raises `StoreUnavailable` where the database does not answer.
    """

    def health(self) -> Health: ...

    def close(self) -> None: ...
