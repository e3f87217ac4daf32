"""The status of a relay, the same in every process: the sum of what its partitions have saved.

checkpoints of the consumer `relays` ──> RelayState of each partition ──status_of──> JSON values
journal, or outbox of a policy ──> what waits ──────────────────────────────┘
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from lakebed.ports.catalog.backfills import Backfill, BackfillStore
from lakebed.ports.catalog.checkpoints import CheckpointReader
from lakebed.ports.catalog.outbox import OutboxFollowers, OutboxReader, Stream
from lakebed.ports.catalog.relays import CONSUMER, RelayReader, StoredRelay
from lakebed.ports.journal.reading import Extents, JournalReader
from lakebed.relays import documents
from lakebed.relays.metrics import State, Told
from lakebed.relays.state import RelayState, decode, worst
from lakebed.vocabulary.times import SECOND, Micros, to_rfc3339
from lakebed.vocabulary.times import now as wall_clock

REASONS = {
    "hold": "more waits for it than it may hold",
    "full": "the journal has no room to hold more for it",
}
"""Why the engine stops a relay, in words."""


class StatusCatalog(CheckpointReader, OutboxReader, OutboxFollowers, BackfillStore, Protocol):
    """The part of the catalog that a status needs."""


class MetricsCatalog(CheckpointReader, RelayReader, Protocol):
    """The part of the catalog that metrics need."""


def states_of(relay: StoredRelay, catalog: CheckpointReader) -> dict[int, RelayState]:
    """What each partition has saved of a relay."""
    found = catalog.checkpoints(CONSUMER, part=relay.id)
    return {partition: decode(parts[0].state) for partition, parts in found.items()}


def status_of(
    relay: StoredRelay, catalog: StatusCatalog, journal: Extents, now: Micros | None = None
) -> dict[str, Any]:
    """State, position, lag, errors and gaps of a relay as JSON values."""
    at = wall_clock() if now is None else now
    states = states_of(relay, catalog)
    each = list(states.values())
    if "policy" in relay.document["from"]:
        messages = _waiting(relay, states, catalog)
    else:
        extents = journal.extent()
        messages = {
            partition: journal.distance(partition, state.start, extents[partition][1])
            if partition in extents
            else state.messages
            for partition, state in states.items()
        }
    oldest = min((s.oldest for s in each if s.oldest), default=0)
    newest = max(each, key=lambda state: state.error_at, default=None)
    return {
        "state": state_word(relay, each, at),
        "why": why(relay, each),
        "position": {str(p): state.start for p, state in sorted(states.items())},
        "lag": {
            "messages": sum(messages.values()),
            "bytes": sum(state.bytes for state in each),
            "seconds": round(max(0, at - oldest) / SECOND, 3) if oldest else 0,
        },
        "rate": round(sum(state.rate for state in each), 3),
        "circuit": worst(each),
        "error": newest.error if newest is not None else "",
        "error_at": _time(newest.error_at if newest is not None else 0),
        "retries": sum(state.retries for state in each),
        "delivered": sum(state.delivered for state in each),
        "refused": sum(state.refused for state in each),
        "filtered": sum(state.filtered for state in each),
        "expired": sum(state.expired for state in each),
        "gaps": [
            {
                "partition": partition, "from": gap.start,
                "to": gap.end if gap.end > gap.start else None,
                "messages": gap.messages, "since": _time(gap.since), "reason": gap.reason,
            }
            for partition, state in sorted(states.items())
            for gap in state.gaps
        ],
        "backfill": _backfill(relay, catalog),
    }  # fmt: skip


def told_of(catalog: MetricsCatalog, journal: Extents, now: Micros | None = None) -> Iterator[Told]:
    """All relays for their metrics: two questions to the catalog, however many there are.

    What waits of a policy is as the relay saved it last.
    """
    at = wall_clock() if now is None else now
    relays = catalog.relays()
    states: dict[str, dict[int, RelayState]] = {relay.id: {} for relay in relays}
    for partition, parts in catalog.checkpoints(CONSUMER).items() if relays else ():
        for part in parts:
            if part.part in states:
                states[part.part][partition] = decode(part.state)
    extents = journal.extent() if relays else {}
    for relay in relays:
        found = states[relay.id]
        each, journaled = list(found.values()), "policy" not in relay.document["from"]
        oldest = min((state.oldest for state in each if state.oldest), default=0)
        yield Told(
            (relay.number, relay.id),
            relay.owner,
            relay.name,
            state_word(relay, each, at),
            sum(
                journal.distance(partition, state.start, extents[partition][1])
                if journaled and partition in extents
                else state.messages
                for partition, state in found.items()
            ),
            sum(state.bytes for state in each),
            max(0, at - oldest) / SECOND if oldest else 0.0,
            sum(state.delivered for state in each),
            sum(state.retries for state in each),
            sum(state.refused for state in each),
        )


def state_word(relay: StoredRelay, states: Sequence[RelayState], now: Micros) -> State:
    """`paused` by somebody, `stopped` by the engine, `retrying`, `running`, or `starting`."""
    if documents.spec_of(relay).paused:
        return "paused"
    if any(state.stopped and state.resumed >= relay.resumed for state in states):
        return "stopped"
    if any(state.error for state in states):
        return "retrying"
    return "running" if states else "starting"


def why(relay: StoredRelay, states: Sequence[RelayState]) -> str:
    """Why it was stopped, and what to do; "" where it was not."""
    for state in states:
        if state.stopped and state.resumed >= relay.resumed:
            text = REASONS.get(state.stopped, state.stopped)
            return f"{text}: mend the target, raise `hold`, or resume it"
    return ""


def oldest_of(journal: JournalReader) -> Micros | None:
    """The receive time from which on all messages can be read; None where there are none."""
    found = []
    for partition, (start, end) in journal.extent().items():
        entries = journal.entries(partition, start, 1) if start < end else []
        found += [int(entry.batch.received[0]) for entry in entries if len(entry.batch)][:1]
    return max(found, default=None)


def _backfill(relay: StoredRelay, catalog: StatusCatalog) -> dict[str, Any] | None:
    """How far the backfill of a relay is; None where it has none."""
    if "policy" not in relay.document["from"]:
        return None
    backfills = catalog.backfills(relay.owner)
    found = next((one for one in backfills if one.relay == relay.id), None)
    if found is None:
        return None
    waiting = catalog.outbox_waiting(found.stream, 0).records
    return {
        "state": _word(found),
        "from": to_rfc3339(found.since),
        "to": to_rfc3339(found.until),
        "topics": found.topics,
        "topics_done": found.topics_done,
        "records": found.records,
        "waiting": waiting,
        "error": found.error,
    }


def _word(backfill: Backfill) -> str:
    if backfill.error:
        return "given up"
    if backfill.delivered:
        return "delivered"
    return "delivering" if backfill.read else "reading"


def _waiting(
    relay: StoredRelay, states: Mapping[int, RelayState], catalog: StatusCatalog
) -> dict[int, int]:
    """Records of a policy that wait, by partition; where it has not begun too."""
    policy = relay.document["from"]["policy"]
    partitions = catalog.outbox_ends(relay.owner, policy).keys() | states.keys()
    starts = {p: states[p].start if p in states else relay.starts.get(p, 0) for p in partitions}
    return {
        p: catalog.outbox_waiting(Stream(relay.owner, policy, p), start).records
        for p, start in starts.items()
    }


def _time(micros: Micros) -> str | None:
    return to_rfc3339(micros) if micros else None
