"""A catalog as a whole, to be moved to another database."""

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

Rows = list[dict[str, Any]]
"""Of one table of a catalog, by column."""


class ContentStore(Protocol):
    """A catalog as a whole, to be moved to another database."""

    def content(self) -> Iterator[tuple[str, Rows]]:
        """Everything, as of one moment, in stretches of one table each; tables that others name
        come first. Make no other call of the same catalog before it has ended."""
        ...

    def replace(self, content: Iterable[tuple[str, Rows]]) -> None:
        """Make this all that is there, in one transaction."""
        ...

    def counts(self) -> dict[str, int]:
        """Rows of those tables that an unused catalog has none in."""
        ...
