"""What says that a migration is under way, or over: in the target's catalog and in the home.

    target   checkpoint ("migration", 0, LINEAGE), from before the first row on ──> finished with
             everything else of the catalog, in one transaction
    home     moved.json, just before that: no server starts on it any more

So at every moment at most one of the two is served, and a server never finds half of a home.
"""

from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from lakebed.ports.catalog.checkpoints import Checkpoint, CheckpointReader, CheckpointStore
from lakebed.stores.opening import StoreSettings
from lakebed.system.files import write_file
from lakebed.vocabulary.errors import Fatal

CONSUMER = "migration"
"""The name under which it stands among the checkpoints of the target."""

FILE = "moved.json"


class Mark(msgspec.Struct):
    """Attributes:
    lineage: of the home that is moved.
    term, end: the state it is in: a keeper that works on it again raises its term.
    finished: whether everything is there.
    done: the stretches of tables that are, as "table/partition".
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
    """Raises `Fatal` where a home is only half there."""
    mark = read(catalog)
    if mark is not None and not mark.finished:
        raise Fatal(
            "the migration of a home to these stores is under way, or was interrupted: "
            "run `lakebed migrate` again"
        )


# --- in the home ----------------------------------------------------------------------------------


def place_of(settings: StoreSettings) -> str:
    """Where the stores of these settings are, in a line without passwords."""
    urls = (settings.journal.url, settings.series.url, settings.catalog.url)
    parts = map(urlsplit, urls)
    return ", ".join(f"{p.scheme}://{p.netloc.rpartition('@')[2]}{p.path}" for p in parts)


class _Moved(msgspec.Struct):
    to: str


def note(home: Path, to: str) -> None:
    """Write down that what is in the home is elsewhere now."""
    write_file(home / FILE, msgspec.json.format(msgspec.json.encode(_Moved(to))))


def check_here(settings: StoreSettings, home: Path | None = None) -> None:
    """Raises `Fatal` where what was in the home is elsewhere, unless where these settings say."""
    home = home or settings.home
    try:
        moved = msgspec.json.decode((home / FILE).read_bytes(), type=_Moved)
    except FileNotFoundError:
        return
    except msgspec.MsgspecError as error:
        raise Fatal(f"{home / FILE} cannot be read: {error}") from None
    if moved.to != place_of(settings):
        raise Fatal(
            f"what was in {home} has been moved to {moved.to}: serve that, or remove "
            f"{home / FILE} to go on here with what was there then"
        )
