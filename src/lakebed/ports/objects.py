"""Object stores, where backups are written."""

from pathlib import Path
from typing import Protocol


class Objects(Protocol):
    """Stores whole files under names (paths with slashes). Calls block, and are thread-safe.

    Every method raises `StoreUnavailable` where the store does not answer.
    """

    location: str

    def put(self, name: str, source: bytes | Path) -> None:
        """Write an object atomically and durably, and replace one of the same name."""
        ...

    def get(self, name: str) -> bytes:
        """Read an object. Raises `NotFound`."""
        ...

    def fetch(self, name: str, into: Path) -> None:
        """Write an object to a file, durably. Raises `NotFound`."""
        ...

    def sizes(self, prefix: str = "") -> dict[str, int]:
        """The names below a folder, or all names, with their size in bytes."""
        ...

    def folders(self) -> set[str]:
        """The folders at the top: the first parts of all names."""
        ...

    def delete(self, name: str) -> None: ...
