"""Owners that keep as much as their limit `stored` allows."""

from collections import Counter
from collections.abc import Mapping

from lakebed.vocabulary.limits import Limits, Over


class FullOwners:
    """One for all allowances of a process. Event loop only.

    Args:
        totals: messages over a limit, by kind of its subject and what happened to them.
    """

    def __init__(self, totals: Counter[tuple[str, Over]]) -> None:
        self._found: dict[str, Limits] = {}
        self._totals = totals

    def __bool__(self) -> bool:
        return bool(self._found)

    def __contains__(self, owner: str) -> bool:
        return owner in self._found

    def put(self, found: Mapping[str, Limits]) -> bool:
        """Put others in their place; whether they are others."""
        changed = found.keys() != self._found.keys()
        self._found = dict(found)
        return changed

    def over(self, owner: str) -> Over:
        """What happens to its messages: to wait does not help, and no unit is to blame."""
        return Over.PARK if self._found[owner].over is Over.PARK else Over.REFUSE

    def reached(self, owner: str) -> str:
        """The limit, for errors."""
        return f"the limit `stored` ({self._found[owner].stored} bytes) of owner {owner!r}"

    def note_over(self, owner: str, count: int) -> None:
        """Count messages that were not kept for it."""
        self._totals["owner", self.over(owner)] += count
