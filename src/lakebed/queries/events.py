"""Chooses the policy that answers a question about events."""

from collections.abc import Sequence

from lakebed.kinds import KINDS
from lakebed.kinds.archive import ARCHIVE
from lakebed.policies.document import parse
from lakebed.ports.catalog.policies import PolicyHistory, StoredPolicy
from lakebed.vocabulary.errors import BadRequest, NotFound
from lakebed.vocabulary.event_fields import TOPIC
from lakebed.vocabulary.policy import Policy
from lakebed.vocabulary.topics import overlaps

_EXAMPLE = "{name: events, topics: [events/#], type: json, keep: archive}"


def topics_of(names: Sequence[str]) -> tuple[str, ...]:
    """The topics of events of these names; of all events without one."""
    return tuple(dict.fromkeys(f"{TOPIC}{name}" for name in names)) or (f"{TOPIC}#",)


def choose(
    store: PolicyHistory, owner: str, topics: Sequence[str], name: str | None = None
) -> Policy:
    """The policy to read: one that keeps every record of all of the topics as JSON.

    Raises:
        BadRequest: the named policy keeps none, or several could be meant.
        NotFound: no policy in force does.
    """
    if name:
        versions = store.policy_versions(owner, name)
        if not versions:
            raise BadRequest("policy", f"there is no policy {name!r}")
        fitting = [stored for stored in versions if _keeps_events(stored)]
        if not fitting:
            what = "events are read from policies with `type: json` and `keep: archive`"
            raise BadRequest("policy", f"policy {name!r} keeps no events: {what}")
        return _parsed(fitting[-1])
    fitting = [
        stored
        for stored in store.policies(owner)
        if _keeps_events(stored) and all(_fits(stored, topic) for topic in topics)
    ]
    if not fitting:
        asked = ", ".join(map(repr, topics))
        raise NotFound(f"no policy in force keeps {asked} as events: apply one such as {_EXAMPLE}")
    if len(fitting) > 1:
        names = ", ".join(stored.name for stored in fitting)
        raise BadRequest("policy", f"several policies keep these events, name one of them: {names}")
    return _parsed(fitting[0])


def _keeps_events(stored: StoredPolicy) -> bool:
    document = stored.document
    return document["type"] == "json" and KINDS[document["keep"]].tables.get("json") is ARCHIVE


def _fits(stored: StoredPolicy, topic: str) -> bool:
    return any(overlaps(topic, own) for own in stored.document["topics"])


def _parsed(stored: StoredPolicy) -> Policy:
    return parse(stored.document, stored.owner, stored.version)
