"""The journal as a whole, as an adapter implements it."""

from typing import Protocol

from lakebed.ports.health import Health
from lakebed.ports.journal.adoption import Adoptable
from lakebed.ports.journal.appending import Appender, KnownKeys
from lakebed.ports.journal.backup import Pins, Snapshots
from lakebed.ports.journal.consuming import Consumable
from lakebed.ports.journal.operating import JournalOperations
from lakebed.ports.journal.reading import Backlog, JournalReader


class Journal(
    Appender,
    KnownKeys,
    Consumable,
    JournalReader,
    Backlog,
    JournalOperations,
    Snapshots,
    Pins,
    Adoptable,
    Protocol,
):
    """The one ordered, durable log. Partitions are numbered from 0; a channel stays in one."""

    def health(self) -> Health: ...

    def close(self) -> None: ...
