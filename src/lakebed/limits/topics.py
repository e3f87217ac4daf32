"""Counts the topics of owners that may have only so many.

topics that the ledger knows ──once a minute──┐
new topics of this process ───────────────────┴──> known? ──no──> room for one more?
"""

from collections.abc import Callable, Collection, Mapping

Read = Callable[[Collection[str]], Mapping[str, Collection[str]]]
"""The topics of some owners that have had messages. Blocks."""


class TopicCounts:
    """Any thread; several at once may admit a topic too many.

    Memory is that of the topics of owners with a limit.
    """

    def __init__(self) -> None:
        self._known: dict[str, set[str]] = {}

    def admits(self, owner: str, topic: str, limit: int) -> bool:
        """Whether an owner may have this topic; a new one is noted.

        Before the ledger was read for the first time every topic is new, and admitted.
        """
        known = self._known.get(owner)
        if known is None or topic in known:
            return True
        if len(known) >= limit:
            return False
        known.add(topic)
        return True

    def knows(self, owners: Collection[str]) -> bool:
        """Whether the topics of all these owners were read."""
        return self._known.keys() >= set(owners)

    def put(self, found: Mapping[str, Collection[str]], limited: Collection[str]) -> None:
        """Add topics that were read, and forget owners that have no limit any more."""
        for owner in self._known.keys() - set(limited):
            del self._known[owner]
        for owner in limited:
            self._known.setdefault(owner, set()).update(found.get(owner, ()))
