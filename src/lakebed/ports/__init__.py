"""Every contract between the parts. `wiring/` decides by URL who fulfils each of them.

    gateway side (asyncio)                  consumer side (plain threads)

    sources ──> Intake ──> Journal.append   Journal.consumer ──> keeper ──> Series
                                                      │             └─────> Catalog
                                                      └──> taps, previews, relays

Two rules hold for all adapters. Foreign exceptions become those of `errors.py` at the adapter and
nowhere else. And nothing on this side of a port may ask which adapter it got.
"""

from lakebed.ports.catalog import (
    Catalog,
    Checkpoint,
    CheckpointStore,
    DeadLetter,
    DeadLetterStore,
    Fate,
    Identity,
    LastValue,
    LastValueStore,
    PolicyStore,
    StoredPolicy,
    TokenStore,
)
from lakebed.ports.forgetting import ForgetStore, Forgetting, LetGo, Order
from lakebed.ports.health import Health
from lakebed.ports.journal import (
    Assignment,
    Consumer,
    Damage,
    DamagedBlock,
    Journal,
    JournalSnapshot,
    Place,
    Predecessor,
    Successor,
)
from lakebed.ports.objects import Objects
from lakebed.ports.series import Missing, Part, Series, SeriesSnapshot

__all__ = [
    "Assignment",
    "Catalog",
    "Checkpoint",
    "CheckpointStore",
    "Consumer",
    "Damage",
    "DamagedBlock",
    "DeadLetter",
    "DeadLetterStore",
    "Fate",
    "ForgetStore",
    "Forgetting",
    "Health",
    "Identity",
    "Journal",
    "JournalSnapshot",
    "LastValue",
    "LastValueStore",
    "LetGo",
    "Missing",
    "Objects",
    "Order",
    "Part",
    "Place",
    "PolicyStore",
    "Predecessor",
    "Series",
    "SeriesSnapshot",
    "StoredPolicy",
    "Successor",
    "TokenStore",
]
