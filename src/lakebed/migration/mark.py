"""Marks a migration as running or finished, in the target's catalog and in the home.

    target   checkpoint ("migration", 0, LINEAGE), from before the first row on ──> finished with
             everything else of the catalog, in one transaction
    home     moved.json, just before that: no server starts on it any more

So at most one of the two is served at any moment, and no server starts on an incomplete copy.
"""

from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from lakebed.ports.catalog.checkpoints import Checkpoint, CheckpointReader, CheckpointStore
from lakebed.stores.opening import StoreSettings
from lakebed.system.files import write_file
from lakebed.vocabulary.errors import Fatal

CONSUMER = "migration"
"""The consumer of the mark's checkpoint in the target's catalog."""

FILE = "moved.json"


class Mark(msgspec.Struct):
    """The state of a migration.

    Attributes:
        lineage: of the home that is moved.
        term, end: the home's state: a keeper that works on it again raises its term.
        finished: whether everything is copied.
        done: the table partitions that are copied, as "table/partition".
    """

    lineage: str
    term: int
    end: int
    finished: bool = False
    done: list[str] = []

    def is_of(self, other: "Mark") -> bool:
        """Whether both are of the same home in the same state."""
        return (self.lineage, self.term, self.end) == (other.lineage, other.term, other.end)

    def to_checkpoint(self) -> Checkpoint:
        return Checkpoint(self.lineage, self.end, msgspec.json.encode(self))


def read(catalog: CheckpointReader) -> Mark | None:
    for part in catalog.checkpoints(CONSUMER).get(0, []):
        return msgspec.json.decode(part.state, type=Mark)
    return None


def write(catalog: CheckpointStore, mark: Mark) -> None:
    catalog.save_checkpoints(CONSUMER, 0, [mark.to_checkpoint()])


def check_finished(catalog: CheckpointReader) -> None:
    """Raise `Fatal` if a home is only partly migrated to these stores."""
    mark = read(catalog)
    if mark is not None and not mark.finished:
        raise Fatal(
            "the migration of a home to these stores is under way, or was interrupted: "
            "run `lakebed migrate` again"
        )


# --- in the home ----------------------------------------------------------------------------------


def describe_stores(settings: StoreSettings) -> str:
    """The URLs of the stores, in one line and without passwords."""
    urls = (settings.journal.url, settings.series.url, settings.catalog.url)
    parts = map(urlsplit, urls)
    return ", ".join(f"{p.scheme}://{p.netloc.rpartition('@')[2]}{p.path}" for p in parts)


class _Moved(msgspec.Struct):
    to: str


def note(home: Path, to: str) -> None:
    """Record in the home that its contents were moved."""
    write_file(home / FILE, msgspec.json.format(msgspec.json.encode(_Moved(to))))


def check_not_moved(settings: StoreSettings, home: Path | None = None) -> None:
    """Raise `Fatal` if the home was moved to other stores than those of the settings."""
    home = home or settings.home
    try:
        moved = msgspec.json.decode((home / FILE).read_bytes(), type=_Moved)
    except FileNotFoundError:
        return
    except msgspec.MsgspecError as error:
        raise Fatal(f"{home / FILE} cannot be read: {error}") from None
    if moved.to != describe_stores(settings):
        raise Fatal(
            f"what was in {home} has been moved to {moved.to}: serve that, or remove "
            f"{home / FILE} to go on here with what was there then"
        )
