"""What is saved of fills, beside a keeper's own checkpoints, and how far one is.

part          holds
spans         what each policy has worked through (`fill_spans.py`), and what was deleted
OWNER/NAME    the newest fill of a policy in the partition
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

from lakebed.ports.catalog.checkpoints import Checkpoint, CheckpointReader, CheckpointStore
from lakebed.ports.catalog.fills import FillOrder
from lakebed.vocabulary.times import Micros

CONSUMER = "fills"
SPANS = "spans"

State = Literal["running", "done", "cancelled", "failed"]
_WORST: tuple[State, ...] = ("running", "failed", "cancelled")


class Deleted(msgspec.Struct, frozen=True):
    """Data that was deleted by request: nothing accepted below `offset` is to be written again.

    Attributes:
        policy: "" for what was deleted of all policies.
    """

    offset: int
    owner: str
    topic: str
    policy: str
    start: Micros | None
    end: Micros | None


class Past(msgspec.Struct):
    """Attributes:
    spans: by `fill_spans.span_key`.
    deleted: as far as the journal holds messages of it.
    known_from: all that was deleted at this offset or later is in `deleted`.
    """

    spans: dict[str, list[tuple[int, int | None]]] = {}
    deleted: list[Deleted] = []
    known_from: int = 0


class Tail(msgspec.Struct):
    """Windows that a fill has begun and that have not ended: they are written when they do."""

    version: int
    offset: int
    task: bytes


class FillState(msgspec.Struct):
    """A fill of one policy in one partition.

    Attributes:
        next: the offset to go on with.
        gaps: offsets to be read, from the first to before the second.
        messages: about how many messages were to be read when it began.
        read: messages so far; `matched` of them were on the policy's topics, `kept` it kept.
        size: bytes of the payloads that it kept.
        rows: written; a window each time that it was.
        lost: messages that the journal did not hold any more, about.
        deleted: what was deleted of this policy while it was filled.
        task: the state of its task at `next`; empty if it has none.
    """

    owner: str
    policy: str
    request: int
    version: int
    next: int
    gaps: list[tuple[int, int]]
    messages: int
    state: State = "running"
    error: str = ""
    read: int = 0
    matched: int = 0
    kept: int = 0
    size: int = 0
    rows: int = 0
    lost: int = 0
    since: Micros | None = None
    finished: Micros | None = None
    deleted: list[Deleted] = []
    task: bytes = b""
    tails: list[Tail] = []

    @property
    def name(self) -> str:
        return f"{self.owner}/{self.policy}"

    def to_checkpoint(self) -> Checkpoint:
        return Checkpoint(self.name, self.next, msgspec.msgpack.encode(self))


def decode(part: Checkpoint) -> FillState:
    return msgspec.msgpack.decode(part.state, type=FillState)


def decode_past(parts: Iterable[Checkpoint]) -> Past:
    found = next((part for part in parts if part.part == SPANS), None)
    return Past() if found is None else msgspec.msgpack.decode(found.state, type=Past)


def states(store: CheckpointReader, order: FillOrder) -> dict[int, FillState]:
    """How far an order is, by partition; without those in which it has not begun."""
    found = store.checkpoints(CONSUMER, part=f"{order.owner}/{order.policy}")
    decoded = {partition: decode(part) for partition, parts in found.items() for part in parts}
    return {p: state for p, state in decoded.items() if state.request == order.request}


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a fill is, in all partitions.

    Attributes:
        done: the part of the messages that is read, from 0 to 1.
        since: receive time of the first message read; None where there was none yet.
        finished: when the last partition was.
    """

    state: State
    done: float
    read: int
    matched: int
    kept: int
    rows: int
    size: int
    lost: int
    since: Micros | None
    finished: Micros | None
    error: str


def progress(order: FillOrder, found: Mapping[int, FillState]) -> Progress:
    every = list(found.values())
    names = {one.state for one in every}
    if not order.settled and len(found) < len(order.partitions):
        names.add("running")
    state: State = next((name for name in _WORST if name in names), "done")
    total = sum(max(one.messages, one.read + one.lost) for one in every)
    share = sum(one.read + one.lost for one in every) / total if total else 1.0
    if state == "running":
        share *= len(found) / len(order.partitions)
    return Progress(
        state,
        1.0 if state == "done" else share,
        sum(one.read for one in every),
        sum(one.matched for one in every),
        sum(one.kept for one in every),
        sum(one.rows for one in every),
        sum(one.size for one in every),
        sum(one.lost for one in every),
        min((one.since for one in every if one.since is not None), default=None),
        None if state == "running" else max((one.finished or 0 for one in every), default=None),
        next((one.error for one in every if one.error), ""),
    )


def needed_from(store: CheckpointReader, orders: Iterable[FillOrder]) -> int | None:
    """The offset from which on fills need the journal; None while there is none at work."""
    least: int | None = None
    for order in orders:
        found = states(store, order)
        for partition in order.partitions:
            one = found.get(partition)
            if one is None or one.state == "running":
                offset = 0 if one is None else one.next
                least = offset if least is None else min(least, offset)
    return least


def end_all(store: CheckpointStore, why: str, divided: bool) -> None:
    """End all fills, because the journal that they read is not in use any more.

    Args:
        divided: whether channels get other numbers, so that no state can be taken up again.
    """
    for partition, parts in store.checkpoints(CONSUMER).items():
        ended = []
        for part in parts:
            if part.part == SPANS:
                continue
            state = decode(part)
            if state.state == "running":
                state.state, state.error, state.task = "failed", why, b""
                ended.append(state)
            if divided and state.tails:
                state.tails = []
                ended.append(state)
        store.save_checkpoints(CONSUMER, partition, [state.to_checkpoint() for state in ended])
