"""Which topics bring reports of units: those of the settings, and those that owners have named.

settings: patterns for every owner ────────────┐
catalog: patterns of an owner, for its own ────┴──> kind and unit of a channel

One for all shards of a keeper. It looks at the catalog once a second, at one number, and reads the
patterns when that has changed. While the catalog does not answer, those last read count.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TypeAlias

from lakebed.ports.accounts.owners import ReportTopicStore
from lakebed.vocabulary.errors import Unavailable
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.unit_topics import UnitPattern, parse_unit_pattern

STATE, LOG = "state", "log"
KINDS = (STATE, LOG)

_LOOK = 1.0  # seconds between two looks at the catalog

Key: TypeAlias = tuple[str, str]
"""Owner, and what the topic says of the unit: its uuid or name."""
Named: TypeAlias = tuple[tuple[str, UnitPattern], ...]


class ReportTopics:
    """Used by the keeper's thread.

    Args:
        states, logs: patterns of the settings.

    Attributes:
        version: another one where other topics count than before.
    """

    def __init__(
        self,
        store: ReportTopicStore,
        states: Sequence[str],
        logs: Sequence[str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._clock = store, clock
        self._of_all = _parsed({STATE: states, LOG: logs})
        self._of_owners: dict[str, Named] = {}
        self._read: Mapping[str, Mapping[str, Sequence[str]]] = {}
        self._grants: int | None = None
        self._look_at = float("-inf")
        self.version = 0

    @property
    def are_named(self) -> bool:
        """Whether there are any."""
        return bool(self._of_all or self._of_owners)

    def follow(self) -> None:
        """Take over what owners have changed, if it is time to look."""
        if self._clock() < self._look_at:
            return
        with suppress(Unavailable):
            grants = self._store.grants_version()
            if grants != self._grants:
                self._take(self._store.report_topics())
                self._grants = grants
        self._look_at = self._clock() + _LOOK

    def _take(self, found: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
        if found == self._read:
            return
        self._read = found
        self._of_owners = {owner: _parsed(named) for owner, named in found.items()}
        self.version += 1

    def find(self, channel: Channel) -> tuple[str, Key] | None:
        """The kind of report that comes there, and of which unit; None for other messages."""
        for kind, pattern in (*self._of_all, *self._of_owners.get(channel.owner, ())):
            unit = pattern.find(channel.topic)
            if unit is not None:
                return kind, (channel.owner, unit)
        return None


def _parsed(named: Mapping[str, Sequence[str]]) -> Named:
    return tuple((kind, parse_unit_pattern(text)) for kind in KINDS for text in named.get(kind, ()))
