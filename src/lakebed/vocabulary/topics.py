"""Topic names and topic filters (MQTT 5.0 section 4.7).

A topic names one series (`plant/3/temperature`). A filter matches many topics: `+` stands for one
level, `#` at the end for any number of levels, also none.
"""

import re
from collections.abc import Sequence
from typing import Generic, TypeVar

V = TypeVar("V")

_WILDCARD = re.compile(r"(?:\A|(?<=/))[+#](?=/|\Z)")

LONGEST = 65535
"""Bytes of a topic or filter: the length of a UTF-8 string has 16 bits (section 1.5.4)."""

_NO_TEXT = re.compile(
    "[\x00-\x1f\x7f-\x9f\ufdd0-\ufdef"
    + "".join(chr(plane << 16 | 0xFFFE) + chr(plane << 16 | 0xFFFF) for plane in range(17))
    + "]"
)
"""Control characters and non-characters, which no topic should have (sections 1.5.4.2, 1.5.4.3)."""


def check_topic(topic: str, longest: int = LONGEST) -> None:
    """Check a topic to publish to.

    Args:
        longest: bytes that it may have.

    Raises:
        ValueError: a sentence that says what is wrong.
    """
    _check_text(topic, "topic", longest)
    if (found := _NO_TEXT.search(topic)) is not None:
        raise ValueError(
            f"a topic must not contain the character U+{ord(found[0]):04X}, at place"
            f" {found.start() + 1}: neither control characters nor non-characters are text"
        )
    if "+" in topic or "#" in topic:
        raise ValueError("a topic to publish to must not contain the wildcards + and #")


def check_filter(filter: str) -> None:
    """Check a filter to subscribe to.

    Raises:
        ValueError: a sentence that says what is wrong.
    """
    _check_text(filter, "topic filter", LONGEST)
    levels = filter.split("/")
    for index, level in enumerate(levels):
        if level in ("+", "#"):
            if level == "#" and index < len(levels) - 1:
                raise ValueError("# must be the last level of a topic filter")
        elif "+" in level or "#" in level:
            raise ValueError(
                f"+ and # must stand alone between slashes, not inside {level!r} of a topic filter"
            )


def _check_text(text: str, what: str, longest: int) -> None:
    if not text:
        raise ValueError(f"a {what} must not be empty")
    if "\0" in text:
        raise ValueError(f"a {what} must not contain the character U+0000")
    try:
        length = len(text.encode())
    except UnicodeEncodeError:
        raise ValueError(f"a {what} must be text that UTF-8 can encode") from None
    if length > longest:
        raise ValueError(f"a {what} is at most {longest} bytes long, not {length}")


def matches(filter: str, topic: str) -> bool:
    """Whether a valid filter covers a valid topic.

    `a/#` covers `a` too (4.7.1.2); a filter that begins with a wildcard covers no topic that
    begins with `$` (4.7.2).
    """
    if filter == topic:
        return True
    if topic[:1] == "$" and filter[:1] in ("+", "#"):
        return False
    asked, given = filter.split("/"), topic.split("/")
    for index, level in enumerate(asked):
        if level == "#":
            return True
        if index == len(given):
            return False
        if level not in ("+", given[index]):
            return False
    return len(asked) == len(given)


def is_wildcard(topic: str) -> bool:
    return _WILDCARD.search(topic) is not None


def fixed_prefix(topic: str) -> str:
    """The common prefix of all topics under a filter; that of `a/#`, which covers `a`, is `a`."""
    match = _WILDCARD.search(topic)
    if match is None:
        return topic
    head = topic[: match.start()]
    return head.removesuffix("/") if match[0] == "#" else head


_OTHER = "\0"
"""A level that occurs in no filter and no topic; it stands for all names that no filter has."""


def covers(filters: Sequence[str], asked: str) -> bool:
    """Whether every topic that the filter `asked` matches is matched by one of these filters.

    The answer is exact for valid filters. A topic is a filter that matches only itself. A filter
    distinguishes only names that it contains, so one made-up topic stands for all topics of the
    same length that `asked` matches, and only the lengths at which a filter ends must be tried.
    """
    if "+" not in asked and "#" not in asked:
        return any(matches(filter, asked) for filter in filters)
    *front, last = asked.split("/")
    if last != "#":
        patterns = [[*front, last]]
    else:
        lengths = {len(front), len(front) + 1}
        for filter in filters:
            length = filter.count("/") + (not filter.endswith("#"))
            lengths |= {length, length + 1}
        more = [length - len(front) for length in lengths if length >= max(len(front), 1)]
        patterns = [front + [_OTHER] * length for length in more]
    topics = ["/".join(_OTHER if level == "+" else level for level in p) for p in patterns]
    return all(any(matches(filter, topic) for filter in filters) for topic in topics if topic)


def overlaps(one: str, other: str) -> bool:
    """Whether some topic is matched by both filters."""
    for first, second in ((one, other), (other, one)):
        if first[:1] == "$" and second[:1] in ("+", "#"):
            return False
    return _overlap(one.split("/"), other.split("/"))


def _overlap(one: Sequence[str], other: Sequence[str]) -> bool:
    for index in range(max(len(one), len(other))):
        levels = [side[index] if index < len(side) else None for side in (one, other)]
        if "#" in levels:
            # `/#` and `+` have only the empty topic in common, which is invalid
            return not (index == 1 and None in levels and "" in (one[0], other[0]))
        if None in levels:
            return False
        if "+" not in levels and levels[0] != levels[1]:
            return False
    return True


class _Node:
    """A level of filters.

    Attributes:
        below: the next levels by name; `+` is a name here.
        ends: indices of values with a filter that ends with this level.
        ends_any: indices of values with a filter that continues with `#`.
    """

    __slots__ = ("below", "ends", "ends_any")

    def __init__(self) -> None:
        self.below: dict[str, _Node] = {}
        self.ends: list[int] = []
        self.ends_any: list[int] = []


class FilterTree(Generic[V]):
    """Matches a topic against many filters at once.

    It descends level by level, so the cost of a topic depends on the number of filters that may
    match it, not on the number of all filters.
    """

    def __init__(self) -> None:
        self._root = _Node()
        self._values: list[V] = []

    def __len__(self) -> int:
        return len(self._values)

    def add(self, value: V, *filters: str) -> None:
        """Add a value with one or more valid filters."""
        index = len(self._values)
        self._values.append(value)
        for filter in filters:
            node = self._root
            levels = filter.split("/")
            rest = levels.pop() if levels[-1] == "#" else None
            for level in levels:
                node = node.below.setdefault(level, _Node())
            (node.ends if rest is None else node.ends_any).append(index)

    def match(self, topic: str) -> list[V]:
        """The values with a filter that matches the topic, each once, in the order of `add`."""
        found: set[int] = set()
        nodes = [self._root]
        for depth, level in enumerate(topic.split("/")):
            wild = depth > 0 or level[:1] != "$"
            deeper: list[_Node] = []
            for node in nodes:
                if wild:
                    found.update(node.ends_any)
                    if (child := node.below.get("+")) is not None:
                        deeper.append(child)
                if (child := node.below.get(level)) is not None:
                    deeper.append(child)
            if not deeper:
                nodes = []
                break
            nodes = deeper
        for node in nodes:
            found.update(node.ends, node.ends_any)
        return [self._values[index] for index in sorted(found)]
