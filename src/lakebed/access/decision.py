"""The one decision: may this principal do that to this resource? The default is no.

    routes ──────┐
    MQTT packets ┼──> allow(principal, action, resource) ──> yes or no; pure, no store is asked
    commands ────┘

Hot paths ask once for each principal and topic, and remember the answer beside the principal: when
grants change there is another one (see `identification`).
"""

from dataclasses import dataclass

from lakebed.access.actions import RULES, About, Action, Rule
from lakebed.access.principals import Grant, Kind, Principal
from lakebed.vocabulary.errors import Denied
from lakebed.vocabulary.topics import covers, overlaps


@dataclass(frozen=True, slots=True)
class Resource:
    """What an action is about.

    Attributes:
        owner: whose name space; "" where it is about the instance.
        topics: all the topics and filters it touches; None for the name space as such, where
            each topic is asked about by itself.
    """

    owner: str = ""
    topics: tuple[str, ...] | None = None


INSTANCE = Resource()


def allow(principal: Principal, action: Action, resource: Resource) -> bool:
    """Whether a principal may do it."""
    rule = RULES[action]
    if rule.about is About.NOTHING:
        return True
    if rule.about is About.MACHINE:
        return principal.kind is Kind.OPERATOR
    if rule.about is About.INSTANCE:
        return principal.admin
    grants = _grants(principal, rule, resource.owner)
    if resource.topics is None or rule.about is About.OWNER:
        return bool(grants)
    return bool(resource.topics) and _refused(grants, rule, resource.topics) is None


def require(principal: Principal, action: Action, resource: Resource) -> None:
    """As `allow`.

    Raises:
        Denied: names the first topic that the principal may not touch.
    """
    if not allow(principal, action, resource):
        raise Denied(_sentence(principal, action, resource))


def allow_all(principal: Principal, action: Action, owner: str) -> bool:
    """Whether a principal may do it to all topics of an owner, whatever they are."""
    rule = RULES[action]
    grants = _grants(principal, rule, owner)
    return bool(grants) and _refused(grants, rule, ("#",)) is None


def allow_some(principal: Principal, action: Action, resource: Resource) -> bool:
    """Whether a principal may do it to some topic under the resource's filters.

    Good for actions that ask for filters of one kind.
    """
    rule = RULES[action]
    (kind,) = rule.filters
    return any(
        overlaps(filter, topic)
        for grant in _grants(principal, rule, resource.owner)
        for filter in getattr(grant, kind)
        for topic in resource.topics or ()
    )


def _grants(principal: Principal, rule: Rule, owner: str) -> list[Grant]:
    """The grants that count in the name space of an owner; an admin's own count in all."""
    counts = {owner, principal.owner} if principal.admin else {owner}
    return [g for g in principal.grants if g.owner in counts and g.role >= rule.role]


def _refused(grants: list[Grant], rule: Rule, topics: tuple[str, ...]) -> str | None:
    """The first topic that no grant opens, or None."""
    for kind in rule.filters:
        filters = [filter for grant in grants for filter in getattr(grant, kind)]
        if rule.whole and covers(filters, "#"):
            continue
        for topic in topics:
            if not covers(filters, topic):
                return topic
    return None


def _sentence(principal: Principal, action: Action, resource: Resource) -> str:
    rule = RULES[action]
    if rule.about is About.INSTANCE:
        return "this is for admins"
    if rule.about is About.MACHINE:
        return f"only a command on the machine itself may {rule.does}"
    if not _grants(principal, RULES[Action.CONNECTION_OPEN], resource.owner):
        return "only an admin may ask for what belongs to others"
    grants = _grants(principal, rule, resource.owner)
    whom = f"this {principal.kind}"
    if not grants or resource.topics is None:
        return f"{whom} may not {rule.does.removesuffix(' on')}"
    refused = _refused(grants, rule, resource.topics)
    return f"{whom} may not {rule.does} {refused!r}"
