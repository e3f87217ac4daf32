"""The home: the folder that embedded stores lie in, and the process that holds it.

A home is locked by the process that has an embedded store in it. Where all stores are servers
nothing in it needs a lock, and several processes may name the same one.
"""

from pathlib import Path

from lakebed.system import files
from lakebed.vocabulary.errors import Fatal

EXCHANGING = "restore.unfinished"
"""A file in a home whose stores are being exchanged: no server starts on it."""


def lock(home: Path) -> int:
    """Hold the home for this process; returns the descriptor that holds it.

    Raises:
        Fatal: another process holds it, or it cannot be used.
    """
    try:
        descriptor = files.lock(home / "lock")
    except OSError as error:
        raise Fatal(f"the home {home} cannot be used: {error.strerror}") from None
    if descriptor is None:
        raise Fatal(f"another process holds the home {home}: stop it or choose --home")
    return descriptor


def check_whole(home: Path) -> None:
    """Raises `Fatal` where stores were being exchanged when something went wrong."""
    if (home / EXCHANGING).exists():
        raise Fatal(f"a restore to {home} was interrupted: run `lakebed restore --replace` again")
