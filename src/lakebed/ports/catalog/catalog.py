"""The catalog as a whole: what an adapter fulfils."""

from pathlib import Path
from typing import Protocol

from lakebed.ports.catalog.checkpoints import TransactionalCheckpoints
from lakebed.ports.catalog.content import ContentStore
from lakebed.ports.catalog.dead_letters import DeadLetterBox, DeadLetterSink
from lakebed.ports.catalog.erasures import ErasureOrders, ErasureRequests
from lakebed.ports.catalog.last_values import LastValueStore
from lakebed.ports.catalog.policies import PolicyStore, PolicyVersionReader
from lakebed.ports.health import Health


class Copyable(Protocol):
    """For backups."""

    def copy(self, path: Path) -> None:
        """Write all of it, as of one moment, into a new SQLite file: a catalog by itself.

        Raises:
            Unsupported: this database has a way of its own to be backed up.
        """
        ...


class Catalog(
    PolicyStore,
    PolicyVersionReader,
    TransactionalCheckpoints,
    LastValueStore,
    DeadLetterSink,
    DeadLetterBox,
    ErasureRequests,
    ErasureOrders,
    ContentStore,
    Copyable,
    Protocol,
):
    """The SQL store. Calls block and may be made from any thread; each is one transaction.

    Every method raises `StoreUnavailable` where the database does not answer.
    """

    def health(self) -> Health: ...

    def close(self) -> None: ...
