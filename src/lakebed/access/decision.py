"""Decides whether a principal may perform an action on a resource. The default is no.

    routes ──────┐
    MQTT packets ┼──> allow(principal, action, resource) ──> yes or no; pure, no store is asked
    commands ────┘

Hot paths ask once for each principal and topic and cache the answer under the principal. A change
of grants makes a new principal, for which nothing is cached (see `identification`).
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from lakebed.access.actions import RULES, About, Action
from lakebed.access.principals import Kind, Principal
from lakebed.vocabulary.errors import Denied
from lakebed.vocabulary.roles import Role
from lakebed.vocabulary.topics import covers, overlaps


@dataclass(frozen=True, slots=True)
class Resource:
    """The object of an action.

    Attributes:
        owner: whose name space; "" where it is about the instance.
        topics: all topics and filters that it touches; None for the name space as such, whose
            topics are then checked one by one.
        shown_to: whom its owner shows it, `instance` (all who have credentials) or `public`;
            "" for nobody else.
        user: the name of the user whom it is about.
        only: the label of whoever alone may, beside managers of the owner and admins; "" for no
            such limit.
    """

    owner: str = ""
    topics: tuple[str, ...] | None = None
    shown_to: str = ""
    user: str = ""
    only: str = ""


INSTANCE = Resource()
ENROL = (
    "this instance demands a second factor: add one, by `lakebed users factors add` or"
    " POST /api/v1/users/NAME/factors"
)
"""What users are told who have none."""


def allow(principal: Principal, action: Action, resource: Resource) -> bool:
    """Whether a principal may perform an action on a resource."""
    rule = RULES[action]
    if principal.suspended and rule.about is not About.NOTHING:
        return False
    if principal.must_enrol and not _serves_enrolment(principal, rule.about, resource):
        return False
    if rule.about is About.TOPICS:
        if rule.shown and _is_shown(principal, resource):
            return True
        if resource.only and not _is_theirs(principal, resource):
            return False
        opened = _opened(principal, action, resource.owner)
        if opened is None or resource.topics is None:
            return opened is not None
        return bool(resource.topics) and _refused(opened, resource.topics) is None
    if rule.about is About.OWNER:
        if principal.admin and rule.role > Role.DEVICE:
            return True
        return _opened(principal, action, resource.owner) is not None
    if rule.about is About.INSTANCE:
        return principal.admin
    if rule.about is About.USER:
        return principal.admin or (principal.kind is Kind.USER and principal.name == resource.user)
    if rule.about is About.SELF:
        return principal.kind not in (Kind.NOBODY, Kind.OPERATOR)
    if rule.about is About.MACHINE:
        return principal.kind is Kind.OPERATOR
    if rule.about is About.BROKER:
        return principal.kind is Kind.BROKER
    return True


def _serves_enrolment(principal: Principal, about: About, resource: Resource) -> bool:
    """Whether users do this who have to add a second factor first: look at themselves, and add."""
    if about is About.USER:
        return resource.user == principal.name
    return about in (About.NOTHING, About.SELF)


def _is_shown(principal: Principal, resource: Resource) -> bool:
    """Whether the owner shows a resource to all who have credentials here, or to everybody.

    For the name space as such the answer is yes: its resources are then checked one by one.
    """
    shown_to: tuple[str, ...] = ("instance", "public")
    if principal.kind is Kind.NOBODY:
        if not principal.public:
            return False
        shown_to = ("public",)
    return resource.topics is None or resource.shown_to in shown_to


def _is_theirs(principal: Principal, resource: Resource) -> bool:
    """Whether a principal is the one whom a resource is for, or stands above them."""
    role = principal.role(resource.owner)
    manages = role is not None and role >= Role.MANAGER
    return principal.admin or manages or principal.label == resource.only


def require(principal: Principal, action: Action, resource: Resource) -> None:
    """As `allow`.

    Raises:
        Denied: names the first topic that the principal may not touch.
    """
    if not allow(principal, action, resource):
        raise Denied(_sentence(principal, action, resource))


def allow_all(principal: Principal, action: Action, owner: str) -> bool:
    """Whether a principal may perform an action on every topic of an owner."""
    opened = _opened(principal, action, owner)
    return opened is not None and _refused(opened, ("#",)) is None


def allow_some(principal: Principal, action: Action, resource: Resource) -> bool:
    """Whether a principal may perform an action on some topic that the resource's filters match.

    Only for actions that require filters of one kind.
    """
    opened = _opened(principal, action, resource.owner)
    if opened is None or resource.topics is None:
        return False
    (filters,) = opened
    return filters is None or any(
        overlaps(filter, topic) for filter in filters for topic in resource.topics
    )


Opened: TypeAlias = tuple[tuple[str, ...] | None, ...]
"""The filters that apply to an action, of each kind that it requires; None for all topics."""


@lru_cache(maxsize=10_000)  # a pure function of values
def _opened(principal: Principal, action: Action, owner: str) -> Opened | None:
    """The filters of a principal's grants for an action, or None where no grant applies.

    An admin's grants in its own name space apply in every other one, and have every role. To read,
    `#` of an admin is all topics, those with `$` too: a joined broker may send them.
    """
    if principal.suspended or principal.must_enrol:
        return None
    rule = RULES[action]
    least = rule.role if principal.kind is Kind.USER else max(rule.role, rule.programs)
    counts = {owner, principal.owner} if principal.admin else {owner}
    grants = [
        grant
        for grant in principal.grants
        if grant.owner in counts
        and (grant.role >= least or (principal.admin and grant.owner == principal.owner))
    ]
    grants += (g for g in principal.shared.of(owner) if rule.shared or g.role >= least)
    if not grants:
        return None
    opened = ((kind, tuple(f for g in grants for f in getattr(g, kind))) for kind in rule.filters)
    return tuple(
        None if (rule.whole or (principal.admin and kind == "read")) and covers(f, "#") else f
        for kind, f in opened
    )


def _refused(opened: Opened, topics: tuple[str, ...]) -> str | None:
    """The first topic that the filters do not cover, or None."""
    for filters in opened:
        if filters is not None:
            for topic in topics:
                if not covers(filters, topic):
                    return topic
    return None


_WITHOUT_TOPIC = re.compile(" (on|with|of|to)$")


def _sentence(principal: Principal, action: Action, resource: Resource) -> str:
    rule = RULES[action]
    if principal.suspended:
        return f"this {principal.kind} is blocked, or its owner is: ask an admin"
    if principal.must_enrol:
        return ENROL
    if rule.about is About.INSTANCE:
        return "this is for admins"
    if rule.about is About.USER:
        return "this is for the user and for admins"
    if rule.about is About.SELF:
        return "this is for who has signed in"
    if rule.about is About.BROKER:
        return "only a broker that has auth.emqx_secret may ask this"
    if rule.about is About.MACHINE:
        return f"only a command on the machine itself may {rule.does}"
    if _opened(principal, Action.CONNECTION_OPEN, resource.owner) is None:
        return "only an admin may ask for what belongs to others"
    opened = _opened(principal, action, resource.owner)
    whom = f"this {principal.kind}"
    if opened is None or not resource.topics:
        return f"{whom} may not {_WITHOUT_TOPIC.sub('', rule.does)}"
    return f"{whom} may not {rule.does} {_refused(opened, resource.topics)!r}"
