"""Whole files under names: where backups go."""

from pathlib import Path
from typing import Protocol


class Objects(Protocol):
    """Whole files under names (paths with slashes). Calls block and may be made from any thread.

    Every method raises `StoreUnavailable` where the store does not answer.
    """

    location: str

    def put(self, name: str, source: bytes | Path) -> None:
        """Durable when it returns; there whole or not at all; replaces what had the name."""
        ...

    def get(self, name: str) -> bytes:
        """Raises `NotFound`."""
        ...

    def fetch(self, name: str, into: Path) -> None:
        """Write it to a file, durably. Raises `NotFound`."""
        ...

    def sizes(self, prefix: str = "") -> dict[str, int]:
        """The names below a folder (all without one), with their bytes."""
        ...

    def folders(self) -> set[str]:
        """What there is at the top: first steps of the names."""
        ...

    def delete(self, name: str) -> None: ...
