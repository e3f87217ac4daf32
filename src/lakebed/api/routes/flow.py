"""Routes that account for every message: flow by topic and policy, and the topics there are.

    received = skipped + kept + filtered(by reason) + late + over quota + dead-lettered
               + duplicates + lost + in flight

The ledger counts up to an offset of each partition. Messages behind it in the journal are in
flight, and lost messages are recorded in the catalog. So the sum is exact at any moment.
"""

from base64 import b64encode
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Query

from lakebed.access.actions import Action
from lakebed.api.callers import Caller, InOwner
from lakebed.api.requests import ServicesDep, check_filter_in, policies_by_topic
from lakebed.api.services import Services
from lakebed.keeper import examples as keeper_examples
from lakebed.keeper import ledger as ledgers
from lakebed.keeper.examples import Example
from lakebed.keeper.ledger import Ledger
from lakebed.policies.outcomes import UNFILTERED, Outcome
from lakebed.ports.metrics import CounterMetric, GaugeMetric, Sample
from lakebed.vocabulary.errors import Unavailable
from lakebed.vocabulary.messages import Channel, Ints
from lakebed.vocabulary.times import to_rfc3339
from lakebed.vocabulary.topics import matches

MESSAGES = CounterMetric(
    "lakebed_messages_total",
    "Messages of the whole instance by what became of them.",
    ("outcome",),
)
PAYLOAD = CounterMetric(
    "lakebed_payload_bytes_total", "Payload bytes of the messages of the whole instance."
)
IN_FLIGHT = GaugeMetric("lakebed_in_flight", "Messages that are durable and not processed yet.")
TOPICS = GaugeMetric("lakebed_topics", "Different topics seen.")

router = APIRouter(prefix="/api/v1", tags=["accounting"])

Counts = Mapping[Outcome, int]


def load(services: Services) -> tuple[Ledger, Counter[Channel]]:
    """Load the ledger, and count by channel the messages behind it."""
    ledger = ledgers.load(services.catalog)
    offsets = {
        partition: ledger.offsets.get(partition, first)
        for partition, (first, _) in services.journal.extent().items()
    }
    return ledger, services.journal.pending(offsets)


def lost(services: Services) -> Counter[str]:
    """Messages by owner that were accepted, and vanished or were damaged before they were read."""
    begins = {partition: first for partition, (first, _) in services.journal.extent().items()}
    found: Counter[str] = Counter()
    for loss in services.catalog.losses() + services.catalog.losing(ledgers.CONSUMER, begins):
        if loss.consumer == ledgers.CONSUMER:
            found.update(loss.owners)
    return found


def show(counts: Counts, in_flight: int, lost: int = 0) -> dict[str, Any]:
    """Counters as the API names them; reasons that never occurred are left out."""
    filtered = {
        outcome.reason: count
        for outcome, count in counts.items()
        if count and outcome not in UNFILTERED
    }
    return {
        "received": sum(counts.values()) + lost + in_flight,
        "skipped": counts.get(Outcome.SKIPPED, 0),
        "kept": counts.get(Outcome.KEPT, 0),
        "filtered": filtered,
        "late": counts.get(Outcome.LATE, 0),
        "over_quota": counts.get(Outcome.OVER_QUOTA, 0),
        "dead_letter": counts.get(Outcome.DEAD_LETTER, 0),
        "duplicates": counts.get(Outcome.DUPLICATES, 0),
        "lost": lost,
        "in_flight": in_flight,
    }


@router.get("/flow")
def flow(
    services: ServicesDep,
    caller: Annotated[Caller, InOwner(Action.FLOW_READ)],
    by: Annotated[
        Literal["topic", "policy"] | None, Query(description="one row for each topic or policy")
    ] = None,
    examples: Annotated[
        bool, Query(description="also the last few messages that were not kept")
    ] = False,
) -> dict[str, Any]:
    """Count all messages by outcome: in total, by topic, or by policy."""
    found = _flow(services, caller, by)
    return found | ({"examples": list(examples_of(services, caller))} if examples else {})


def _flow(services: Services, caller: Caller, by: str | None) -> dict[str, Any]:
    ledger, pending = load(services)
    if by == "policy":
        return {"policies": list(_by_policy(services, ledger, caller))}
    topics = _topics(ledger, pending, caller.owner)
    whole = caller.may_all()
    if by == "topic":
        return {
            "topics": [
                {"topic": topic, **show(counts, in_flight)}
                for topic, counts, in_flight in topics
                if whole or caller.may(topic)
            ]
        }
    total: Counter[Outcome] = Counter()
    waiting = 0
    for topic, counts, in_flight in topics:
        if whole or caller.may(topic):
            total.update(counts)
            waiting += in_flight
    return show(total, waiting, lost(services)[caller.owner] if whole else 0)


def of_topic(services: Services, owner: str, topic: str) -> dict[str, Any]:
    """The counters of one topic, with when it was heard first and last."""
    ledger, pending = load(services)
    channel = Channel(owner, topic)
    return {
        **show(_counts(ledger, channel), pending[channel]),
        **_seen(ledger, ledger.index.get(channel)),
    }


def examples_of(services: Services, caller: Caller) -> Iterator[dict[str, Any]]:
    """Examples by reason in the order of the pipeline, then by policy, the newest first."""
    found = keeper_examples.load(services.catalog, caller.owner)
    for example in sorted(found, key=lambda x: (-x.outcome, x.policy)):
        if caller.may(example.topic):
            yield show_example(example)


def show_example(example: Example) -> dict[str, Any]:
    """One message that was not kept, and why."""
    return {
        "reason": Outcome(example.outcome).reason,
        "policy": example.policy or None,
        "topic": example.topic,
        "time": to_rfc3339(example.time),
        "received": to_rfc3339(example.received),
        "position": f"{example.partition}:{example.offset}",
        "size": example.size,
        **_excerpt(example),
    }


def _excerpt(example: Example) -> dict[str, str]:
    """The start of the payload, as text if it is UTF-8; an incomplete last character is dropped."""
    whole = example.size == len(example.excerpt)
    for cut in range(1 if whole else 4):
        with suppress(UnicodeDecodeError):
            return {"payload": example.excerpt[: len(example.excerpt) - cut].decode()}
    return {"payload_base64": b64encode(example.excerpt).decode()}


def _by_policy(services: Services, ledger: Ledger, caller: Caller) -> Iterator[dict[str, Any]]:
    """Counters of the policies whose topics, in all versions, the caller may read."""
    whole = caller.may_all()
    topics = {} if whole else services.catalog.policy_topics(caller.owner)
    for (owner, name), row in sorted(ledger.policies.items()):
        if owner == caller.owner and (whole or caller.may(*topics.get(name, ()))):
            counts = {outcome: int(row[outcome]) for outcome in Outcome}
            fields = ledger.fields.get((owner, name))
            shown = {} if fields is None else {"fields": {f: _field(r) for f, r in fields.items()}}
            yield {"policy": name, **show(counts, 0), **shown}


def _field(row: Ints) -> dict[str, Any]:
    """In how many of a policy's messages a field was kept, and why not in the others."""
    counts = {Outcome(code): int(row[code]) for code in np.flatnonzero(row).tolist()}
    kept = counts.pop(Outcome.KEPT, 0)
    return {"kept": kept, "missed": {o.reason: count for o, count in counts.items()}}


def _names(ledger: Ledger, pending: Counter[Channel], owner: str) -> list[str]:
    """The topics of an owner, in order."""
    known = {topic for whose, topic in ledger.index if whose == owner}
    return sorted(known | {topic for whose, topic in pending if whose == owner})


def _topics(
    ledger: Ledger, pending: Counter[Channel], owner: str
) -> Iterator[tuple[str, Counts, int]]:
    """Each topic of an owner by name, with its counters and its messages in flight."""
    for topic in _names(ledger, pending, owner):
        channel = Channel(owner, topic)
        yield topic, _counts(ledger, channel), pending[channel]


def _counts(ledger: Ledger, channel: Channel) -> Counts:
    code = ledger.index.get(channel)
    if code is None:  # all of it is in flight
        return {}
    return {outcome: int(ledger.by_channel(outcome)[code]) for outcome in Outcome}


@router.get("/topics")
def topics(
    services: ServicesDep,
    caller: Annotated[Caller, InOwner(Action.TOPICS_READ)],
    filter: Annotated[str, Query(description="an MQTT filter")] = "#",
    limit: Annotated[int, Query(ge=1, le=100_000)] = 10_000,
    after: Annotated[str, Query(description="`next` of the page before")] = "",
) -> dict[str, Any]:
    """List topics by name, with the number and size of messages, last time, and policies."""
    check_filter_in("filter", filter)
    if filter != "#":
        caller.require(filter)
    ledger, pending = load(services)
    policies = policies_by_topic(services, caller.owner)
    whole = caller.may_all()
    found = [
        topic
        for topic in _names(ledger, pending, caller.owner)
        if (filter == "#" or matches(filter, topic)) and (whole or caller.may(topic))
    ]
    first = bisect_right(found, after) if after else 0
    page = found[first : first + limit]
    shown = [
        _topic(ledger, pending, Channel(caller.owner, topic)) | {"policies": policies.match(topic)}
        for topic in page
    ]
    more = first + limit < len(found)
    return {
        "topics": shown,
        "next": page[-1] if more else None,
        "total": _total(ledger, pending, [Channel(caller.owner, topic) for topic in found]),
    }


def _topic(ledger: Ledger, pending: Counter[Channel], channel: Channel) -> dict[str, Any]:
    counts = _counts(ledger, channel)
    return {
        "topic": channel.topic,
        "received": sum(counts.values()) + pending[channel],
        "kept": counts.get(Outcome.KEPT, 0),
        **_seen(ledger, ledger.index.get(channel)),
    }


def _total(
    ledger: Ledger, pending: Counter[Channel], channels: Sequence[Channel]
) -> dict[str, int]:
    """The sum over all topics under the filter, on all pages."""
    codes = [ledger.index[channel] for channel in channels if channel in ledger.index]
    counted = sum(int(ledger.by_channel(outcome)[codes].sum()) for outcome in Outcome)
    return {
        "topics": len(channels),
        "received": counted + sum(pending[channel] for channel in channels),
        "kept": int(ledger.by_channel(Outcome.KEPT)[codes].sum()),
        "bytes": int(ledger.sizes[codes].sum()),
    }


def _seen(ledger: Ledger, code: int | None) -> dict[str, Any]:
    if code is None:  # all of it is in flight
        return {"bytes": 0, "first_seen": None, "last_seen": None}
    return {
        "bytes": int(ledger.sizes[code]),
        "first_seen": to_rfc3339(int(ledger.first_seen[code])),
        "last_seen": to_rfc3339(int(ledger.last_seen[code])),
    }


def metrics(services: Services) -> Iterator[Sample]:
    """Totals of the instance for /metrics; none while a store is away, which health reports."""
    with suppress(Unavailable):
        yield from _metrics(*load(services), lost(services).total())


def _metrics(ledger: Ledger, pending: Counter[Channel], lost: int) -> Iterator[Sample]:
    for outcome, count in ledger.totals.items():
        yield MESSAGES(count, outcome.reason)
    yield MESSAGES(lost, "lost")
    yield PAYLOAD(int(ledger.sizes.sum()))
    yield IN_FLIGHT(pending.total())
    yield TOPICS(len(ledger.channels))
