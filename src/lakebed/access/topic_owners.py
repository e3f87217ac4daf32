"""Finds the owners of topics at a broker, which has no notion of owners.

    topic of the broker ──patterns of sources──> unit ──> owner      example.com/{unit}/pepeunit
                        ──topics of sources────> owner of the source plant/#
    owner, topic ──> allow(principal, action, Resource(owner, (topic,)))

At a broker the topics of all owners are in one name space. A filter of a unit is about the name
space of its owner, so at the broker it covers only topics that sources assign to this owner.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lakebed.access.principals import Principal
from lakebed.access.unit_directory import UnitDirectory
from lakebed.vocabulary.topics import check_filter, covers
from lakebed.vocabulary.unit_topics import UnitPattern


@dataclass(frozen=True, slots=True)
class BrokerTopics:
    """What a source says of its broker's topics.

    Attributes:
        owner: of everything below `filters`, where there are no patterns.
        filters: subscriptions, without `$share/GROUP/`.
        patterns: topics that name their unit; where there are some, others are nobody's.
    """

    owner: str
    filters: tuple[str, ...]
    patterns: tuple[UnitPattern, ...] = ()


class TopicOwners:
    """Without sources a broker's topics are taken to be those of whoever uses them."""

    def __init__(self, sources: Sequence[BrokerTopics], units: UnitDirectory) -> None:
        self._sources = sources
        self._units = units

    def owner(self, asked: str, principal: Principal) -> str | None:
        """The owner of all topics that a topic or filter matches; None where they are not one's."""
        if not self._sources:
            return principal.owner
        for source in self._sources:
            for pattern in source.patterns:
                if covers((pattern.filter,), asked):
                    # the first pattern decides, as it does when a message comes
                    key = asked.split("/")[pattern.place]
                    unit = self._units.find(key, source.owner)
                    return None if unit is None else unit.owner
            if not source.patterns and covers(source.filters, asked):
                return source.owner
        return None

    def own(self, principal: Principal) -> list[str]:
        """Filters of topics that are certainly the principal's own, or of its owner."""
        if not self._sources:
            return ["#"]
        return list(dict.fromkeys(self._own(principal)))

    def _own(self, principal: Principal) -> Iterator[str]:
        unit = self._units.by_uuid(principal.unit) if principal.unit else None
        for source in self._sources:
            if not source.patterns and source.owner == principal.owner:
                yield from source.filters
            for pattern in source.patterns if unit is not None else ():
                assert unit is not None
                for key in (unit.uuid, unit.name):
                    # who is found by the name, and not by a name that is another's uuid
                    if self._units.find(key, source.owner) == unit:
                        yield pattern.filled(key)


def intersection(one: str, other: str) -> str | None:
    """The filter of all topics that both filters match; None where there are none."""
    if any(a[:1] == "$" and b[:1] in ("+", "#") for a, b in ((one, other), (other, one))):
        return None
    left, right = one.split("/"), other.split("/")
    found: list[str] = []
    for place in range(max(len(left), len(right))):
        a = left[place] if place < len(left) else None
        b = right[place] if place < len(right) else None
        if a == "#" or b == "#":
            rest = right[place:] if a == "#" else left[place:]
            return _valid([*found, *rest])
        if a is None or b is None or (a != b and "+" not in (a, b)):
            return None
        found.append(b if a == "+" else a)
    return _valid(found)


def _valid(levels: list[str]) -> str | None:
    filter = "/".join(levels)
    try:
        check_filter(filter)
    except ValueError:
        return None
    return filter
