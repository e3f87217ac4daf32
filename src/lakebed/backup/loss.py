"""Detects that the series is lost or damaged, and records it until it is rebuilt.

    opens, tables there ─────────────────────────────────> no loss
    opens, but empty, while the catalog has checkpoints ─> lost
    opens, but has detached damaged parts ───────────────> those parts are lost, unless the parts
                                                            that they were merged from are there
    does not open ──> its folder is renamed ─────────────> lost

The record in the home (`series.lost.json`) is written first, so that the next start begins an
interrupted rebuild again. It stays until the rebuild is complete. Where something is lost for ever,
it stays until an operator removes it.
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
from lakebed.system.disk import room_at
from lakebed.system.files import remove_file, write_file
from lakebed.vocabulary import times
from lakebed.vocabulary.errors import StoreUnavailable
from lakebed.vocabulary.times import Micros

log = structlog.get_logger(__name__)

FILE = "series.lost.json"
_CHECKPOINTS = "series.lost.checkpoints"
_KNOWN = "series.lost.known"
"""Damaged parts detected before: the store keeps them detached and reports them at every start."""
_CIRCUMSTANCES = re.compile(
    r"no space|not_enough_space|permission denied|read-only|too many open files|memory|"
    r"already in use|resource temporarily|cannot lock|locked",
    re.IGNORECASE,
)
"""Errors of an undamaged store: an operator must mend its surroundings."""

Checkpoints = Mapping[int, Sequence[Checkpoint]]


class Loss(msgspec.Struct):
    """A loss of the whole series or of parts, and the result of its rebuild.

    Attributes:
        at: when it was detected, microseconds.
        everything: whether no table was left; else `broken` names the parts.
        aside: the path that the broken folder was renamed to.
        done: whether the rebuild is complete; the fields below are its result.
        backup: the name of the backup that it started from.
        missing: messages that are in neither backup nor journal; received between `since` and
            `until`.
        trouble: other problems, one sentence each.
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
    def permanent(self) -> bool:
        """Whether something cannot be rebuilt."""
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


def open_detecting_loss(
    settings: StoreSettings, checkpoints: Checkpoints
) -> tuple[Series, Loss | None]:
    """Open the series; return it with the loss that was detected now or recorded before.

    Args:
        checkpoints: the keeper's; if there are any, there was a series.

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
        if folder is None or not folder.exists() or _is_undamaged(folder, error):
            raise
        reason = f"it did not open: {error}"
        aside = str(put_aside(folder, f".broken-{times.now()}"))
        log.error("the series does not open and is put aside", error=str(error), aside=aside)
        series = open_series(settings)
    known = _read_known(home)
    found = _detect(series, reason, noted, known) if checkpoints else None
    if found is None:
        _save_known(home, series.missing(), known)
        return series, noted
    found.aside = aside
    log.error("the series is lost, in whole or in part", reason=found.reason, aside=aside)
    write_file(home / _CHECKPOINTS, msgspec.msgpack.encode(checkpoints))
    write(home, found)
    _save_known(home, series.missing(), known)
    return series, found


def _is_undamaged(folder: Path, error: StoreUnavailable) -> bool:
    """Whether the surroundings are to blame: a disk without room makes all kinds of errors."""
    return bool(_CIRCUMSTANCES.search(str(error))) or not room_at(folder).some


def checkpoints(home: Path) -> dict[int, list[Checkpoint]]:
    """Load the keeper's checkpoints of when the loss was detected: every rebuild starts there."""
    data = (home / _CHECKPOINTS).read_bytes()
    return msgspec.msgpack.decode(data, type=dict[int, list[Checkpoint]])


def _folder(settings: StoreSettings) -> Path | None:
    """The folder of an embedded series, else None."""
    scheme, _, path = settings.series.url.partition(":")
    return settings.home / path.removeprefix("//") if scheme == "chdb" else None


def _detect(series: Series, reason: str, noted: Loss | None, known: set[str]) -> Loss | None:
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


def _save_known(home: Path, missing: Missing, known: set[str]) -> None:
    if missing.everything:  # another store, whose parts may have the same names
        known = set()
        remove_file(home / _KNOWN)
    if new := {*missing.broken, *missing.covered} - known:
        log.warning("the store has put damaged parts aside", parts=sorted(new))
        write_file(home / _KNOWN, msgspec.json.encode(sorted(known | new)))
