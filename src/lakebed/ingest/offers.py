"""The contract between sources and the intake.

    source ──offer(columns, durable, refused)──> Intake
       ^                                            │
       └── durable() │ refused(reason) ─────────────┘   exactly one of them, later, on the loop

After `durable()` the source acknowledges: all messages of the offer are on disk. After
`refused(reason)` it must not: the process ends, or the offer has timed out. Refused
messages may still become durable later, so a sender repeats them under the same ids.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Protocol, TypeAlias

import structlog

from lakebed.vocabulary.errors import Unavailable
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.sparse import NOTHING, Sparse
from lakebed.vocabulary.times import Micros

log = structlog.get_logger()

Durable: TypeAlias = Callable[[], object]
Refused: TypeAlias = Callable[[Unavailable], object]


@dataclass(slots=True)
class Columns:
    """k messages that were read together.

    Attributes:
        channels, payloads: k each.
        received: when they were read.
        sparse: what only some of them have.
        release: keys of the journal that end with these messages; later offers may use them again.
    """

    channels: Sequence[Channel]
    payloads: Sequence[bytes]
    received: Micros
    sparse: Sparse = NOTHING
    release: Sequence[bytes] = ()


class Waiting(Protocol):
    """An offer that has not been answered."""

    def durable(self) -> None: ...

    def refused(self, reason: Unavailable) -> None: ...

    def refuse_expired(self, reason: Unavailable, moment: float = inf) -> None:
        """Refuse messages that have timed out at this moment of the loop's clock.

        Without a moment: all messages with a time-out.
        """
        ...


class Offer:
    """One offer: calls `durable` or `refused`, whichever comes first, once.

    Args:
        until: the moment of the loop's clock at which it times out; infinity for never.
    """

    __slots__ = ("_durable", "_refused", "_until")

    def __init__(self, durable: Durable, refused: Refused, until: float) -> None:
        self._durable: Durable | None = durable
        self._refused = refused
        self._until = until

    def durable(self) -> None:
        durable, self._durable = self._durable, None
        if durable is not None:
            try:
                durable()
            except Exception:
                log.exception("an acknowledgement failed")

    def refused(self, reason: Unavailable) -> None:
        if self._durable is not None:
            self._durable = None
            try:
                self._refused(reason)
            except Exception:
                log.exception("a refusal failed")

    def refuse_expired(self, reason: Unavailable, moment: float = inf) -> None:
        if self._until < moment:
            self.refused(reason)


class SingleSender(Protocol):
    """A source that offers messages one by one through `Singles`.

    Attributes:
        timeout: seconds after which its messages are refused; infinity for never.
    """

    timeout: float

    def durable_one(self, mark: bytes) -> object: ...

    def refused_one(self, mark: bytes, reason: Unavailable) -> object: ...


class Singles:
    """Columns of single messages, from senders that wait for each answer.

    The short form of `Intake.offer`, for a message without sparse columns, while the intake is
    open: a source appends a value to every list and calls `Intake.single_added`. The answer comes
    with the same `mark`. The lists are always the same objects, shared by all connections.
    """

    __slots__ = ("channels", "marks", "payloads", "received", "senders")

    def __init__(self) -> None:
        self.channels: list[Channel] = []
        self.payloads: list[bytes] = []
        self.received: list[Micros] = []
        self.senders: list[SingleSender] = []
        self.marks: list[bytes] = []

    def offered(self, moment: float) -> "SinglesOffer":
        """Return the current messages as one offer, made at this moment of the loop's clock."""
        return SinglesOffer(list(zip(self.senders, self.marks, strict=True)), moment)

    def clear(self) -> None:
        for column in (self.channels, self.payloads, self.received, self.senders, self.marks):
            column.clear()


class SinglesOffer:
    """Messages of many senders that became one offer."""

    __slots__ = ("_since", "_waiting")

    def __init__(self, waiting: list[tuple[SingleSender, bytes]], since: float) -> None:
        self._waiting = waiting
        self._since = since

    def durable(self) -> None:
        for sender, mark in self._waiting:
            try:
                sender.durable_one(mark)
            except Exception:
                log.exception("an acknowledgement failed")

    def refused(self, reason: Unavailable) -> None:
        for sender, mark in self._waiting:
            try:
                sender.refused_one(mark, reason)
            except Exception:
                log.exception("a refusal failed")

    def refuse_expired(self, reason: Unavailable, moment: float = inf) -> None:
        since = self._since
        expired = [pair for pair in self._waiting if since + pair[0].timeout < moment]
        if expired:
            self._waiting = [pair for pair in self._waiting if since + pair[0].timeout >= moment]
            SinglesOffer(expired, since).refused(reason)
