"""Relays pass on what Lakebed has: the contract between a relay and the systems it sends to.

    journal (messages) ──┐                        ┌──> Target.send ──> Kafka, Postgres, HTTP, …
                         ├──> Records ──Delivery──┤
    outbox (of policies) ┘     │                  └──> Refusal ──> dead letters
                           Position, saved when `send` has returned

A target knows its own job alone: how n records become one request, and what an answer means.
Batching, order, retries, time-outs, rate limit, positions and counting live once, around it, in
`relays/lanes.py`. To add a target: a file in `relays/targets/`, a line in its dict, cases.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

from lakebed.vocabulary.errors import LakebedError
from lakebed.vocabulary.times import Micros

What = Literal["message", "kept", "finished", "changed"]
"""What a record is: a message; a record that a policy kept; a window that has ended; a window or
last value that has changed, and may change again."""


TIMES: Final = frozenset({"start", "end"})
"""Columns of `Record.values` that are instants."""


@dataclass(frozen=True, slots=True)
class Record:
    """One thing that is passed on.

    Attributes:
        id: the same whenever this record is sent again, and of no other record of the relay. Of a
            window or last value that changes, each change has an id of its own.
        topic: of the message, or of the series.
        time: event time, or the begin of a window.
        received: when Lakebed read the message, or wrote the window.
        what: see `What`.
        values: the columns of what a policy gave, in order, such as `value`, or `start`, `end`,
            `count`, `avg`; numbers, texts, truth values, None, and of JSON lists and mappings too.
            Those named in `TIMES` are `Micros`. Of a message it has `value` where the relay reads
            one (`type`), else nothing.
        payload: the message as it was sent, or what `template` or `transform` made of it; None
            for what a policy gave, where there is no template.
        attributes: what surrounded the message: content type, principal, user properties.
        policy: the name of the policy that gave it, else "".
    """

    id: str
    topic: str
    time: Micros
    received: Micros
    what: What = "message"
    values: Mapping[str, Any] = field(default_factory=dict)
    payload: bytes | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    policy: str = ""


@dataclass(frozen=True, slots=True)
class Position:
    """How far a lane has come: everything of it below `offset` was delivered or refused.

    A relay divides the topics of each partition among lanes, by a hash of the topic. Records of a
    lane are delivered in order, one delivery after the other; lanes work beside each other.

    Attributes:
        relay: its lasting identity, `OWNER/NAME/NUMBER`: one that is deleted and made again, or
            rewound, has another number. It fits into names of transactions and of keys.
    """

    relay: str
    partition: int
    lane: int
    offset: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """Records of one lane, in order; at least one.

    Attributes:
        id: the same when the same records are delivered again; an idempotency key.
        position: of the lane once they are delivered.
    """

    id: str
    records: Sequence[Record]
    position: Position


@dataclass(frozen=True, slots=True)
class Refusal:
    """A record that the target will never take: it becomes a dead letter of the relay.

    Attributes:
        index: of the record in its delivery.
        reason: one sentence: what the target said, shortened, without secrets.
    """

    index: int
    reason: str


class TargetUnavailable(LakebedError):
    """The target does not answer, or refuses for now: the same delivery is sent again later.

    Everything that is not said by a `Refusal` is this: time-outs, broken connections, answers that
    cannot be read. Its text has no secrets.

    Attributes:
        wait: microseconds after which the target wants to be asked again; None if it did not say.
    """

    status = 503

    def __init__(self, what: str, wait: Micros | None = None) -> None:
        super().__init__(what)
        self.wait = wait


class Refused(LakebedError):
    """A target that keeps the position will never take some records, and has taken none.

    The refused ones become dead letters first; then the others are sent as a delivery of their own,
    with the same position. So a crash in between neither loses a dead letter nor sends one twice.

    Attributes:
        refusals: at least one.
    """

    status = 422

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        super().__init__(refusals[0].reason)
        self.refusals = refusals


class Target(Protocol):
    """A system that a relay sends to; one object for each lane, used by one thread at a time.

    Threads may change between calls. Call order: (position send*)* close: after `TargetUnavailable`
    it is asked for its position again, because another holder may have delivered meanwhile. The
    next call may find a broken connection, and opens another. Nothing is connected before the first
    call.
    """

    def position(self) -> int | None:
        """The offset of this lane as the target itself has it; None if it keeps none.

        A target that writes `Delivery.position` in one transaction with the records answers it:
        what lies below is never sent again, so each record takes effect once. It also fences off an
        earlier holder of the lane, whose transactions fail from here on. The lane begins at the
        greater of this and the position in the catalog.

        Raises:
            TargetUnavailable: it does not answer.
        """
        ...

    def send(self, delivery: Delivery) -> Sequence[Refusal]:
        """Return when every record is durable at the target or refused for ever.

        Blocks for at most the relay's `timeout`. What was sent before and did not count may come
        again, with the same ids.

        Returns:
            Refusals, where the others were taken; a target that answers `position` returns none.

        Raises:
            TargetUnavailable: unknown or not taken; nothing of the delivery counts as delivered.
            Refused: nothing was taken, because of some records.
            Superseded: another holder of this lane has taken over.
        """
        ...

    def close(self) -> None:
        """Release connections. Idempotent; never raises."""
        ...
