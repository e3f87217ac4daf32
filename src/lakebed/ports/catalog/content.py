"""The contents of a catalog, to move them to another database."""

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

Rows = list[dict[str, Any]]
"""Rows of one table of a catalog, each by column."""


class ContentStore(Protocol):
    """Reads and replaces everything that a catalog holds."""

    def content(self) -> Iterator[tuple[str, Rows]]:
        """Yield everything, as of one moment, in chunks of rows of one table.

        A table comes before those that refer to it. Make no other call on the same catalog before
        the iterator has ended.
        """
        ...

    def replace(self, content: Iterable[tuple[str, Rows]]) -> None:
        """Replace everything by this content, in one transaction."""
        ...

    def counts(self) -> dict[str, int]:
        """The number of rows by table, of tables that are empty in an unused catalog."""
        ...
