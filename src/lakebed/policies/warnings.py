"""Finds what is allowed in a policy and hardly meant: it keeps nothing, or what another keeps.

    Policy ──warnings──> of its topics, its filter, its times
    Repeated(policies) ──warnings──> of those that keep the same of the same topics

A warning refuses nothing. Only what is certain is told, and what a few comparisons find.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import msgspec

from lakebed.documents.source import Path
from lakebed.vocabulary.owner_topics import OF_OTHERS, split_owner
from lakebed.vocabulary.policy import Policy
from lakebed.vocabulary.times import Micros, to_rfc3339
from lakebed.vocabulary.topics import check_topic, covers

SHARED = "$share/"
"""How a shared subscription begins (MQTT 5, section 4.8.2)."""

LONGEST_TOPIC = 1024
"""The default of `limits.topic`."""

_MOST_FILTERS = 200  # of a policy that are compared with each other
_MOST_OTHERS = 50  # policies with equal settings that are compared


def warnings(
    policy: Policy, now: Micros, longest: int = LONGEST_TOPIC, systems: Sequence[str] = ()
) -> list[tuple[Path, str]]:
    """The warnings about a policy by itself, each with its path in the document.

    Args:
        longest: bytes that a topic may have.
        systems: filters that begin with `$` and are joined from brokers for the policy's owner.
    """
    found: list[tuple[Path, str]] = []
    for index, filter in enumerate(policy.topics):
        text = _of_topic(filter, longest) or _of_systems(filter, policy.topics, systems)
        if text:
            found.append((("topics", index), text))
    found += _covered(policy.topics)
    found += _of_values(policy)
    if policy.active_until is not None and policy.active_until <= now:
        until = to_rfc3339(policy.active_until)
        found.append((("active", "until"), f"is over since {until}: only what is late is kept"))
    return found


def _of_topic(filter: str, longest: int) -> str:
    """Why no topic can match a filter; empty if one can."""
    if filter.startswith(SHARED):
        inner = filter.split("/", 2)[-1] if filter.count("/") > 1 else "FILTER"
        return (
            f"matches nothing: {SHARED}… is how brokers share a subscription out, and no topic's"
            f" name; write {inner!r}"
        )
    if filter.startswith(OF_OTHERS):
        try:
            owner, inner, _ = split_owner(filter, "")
        except ValueError:
            owner, inner = "NAME", "FILTER"
        return (
            f"matches nothing: a policy is about topics of its own owner; {inner!r} of {owner!r}"
            " needs a policy of that owner"
        )
    # the shortest topic that it matches
    levels = filter.removesuffix("/#").split("/")
    shortest = "/".join("" if level in ("+", "#") else level for level in levels)
    try:
        if shortest:
            check_topic(shortest, longest)
    except ValueError as error:
        return f"matches nothing: {error}"
    return ""


def _of_systems(filter: str, filters: Sequence[str], systems: Sequence[str]) -> str:
    """What a leading wildcard leaves out (section 4.7.2), where such topics come at all."""
    if filter not in ("#", "+/#"):
        return ""
    missing = [one for one in systems if not covers(filters, one)]
    if not missing:
        return ""
    return f"does not match topics that begin with $: {missing[0]!r} needs a filter of its own"


def _covered(filters: Sequence[str]) -> Iterator[tuple[Path, str]]:
    """Filters that add nothing to the others."""
    if len(filters) > _MOST_FILTERS:
        return
    left = list(filters)
    for index in reversed(range(len(filters))):
        others = [*left[:index], *left[index + 1 :]]
        if others and covers(others, filters[index]):
            del left[index]
            yield ("topics", index), "adds nothing: the other filters match all of its topics"


def _of_values(policy: Policy) -> Iterator[tuple[Path, str]]:
    """Filters of values that no value passes."""
    filter = policy.filter
    if filter.allow is None:
        return
    allowed = set(filter.allow) - set(filter.deny or ())
    if not allowed:
        yield ("filter", "allow"), "keeps nothing: each of these values is in `deny` too"
        return
    numbers = [value for value in allowed if isinstance(value, float)]
    low, high = filter.min, filter.max
    if len(numbers) == len(allowed) and all(
        (low is not None and value < low) or (high is not None and value > high)
        for value in numbers
    ):
        yield ("filter", "allow"), "keeps nothing: none of these values is between `min` and `max`"


class Repeated:
    """Policies by what they keep, which finds one that keeps the same as another.

    Args:
        documents: of all of them, as `to_document` writes them.
    """

    def __init__(self, documents: Iterable[Mapping[str, Any]]) -> None:
        self._alike: defaultdict[bytes, list[Mapping[str, Any]]] = defaultdict(list)
        for document in documents:
            self._alike[_apart(document)].append(document)

    def warnings(self, document: Mapping[str, Any]) -> list[tuple[Path, str]]:
        """A warning if another policy keeps the same of all topics of this one."""
        alike = self._alike.get(_apart(document), ())
        same = (one for one in alike if one["name"] != document["name"])
        for one in islice(same, _MOST_OTHERS):
            if all(covers(one["topics"], filter) for filter in document["topics"][:_MOST_FILTERS]):
                name = one["name"]
                text = f"keeps twice what the policy {name!r} keeps: both are about these topics"
                return [(("topics",), text)]
        return []


def _apart(document: Mapping[str, Any]) -> bytes:
    """What a policy keeps, apart from its name and topics."""
    settings = {key: value for key, value in document.items() if key not in ("name", "topics")}
    return msgspec.json.encode(settings, order="deterministic")
