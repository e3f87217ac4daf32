"""The rules that EMQX gets with the answer of authn, so that it need not ask about each topic.

    filters of the principal ∩ topics that are its own in the broker ──> allow rules
    everything else ──> EMQX asks authz

There are allow rules only for what is certain. EMQX matches a subscription with a rule word by
word, in which a `+` matches `#` too, and it knows placeholders and the prefix `eq ` in rules.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from lakebed.access.principals import Principal
from lakebed.access.topic_owners import TopicOwners, intersection
from lakebed.vocabulary.topics import covers

MOST = 100
"""Rules in one answer; about further topics EMQX asks."""


def rules(principal: Principal, owners: TopicOwners) -> list[dict[str, Any]]:
    """The `acl` of a principal (EMQX 5.8)."""
    own = owners.own(principal)
    grants = [grant for grant in principal.grants if grant.owner == principal.owner]
    publish = _narrowed((f for grant in grants for f in grant.publish), own)
    read = _narrowed((f for grant in grants for f in grant.read), own)
    found = [_rule("allow", "publish", filter) for filter in publish]
    for filter in read:
        found += _subscribe(filter, read)
    return found[:MOST]


def _narrowed(filters: Iterable[str], own: Iterable[str]) -> list[str]:
    """The topics that are in one of the filters and one's own."""
    bounds = list(own)
    both = (intersection(filter, bound) for filter in filters for bound in bounds)
    return [f for f in dict.fromkeys(both) if f is not None and _is_plain(f)]


def _is_plain(filter: str) -> bool:
    """Whether EMQX reads it as what it says: no placeholder, no `eq `."""
    return "${" not in filter and not filter.startswith("eq ")


def _subscribe(filter: str, read: list[str]) -> Iterator[dict[str, Any]]:
    """The rules for reading: where the last level is `+`, `#` in its place is denied before."""
    levels = filter.removesuffix("/#").split("/")
    if levels[-1] == "+":
        wider = "/".join([*levels[:-1], "#"])
        if "+" in levels[:-1]:
            return  # which subscriptions to deny cannot be listed
        if not covers(read, wider):
            yield _rule("deny", "subscribe", f"eq {wider}")
    yield _rule("allow", "subscribe", filter)


def _rule(permission: str, action: str, topic: str) -> dict[str, Any]:
    return {"permission": permission, "action": action, "topic": topic}
