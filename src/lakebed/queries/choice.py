"""Chooses the policy that answers a question, and its version."""

from collections.abc import Collection, Sequence

from lakebed.kinds import KINDS
from lakebed.policies.document import parse
from lakebed.ports.catalog.policies import PolicyHistory, StoredPolicy
from lakebed.vocabulary.errors import BadRequest, NotFound
from lakebed.vocabulary.policy import Policy
from lakebed.vocabulary.topics import overlaps


def choose(
    store: PolicyHistory,
    owner: str,
    topics: Sequence[str],
    name: str | None = None,
    keep: str | None = None,
    fields: Collection[str] = (),
) -> Policy:
    """The policy to read; one answers for all of the topics, and of the fields.

    A name may belong to a policy that was changed or deleted: what it kept stays readable, by its
    last version, or by the last one of the kind `keep`.

    Raises:
        BadRequest: no policy of that name, or several could be meant.
        NotFound: no policy in force keeps the topic.
    """
    if keep is not None and keep not in KINDS:
        best_first = sorted(KINDS, key=lambda name: KINDS[name].rank)
        raise BadRequest("keep", f"it is one of {', '.join(best_first)}")
    if name:
        return _named(store, owner, name, keep, fields)
    return _fitting(store, owner, topics, keep, fields)


def _named(
    store: PolicyHistory, owner: str, name: str, keep: str | None, fields: Collection[str]
) -> Policy:
    versions = [to_policy(stored) for stored in store.policy_versions(owner, name)]
    if not versions:
        raise BadRequest("policy", f"there is no policy {name!r}")
    fitting = [policy for policy in versions if keep in (None, policy.keep)]
    if not fitting:
        had = ", ".join(sorted({policy.keep for policy in versions}))
        raise BadRequest("keep", f"policy {name!r} never was of kind {keep}, only {had}")
    known = {field for policy in fitting for field in policy.field_names}
    for field in fields:
        if field not in known:
            there = ", ".join(sorted(known - {""})) or "it has none"
            raise BadRequest("field", f"policy {name!r} has no field {field!r}: {there}")
    return fitting[-1]


def _fitting(
    store: PolicyHistory,
    owner: str,
    topics: Sequence[str],
    keep: str | None,
    fields: Collection[str],
) -> Policy:
    fitting = [
        stored
        for stored in store.policies(owner)
        if keep in (None, stored.document["keep"])
        and all(_fits(stored, topic) for topic in topics)
        and set(fields) <= (stored.document.get("fields") or {}).keys()
    ]
    if not fitting:
        asked = ", ".join(map(repr, topics))
        all_of = "all of " if len(topics) > 1 else ""
        of = f" with field {', '.join(map(repr, fields))}" if fields else ""
        raise NotFound(
            f"no policy in force keeps {all_of}{asked}{of}; name an earlier one with `policy`"
        )
    best = min(map(_rank, fitting))
    candidates = [stored for stored in fitting if _rank(stored) == best]
    if len(candidates) > 1:
        names = ", ".join(stored.name for stored in candidates)
        raise BadRequest("policy", f"several policies keep this topic, name one of them: {names}")
    return to_policy(candidates[0])


def _fits(stored: StoredPolicy, topic: str) -> bool:
    return any(overlaps(topic, own) for own in stored.document["topics"])


def to_policy(stored: StoredPolicy) -> Policy:
    return parse(stored.document, stored.owner, stored.version)


def _rank(stored: StoredPolicy) -> int:
    return KINDS[stored.document["keep"]].rank
