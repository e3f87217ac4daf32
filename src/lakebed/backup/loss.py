"""Notices that the series is gone or broken, and writes it down until it is made good.

    opens, tables there ──────────────────────────────> as always
    opens, but empty, while the catalog has checkpoints ─> lost
    opens, but has put parts aside as damaged ───────────> lost in parts, unless what they were
                                                            merged from is there
    does not open ──> the folder is put aside ───────────> lost

The note in the home (`series.lost.json`) is written before anything else is done, so that a rebuild
that is interrupted is begun again at the next start. It stays until everything was made good, or,
where something is gone for ever, until an operator has seen it and removes it.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import structlog

from lakebed.backup.restoring import put_aside
from lakebed.ports.catalog.checkpoints import Checkpoint
from lakebed.ports.series import Missing, Series
from lakebed.stores.opening import StoreSettings, open_series
from lakebed.system.files import remove_file, write_file
from lakebed.vocabulary import times
from lakebed.vocabulary.errors import StoreUnavailable
from lakebed.vocabulary.times import Micros

log = structlog.get_logger(__name__)

FILE = "series.lost.json"
_CHECKPOINTS = "series.lost.checkpoints"
_KNOWN = "series.lost.known"
"""Damaged parts that were noticed once: the store keeps them aside and tells of them for ever."""
_CIRCUMSTANCES = re.compile(
    r"no space|not_enough_space|permission denied|read-only|too many open files|memory|"
    r"already in use|resource temporarily|cannot lock|locked",
    re.IGNORECASE,
)
"""Errors of a store that is whole: an operator must mend what is around it."""

Checkpoints = Mapping[int, Sequence[Checkpoint]]


class Loss(msgspec.Struct):
    """What is known of a loss.

    Attributes:
        at: when it was noticed, microseconds.
        everything: whether no table was left; else `broken` names the parts.
        aside: where the broken folder is now.
        done: whether what is left has been put together again; what follows says with what success.
        backup: the name of the backup it began with.
        missing: messages that are in neither backup nor journal; received between `since` and
            `until`.
        trouble: what else went wrong, in words.
    """

    reason: str
    at: Micros
    everything: bool = True
    broken: tuple[str, ...] = ()
    aside: str | None = None
    done: bool = False
    backup: str | None = None
    rows: int = 0
    missing: int = 0
    since: Micros | None = None
    until: Micros | None = None
    trouble: tuple[str, ...] = ()

    @property
    def for_good(self) -> bool:
        """Whether something cannot be made good."""
        return self.missing > 0 or bool(self.trouble)


def read(home: Path) -> Loss | None:
    try:
        return msgspec.json.decode((home / FILE).read_bytes(), type=Loss)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        return Loss(f"its note {FILE} cannot be read ({error})", times.now())


def write(home: Path, loss: Loss) -> None:
    write_file(home / FILE, msgspec.json.format(msgspec.json.encode(loss)))


def clear_checkpoints(home: Path) -> None:
    remove_file(home / _CHECKPOINTS)


def clear(home: Path) -> None:
    remove_file(home / FILE)


def open_noticing(settings: StoreSettings, checkpoints: Checkpoints) -> tuple[Series, Loss | None]:
    """Open the series; with it, the loss that is to be made good or was.

    Args:
        checkpoints: the keeper's; where there are any, there has been a series.

    Raises:
        StoreUnavailable: it does not open, for a reason other than damage.
    """
    home, folder = settings.home, _folder(settings)
    noted = read(home)
    aside = noted.aside if noted is not None and not noted.done else None
    reason = "it was not there"
    try:
        series = open_series(settings)
    except StoreUnavailable as error:
        if folder is None or not folder.exists() or _CIRCUMSTANCES.search(str(error)):
            raise
        reason = f"it did not open: {error}"
        aside = str(put_aside(folder, f".broken-{times.now()}"))
        log.error("the series does not open and is put aside", error=str(error), aside=aside)
        series = open_series(settings)
    known = _read_known(home)
    found = _found(series, reason, noted, known) if checkpoints else None
    if found is None:
        _know(home, series.missing(), known)
        return series, noted
    found.aside = aside
    log.error("the series is lost, in whole or in part", reason=found.reason, aside=aside)
    write_file(home / _CHECKPOINTS, msgspec.msgpack.encode(checkpoints))
    write(home, found)
    _know(home, series.missing(), known)
    return series, found


def checkpoints(home: Path) -> dict[int, list[Checkpoint]]:
    """The keeper's at the moment the loss was noticed: a rebuild begun again starts from them."""
    data = (home / _CHECKPOINTS).read_bytes()
    return msgspec.msgpack.decode(data, type=dict[int, list[Checkpoint]])


def _folder(settings: StoreSettings) -> Path | None:
    """Of an embedded series."""
    scheme, _, path = settings.series.url.partition(":")
    return settings.home / path.removeprefix("//") if scheme == "chdb" else None


def _found(series: Series, reason: str, noted: Loss | None, known: set[str]) -> Loss | None:
    missing = series.missing()
    if missing.everything:
        return Loss(reason, times.now())
    broken = tuple(part for part in missing.broken if part not in known)
    if not broken:
        return None
    before = [part for part in noted.broken if part not in broken] if noted is not None else []
    reason = f"{len(broken)} parts were damaged and put aside by the store"
    return Loss(reason, times.now(), everything=False, broken=(*before, *broken))


def _read_known(home: Path) -> set[str]:
    try:
        return set(msgspec.json.decode((home / _KNOWN).read_bytes(), type=list[str]))
    except (FileNotFoundError, msgspec.MsgspecError):
        return set()


def _know(home: Path, missing: Missing, known: set[str]) -> None:
    if missing.everything:  # another store, whose parts may have the same names
        known = set()
        remove_file(home / _KNOWN)
    if new := {*missing.broken, *missing.covered} - known:
        log.warning("the store has put damaged parts aside", parts=sorted(new))
        write_file(home / _KNOWN, msgspec.json.encode(sorted(known | new)))
