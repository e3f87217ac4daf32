"""Decides, once for each message, whether it is within the limits of its unit and its owner.

sizes of one read ──> unit: how many fit? ──> owner: how many of these? ──> Verdict
                                                                               │
passed: as usual    over: slow, refuse, park or cut, as the limit reached says <┘
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from lakebed.access.principals import Principal
from lakebed.limits.full import FullOwners
from lakebed.limits.subjects import Subject
from lakebed.vocabulary.attributes import NO_ATTRIBUTES, Attributes
from lakebed.vocabulary.limits import PARKED, Over
from lakebed.vocabulary.times import SECOND

_AGAIN = 0.001  # seconds; the shortest wait
_WEIGHED = 60.0  # seconds; what is stored is weighed as often
_FOREVER = 1e9  # seconds; until it is unblocked


class Verdict(NamedTuple):
    """The decision about the messages of one read.

    Attributes:
        passed: so many, from the first on, are taken as usual.
        over: what happens to the others.
        wait: seconds for which the sender should send nothing.
        why: the limit that was reached.
    """

    passed: int
    over: Over
    wait: float
    why: str


class Allowance:
    """What one principal may send. Event loop only.

    Args:
        unit: None where no unit sends.
        cut: called when a unit is cut off.
        full: owners that keep as much as they may, whoever sends to them.

    Attributes:
        full: the same.
        owner, unit: with their limits.
        limited: whether `decide` must be asked; a plain attribute, as the hot paths look at it.
    """

    __slots__ = (
        "__weakref__", "_clock", "_cut", "_elsewhere", "_subjects", "full", "limited", "owner",
        "unit",
    )  # fmt: skip

    def __init__(
        self,
        owner: Subject,
        unit: Subject | None,
        clock: Callable[[], float],
        cut: Callable[[Subject], None] = lambda unit: None,
        full: FullOwners | None = None,
    ) -> None:
        self.owner, self.unit = owner, unit
        self._subjects = (owner,) if unit is None else (unit, owner)
        self._clock = clock
        self._cut = cut
        self.full = FullOwners(Counter()) if full is None else full
        self._elsewhere = False
        self.limited = False
        self.refresh()

    def refresh(self) -> None:
        """Note that limits have changed."""
        self.limited = any(subject.limited for subject in self._subjects) or (
            self._elsewhere and bool(self.full)
        )

    def adopt(self, principal: Principal) -> None:
        """Have a principal send by it: one that may publish to others, or only to its owner."""
        if not self._elsewhere and principal.may_publish_elsewhere:
            self._elsewhere = True
            self.refresh()

    def is_full(self, owner: str) -> bool:
        """Whether another owner, to whom is sent, keeps as much as it may."""
        return owner in self.full and owner != self.owner.owner

    def stop(self, owner: str, count: int) -> Verdict:
        """The verdict about messages to another owner that is full, which are counted."""
        self.full.note_over(owner, count)
        return Verdict(0, self.full.over(owner), _WEIGHED, self.full.reached(owner))

    def decide(
        self, sizes: Sequence[int], *, whole: bool = False, shared: bool = False
    ) -> Verdict | None:
        """Decide about messages of these sizes, and take them from the buckets; None: all pass.

        Args:
            whole: they are refused together or not at all, as those of one request are: they pass
                where there is anything left, and may leave a debt.
            shared: the sender cannot be slowed down without others, and is parked instead.
        """
        at = self._clock()
        passed, stopped = len(sizes), None
        for subject in self._subjects:
            over = self._over(subject, shared)
            fitting = self._fits(subject, over, sizes[:passed], at, whole)
            if fitting < passed:
                passed, stopped = fitting, subject
        why = "" if stopped is None else stopped.reached(at)
        size = sum(sizes[:passed])
        slow, waiting = 0.0, None
        for subject in self._subjects:
            subject.take(passed, size)
            wait = subject.wait(at)
            if wait > slow and (subject is stopped or self._over(subject, shared) is Over.SLOW):
                slow, waiting = wait, subject
        if stopped is None:
            if waiting is None or whole:
                return None
            waiting.note_over(Over.SLOW, len(sizes))
            return Verdict(passed, Over.SLOW, max(slow, _AGAIN), waiting.reached(at))
        over = self._over(stopped, shared)
        stopped.note_over(over, len(sizes) - passed)
        if stopped.full:
            slow = _WEIGHED
        if over is Over.CUT:
            self._cut_off(stopped, at)
            slow = max(0.0, stopped.blocked_until - at)
        return Verdict(passed, over, max(slow, _AGAIN), why)

    def wait(self) -> float:
        """Seconds for which a sender that is slowed down should still be held back."""
        at = self._clock()
        waits = [s.wait(at) for s in self._subjects if self._over(s) is Over.SLOW]
        return max(waits, default=0.0)

    def parked(self, attributes: Attributes | None) -> Attributes:
        """The attributes of a message that is over a limit, with the decision to park it."""
        own = attributes or NO_ATTRIBUTES
        sender = "" if self.unit is None else self.unit.unit
        return own._replace(decisions=(*own.decisions, (PARKED, sender)))

    def _over(self, subject: Subject, shared: bool = False) -> Over:
        """What happens over the limits of a subject. Only units can be cut off."""
        over = subject.limits.over
        if subject.full:  # waiting does not help, and no unit is to blame
            return Over.PARK if over is Over.PARK else Over.REFUSE
        if shared and over is Over.SLOW:
            return Over.PARK
        return Over.REFUSE if over is Over.CUT and self.unit is None else over

    def _fits(
        self, subject: Subject, over: Over, sizes: Sequence[int], at: float, whole: bool
    ) -> int:
        if not subject.limited:
            return len(sizes)
        if subject.full:
            return 0
        if subject.blocked_until:
            if at < subject.blocked_until:
                return 0
            subject.end_block(at)
        if over is Over.PARK:
            return subject.fits(sizes, at)
        if over is Over.SLOW and not whole:
            return len(sizes)  # held back afterwards
        if whole:
            return len(sizes) if subject.fits(sizes[:1], at) else 0
        return subject.fits(sizes, at)

    def _cut_off(self, stopped: Subject, at: float) -> None:
        assert self.unit is not None
        if at < self.unit.blocked_until:
            return
        self.unit.cut_for = cut_for = stopped.limits.cut_for
        self.unit.blocked_until = at + (_FOREVER if cut_for is None else cut_for / SECOND)
        self._cut(self.unit)
