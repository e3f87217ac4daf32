"""Who limits hold for: an owner, or a unit, with the buckets of its limits."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

from lakebed.limits.buckets import TokenBuckets
from lakebed.limits.load import span_of
from lakebed.vocabulary.limits import NO_LIMITS, Limits, Over, Rate
from lakebed.vocabulary.times import SECOND, Micros

_AHEAD = 1.25  # a gateway gets more than what passes now, so that it can grow


class LimitedRate(NamedTuple):
    """One interval of a limit, as what was sent is compared with it.

    Attributes:
        label: `messages 600/1m`.
        span: seconds whose sums are compared.
        column: 0 for messages, 1 for bytes.
        amount: messages or bytes in this time. Of an interval below a second, in a whole one.
    """

    label: str
    span: float
    column: int
    amount: float


@lru_cache(4096)
def _rates(
    messages: tuple[Rate, ...] | None, size: tuple[Rate, ...] | None
) -> tuple[LimitedRate, ...]:
    found = []
    for column, (name, rates) in enumerate((("messages", messages), ("bytes", size))):
        for rate in rates or ():
            seconds = rate.interval / SECOND
            amount = rate.amount / min(1.0, seconds)
            found.append(LimitedRate(f"{name} {rate}", span_of(seconds), column, amount))
    return tuple(found)


class Subject:
    """One owner or unit. Its limits may change while it is used. Event loop only.

    Args:
        sent: called when it has sent something since `take_sent`.
        totals: messages over a limit by kind, of all subjects together.

    Attributes:
        kind: "owner" or "unit".
        owner: the owner, or the owner of the unit.
        unit: the unit's uuid; "" of an owner.
        limits: in force.
        rates: each interval of its limits on messages and bytes.
        over: messages that were over a limit, by what happened to them.
        cut_for: for how long it was last cut off; None until it is unblocked.
        full: whether it keeps as much as its limit `stored` allows.
        share: the part of its limits that this process has.
        need: the part that it could use, from 0 to 1; a greater one is remembered for a while.
        blocked_until: seconds of the clock until which it is cut off here; 0 while it is not.
    """

    __slots__ = (
        "__weakref__", "_bytes", "_hungry", "_messages", "_sent", "_sent_bytes", "_sent_messages",
        "_taken", "_taken_bytes", "_totals", "blocked_until", "cut_for", "full", "kind", "limits",
        "name", "need", "over", "owner", "rates", "share", "unit", "warned_at",
    )  # fmt: skip

    def __init__(
        self,
        owner: str,
        unit: str = "",
        name: str = "",
        sent: Callable[["Subject"], None] = lambda subject: None,
        totals: Counter[tuple[str, Over]] | None = None,
        share: float = 1.0,
    ) -> None:
        self.kind = "unit" if unit else "owner"
        self.owner, self.unit, self.name = owner, unit, name or unit or owner
        self.limits = NO_LIMITS
        self.rates: tuple[LimitedRate, ...] = ()
        self.over: Counter[Over] = Counter()
        self.cut_for: Micros | None = None
        self.blocked_until = 0.0
        self.full = False
        self.share, self.need = share, 0.0
        self._hungry = False
        self._taken = self._taken_bytes = 0  # from the buckets, since `measure_need`
        self.warned_at = float("-inf")
        self._messages: TokenBuckets | None = None
        self._bytes: TokenBuckets | None = None
        self._sent, self._totals = sent, totals
        self._sent_messages = self._sent_bytes = 0

    @property
    def limited(self) -> bool:
        return (
            self._messages is not None
            or self._bytes is not None
            or self.blocked_until > 0
            or self.full
        )

    @property
    def key(self) -> str:
        """Its name in leases."""
        return f"{self.owner}/{self.unit}"

    def set(self, limits: Limits, at: float, fill: float = 1.0) -> None:
        """Put limits in force; buckets of the same intervals keep their levels.

        Args:
            fill: how full new buckets are.
        """
        self.limits = limits
        self.rates = _rates(limits.messages, limits.bytes)
        self._messages = _buckets(self._messages, limits.messages, at, self.share, fill)
        self._bytes = _buckets(self._bytes, limits.bytes, at, self.share, fill)

    def set_share(self, share: float, at: float, fill: float | None) -> None:
        """Have another part of the limits.

        Args:
            fill: how full what it gains is; None: as its own buckets are.
        """
        own = self.fill(at) if fill is None else fill
        for buckets in (self._messages, self._bytes):
            if buckets is not None:
                buckets.resize(at, self.share, share, own)
        self.share = share

    def fill(self, at: float) -> float:
        """How full its buckets are, from 0 to 1; of several the emptiest."""
        found = [b.fill(at) for b in (self._messages, self._bytes) if b is not None]
        return min(found, default=1.0)

    def measure_need(self, at: float, seconds: float, kept: float) -> None:
        """Find out what it needs, by what it took since the last call.

        Args:
            seconds: since the last call.
            kept: the part of its former need that it still has.
        """
        taken, size, hungry = self._taken, self._taken_bytes, self._hungry
        self.need *= kept
        if not (taken or size or hungry):
            return
        self._taken = self._taken_bytes = 0
        self._hungry = False
        rates = [
            buckets.rate_of(amount, seconds)
            for buckets, amount in ((self._messages, taken), (self._bytes, size))
            if buckets is not None
        ]
        used = self.share * (1 - self.fill(at))
        need = 1.0 if hungry else max(used, _AHEAD * max(rates, default=0.0))
        self.need = min(1.0, max(self.need, need))

    def end_block(self, at: float) -> None:
        """Start anew, with full buckets: else the next message would cut it off again."""
        self.blocked_until = 0.0
        self._messages = _buckets(None, self.limits.messages, at, self.share, 1.0)
        self._bytes = _buckets(None, self.limits.bytes, at, self.share, 1.0)

    def fits(self, sizes: Sequence[int], at: float) -> int:
        """How many of these messages, from the first on, are within the limits.

        A message is within a limit of bytes if anything is left of it, so that one which is larger
        than the whole limit passes at times. Nothing is taken.
        """
        count = len(sizes)
        if self._messages is not None:
            count = min(count, max(0, int(self._messages.level(at) + 1e-6)))
        if self._bytes is not None:
            left = self._bytes.level(at)
            if left >= sum(sizes[:count]):
                return count
            for i, size in enumerate(sizes[:count]):
                if left < 1:
                    return i
                left -= size
        return count

    def take(self, count: int, size: int) -> None:
        """Take messages and their bytes from the buckets."""
        self._taken += count
        self._taken_bytes += size
        if self._messages is not None:
            self._messages.take(count)
        if self._bytes is not None:
            self._bytes.take(size)

    def note_over(self, over: Over, count: int) -> None:
        """Count messages that were over a limit."""
        self.over[over] += count
        self._hungry = True
        if self._totals is not None:
            self._totals[self.kind, over] += count

    def note_sent(self, messages: int, size: int) -> None:
        """Count messages for the load."""
        if not self._sent_messages:
            self._sent(self)
        self._sent_messages += messages
        self._sent_bytes += size

    def take_sent(self) -> tuple[int, int]:
        """Messages and bytes since the last call."""
        found = self._sent_messages, self._sent_bytes
        self._sent_messages = self._sent_bytes = 0
        return found

    def wait(self, at: float) -> float:
        """Seconds until a message is within the limits."""
        wait = 0.0 if self._messages is None else self._messages.wait(at, 1)
        return wait if self._bytes is None else max(wait, self._bytes.wait(at, 1))

    def reached(self, at: float) -> str:
        """The limit that is reached, for errors: `messages 30/1s,600/1m of unit shed`."""
        if self.full:
            return f"the limit `stored` ({self.limits.stored} bytes) of {self.kind} {self.name!r}"
        waits = {
            name: buckets.wait(at, 1)
            for name, buckets in (("messages", self._messages), ("bytes", self._bytes))
            if buckets is not None
        }
        if not waits:
            return f"{self.kind} {self.name!r}"
        name = max(waits, key=lambda name: waits[name])
        rates = ",".join(map(str, getattr(self.limits, name) or ()))
        return f"the limit `{name}` ({rates}) of {self.kind} {self.name!r}"


def _buckets(
    former: TokenBuckets | None,
    rates: tuple[Rate, ...] | None,
    at: float,
    share: float,
    fill: float,
) -> TokenBuckets | None:
    if rates is None:
        return None
    if former is not None and former.rates == rates:
        return former
    return TokenBuckets(rates, at, share, fill)
