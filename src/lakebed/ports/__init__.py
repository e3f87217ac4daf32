"""Every contract between the parts. `runtime/` decides by URL who fulfils each of them.

    gateway side (asyncio)                  consumer side (plain threads)

    sources ──> Intake ──> Journal.append   Journal.consumer ──> keeper ──> Series
                                                      │             └─────> Catalog
                                                      └──> taps, previews, relays

Two rules hold for all adapters. Foreign exceptions become those of `vocabulary/errors.py` at the
adapter and nowhere else. And nothing on this side of a port may ask which adapter it got.
"""

from lakebed.ports.catalog import (
    Catalog,
    Checkpoint,
    CheckpointStore,
    DeadLetter,
    DeadLetterStore,
    Fate,
    LastValue,
    LastValueStore,
    PolicyStore,
    StoredPolicy,
)
from lakebed.ports.erasing import Erasure, ErasureOrder, ErasureResult, ErasureStore
from lakebed.ports.health import Health
from lakebed.ports.journal import (
    Consumer,
    ConsumerPosition,
    Damage,
    DamagedBlock,
    Journal,
    JournalSnapshot,
    Predecessor,
    Pressure,
    RebalanceListener,
    Successor,
)
from lakebed.ports.objects import Objects
from lakebed.ports.question import Page, Question
from lakebed.ports.series import (
    Content,
    Contents,
    Missing,
    Part,
    Series,
    SeriesCopier,
    SeriesEraser,
    SeriesReader,
    SeriesSnapshot,
    SeriesWriter,
    Usage,
)
from lakebed.ports.tokens import StoredToken, TokenStore

__all__ = [
    "Catalog",
    "Checkpoint",
    "CheckpointStore",
    "Consumer",
    "ConsumerPosition",
    "Content",
    "Contents",
    "Damage",
    "DamagedBlock",
    "DeadLetter",
    "DeadLetterStore",
    "Erasure",
    "ErasureOrder",
    "ErasureResult",
    "ErasureStore",
    "Fate",
    "Health",
    "Journal",
    "JournalSnapshot",
    "LastValue",
    "LastValueStore",
    "Missing",
    "Objects",
    "Page",
    "Part",
    "PolicyStore",
    "Predecessor",
    "Pressure",
    "Question",
    "RebalanceListener",
    "Series",
    "SeriesCopier",
    "SeriesEraser",
    "SeriesReader",
    "SeriesSnapshot",
    "SeriesWriter",
    "StoredPolicy",
    "StoredToken",
    "Successor",
    "TokenStore",
    "Usage",
]
