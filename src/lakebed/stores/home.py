"""The home: the folder of the embedded stores, and its lock.

A process that opens an embedded store locks its home. Where all stores are servers, nothing in the
home needs a lock, and several processes may share it.
"""

from pathlib import Path

from lakebed.system import files
from lakebed.vocabulary.errors import Fatal

EXCHANGING = "restore.unfinished"
"""A file that is in a home while its stores are replaced: no server starts then."""


def lock(home: Path) -> int:
    """Lock the home for this process; return the descriptor that has the lock.

    Raises:
        Fatal: another process has it, or the home cannot be used.
    """
    try:
        descriptor = files.lock(home / "lock")
    except OSError as error:
        raise Fatal(f"the home {home} cannot be used: {error.strerror}") from None
    if descriptor is None:
        raise Fatal(f"another process holds the home {home}: stop it or choose --home")
    return descriptor


def check_whole(home: Path) -> None:
    """Raise `Fatal` if a restore was interrupted while it replaced stores."""
    if (home / EXCHANGING).exists():
        raise Fatal(f"a restore to {home} was interrupted: run `lakebed restore --replace` again")
