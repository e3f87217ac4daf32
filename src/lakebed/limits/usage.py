"""The used parts of limits, and the owners and units that are near one.

LoadMeter ──sums of an interval, of all at once──> part of each limit ──at 80 %──> warning
                             other gateways' parts ──┘
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import structlog

from lakebed.limits.load import LoadMeter
from lakebed.limits.subjects import Subject

log = structlog.get_logger(__name__)

NEAR = 0.8
"""The used part of a limit from which on a warning is given."""

_WARNED_EVERY = 3600.0  # seconds between two warnings about one owner or unit in the log

Sent = dict[tuple[str, float], Mapping[Any, Sequence[float]]]
"""Messages and bytes of all owners or units in an interval."""

Used = dict[str, float]
"""Used parts of limits, each named as `messages 600/1m`."""


class LimitUsage:
    """How much of their limits owners and units use.

    Args:
        load: what was taken in.
        clock: seconds, monotonic.

    Attributes:
        elsewhere: the used parts of limits at other gateways, by the keys of subjects.
        warned: owners and units that were near a limit when it was last looked.
    """

    def __init__(self, load: LoadMeter, clock: Callable[[], float]) -> None:
        self._load = load
        self._clock = clock
        self.elsewhere: Mapping[str, Used] = {}
        self.warned: list[tuple[Subject, str, float]] = []

    def look(self, subjects: Iterable[Subject]) -> None:
        """Find the subjects that are near a limit, and warn of them. Event loop only."""
        totals: Sent = {}
        near = []
        for subject in subjects:
            if subject.rates:
                name, part = self.used(subject, totals)
                if part >= NEAR:
                    self._warn(subject, name, part)
                    near.append((subject, name, part))
        self.warned = near

    def used(self, subject: Subject, sent: Sent | None = None) -> tuple[str, float]:
        """The limit that a subject uses most at all gateways, and its used part. Any thread."""
        found = self.used_parts(subject, sent)
        if self.elsewhere:
            elsewhere = self.elsewhere.get(subject.key, {})
            found = {name: part + elsewhere.get(name, 0.0) for name, part in found.items()}
        name = max(found, key=found.__getitem__, default="")
        return name, found.get(name, 0.0)

    def used_parts(self, subject: Subject, sent: Sent | None = None) -> Used:
        """The used part of each limit of a subject, at this process. Any thread.

        Args:
            sent: empty at first, and passed again for other subjects at the same moment; then
                many cost little more than a few.
        """
        key: Any = (subject.owner, subject.unit) if subject.unit else subject.owner
        parts = {}
        for label, span, column, amount in subject.rates:
            if sent is None:
                found: Sequence[float] | None = self._sent_in(subject, key, span)
            else:
                totals = sent.get((subject.kind, span))
                if totals is None:
                    totals = sent[subject.kind, span] = self._all_sent_in(subject, span)
                found = totals.get(key)
            parts[label] = found[column] / amount if found else 0.0
        return parts

    def _sent_in(self, subject: Subject, key: Any, span: float) -> tuple[float, float]:
        table: Any = self._load.units if subject.unit else self._load.owners
        with self._load.lock:
            found: tuple[float, float] = table.sent_in(key, span, self._clock())
        return found

    def _all_sent_in(self, subject: Subject, span: float) -> Mapping[Any, Sequence[float]]:
        table: Any = self._load.units if subject.unit else self._load.owners
        with self._load.lock:
            found: Mapping[Any, Sequence[float]] = table.all_sent_in(span, self._clock())
        return found

    def _warn(self, subject: Subject, limit: str, used: float) -> None:
        at = self._clock()
        if at - subject.warned_at < _WARNED_EVERY:
            return
        subject.warned_at = at
        log.warning(
            "a limit is nearly reached", kind=subject.kind, owner=subject.owner,
            name=subject.name, limit=limit, used=f"{used:.0%}",
            do="raise the limit, or have it send less: lakebed limits, lakebed load",
        )  # fmt: skip
