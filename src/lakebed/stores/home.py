"""The home: the folder of the embedded stores, its lock, and its permissions.

A process that opens an embedded store locks its home. Where all stores are servers, nothing in the
home needs a lock, and several processes may share it.
"""

import os
import stat
from contextlib import suppress
from pathlib import Path

from lakebed.system import files
from lakebed.system.advice import reason
from lakebed.vocabulary.errors import Fatal

EXCHANGING = "restore.unfinished"
"""A file that is in a home while its stores are replaced: no server starts then."""


_OTHERS = stat.S_IRWXG | stat.S_IRWXO
"""The bits of a mode that are not the owner's."""


def keep_new_files_private() -> None:
    """Make all files that this process creates from now on private to its user."""
    os.umask(_OTHERS)


def readable_by_others(home: Path) -> bool:
    try:
        return bool(home.stat().st_mode & _OTHERS)
    except OSError:
        return False


def make_private(home: Path) -> None:
    """Make the home and all files in it unreadable for other users; earlier versions did not.

    The home itself is last: an interrupted run is repeated as long as the home is readable. Files
    of another user (a mounted volume, a file that is mounted into it) stay as they are.
    """
    if not readable_by_others(home):
        return
    for folder, folders, others in os.walk(home):
        for name in (*folders, *others):
            _close_to_others(Path(folder, name))
    _close_to_others(home)


def _close_to_others(path: Path) -> None:
    with suppress(OSError):  # it belongs to another user, or was removed meanwhile
        mode = path.lstat().st_mode
        if mode & _OTHERS and not stat.S_ISLNK(mode):
            path.chmod(stat.S_IMODE(mode) & ~_OTHERS)


def lock(home: Path) -> int:
    """Lock the home for this process; return the descriptor that has the lock.

    Raises:
        Fatal: another process has it, or the home cannot be used.
    """
    try:
        descriptor = files.lock(home / "lock")
    except OSError as error:
        raise Fatal(f"the home {home} cannot be used: {reason(error)}") from None
    if descriptor is None:
        raise Fatal(f"another process holds the home {home}: stop it or choose --home")
    make_private(home)
    return descriptor


def check_whole(home: Path) -> None:
    """Raise `Fatal` if a restore was interrupted while it replaced stores."""
    if (home / EXCHANGING).exists():
        raise Fatal(f"a restore to {home} was interrupted: run `lakebed restore --replace` again")
