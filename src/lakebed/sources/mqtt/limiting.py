"""Applies limits to the messages of one MQTT connection.

events of one read ──> decide ──┬── within the limits ──> events as they were
                                ├── slow ───> the same, and a pause in reading
                                ├── refuse ─> Refused with 0x97 (QoS 0: dropped and counted)
                                ├── park ───> the same with a decision in their attributes
                                └── cut ────> nothing, and the end of the connection
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, TypeAlias

from lakebed.limits.allowance import Allowance, Verdict
from lakebed.sources.mqtt.codec.decoder import Control
from lakebed.sources.mqtt.codec.publish import Refused, Run
from lakebed.sources.mqtt.codec.reasons import Reason, reason_name
from lakebed.sources.mqtt.recent import Resent
from lakebed.sources.mqtt.stats import Stats
from lakebed.vocabulary.attributes import NO_ATTRIBUTES, Attributes
from lakebed.vocabulary.limits import Over
from lakebed.vocabulary.messages import Channel

if TYPE_CHECKING:
    from collections.abc import Container

Event: TypeAlias = Run[Channel] | Refused | Resent | Control


@dataclass(slots=True)
class Limited:
    """The events of one read, as limits leave them.

    Attributes:
        wait: seconds in which nothing more should be read; 0 for none.
        cut: why the connection ends behind these events; "" if it goes on.
    """

    events: list[Event] = field(default_factory=list)
    wait: float = 0.0
    cut: str = ""


class Limiter:
    """Decides about the messages of one connection.

    Args:
        attributes: recorded with each message that has none of its own.
    """

    __slots__ = ("_stats", "allowance", "attributes")

    def __init__(
        self, allowance: Allowance, stats: Stats, attributes: Attributes | None = None
    ) -> None:
        self.allowance = allowance
        self._stats = stats
        self.attributes = attributes or NO_ATTRIBUTES

    def limit(self, events: Sequence[Event], stored: "Container[int]") -> Limited:
        """Apply the limits.

        Args:
            stored: packet identifiers of QoS 2 messages that were taken already: sent again, they
                are only answered.
        """
        found = Limited()
        for event in events:
            if isinstance(event, Run):
                self._limit_run(found, event, stored)
                if found.cut:
                    break
            else:
                found.events.append(event)
        return found

    def _limit_run(self, found: Limited, run: Run[Channel], stored: "Container[int]") -> None:
        index: Sequence[int] = range(len(run))
        if run.qos == 2:
            ids = [int.from_bytes(raw, "big") for raw in run.packet_ids]
            index = [i for i in index if ids[i] not in stored]
        is_full, targets = self.allowance.is_full, run.targets
        stopped = {i for i in index if is_full(targets[i].owner)} if self.allowance.full else ()
        if not stopped:
            self._limit_own(found, run, index)
            return
        for _, group in groupby(
            range(len(run)), lambda i: targets[i].owner if i in stopped else None
        ):
            some = list(group)
            start, stop = some[0], some[-1] + 1
            if start in stopped:
                self._stop(found, _piece(run, start, stop))
            else:
                own = [i - start for i in index if start <= i < stop]
                self._limit_own(found, _piece(run, start, stop), own)
            if found.cut:
                return

    def _stop(self, found: Limited, run: Run[Channel]) -> None:
        """Park or refuse messages to one owner, who may keep no more."""
        verdict = self.allowance.stop(run.targets[0].owner, len(run))
        if verdict.over is Over.PARK:
            found.events.append(self._parked(run, range(len(run))))
        else:
            self._refuse(found, run, verdict)

    def _limit_own(self, found: Limited, run: Run[Channel], index: Sequence[int]) -> None:
        """Apply the limits of the sender.

        Args:
            index: the messages that count.
        """
        verdict = self.allowance.decide([len(run.payloads[i]) for i in index])
        if verdict is None:
            found.events.append(run)
        elif verdict.over is Over.SLOW:
            found.events.append(run)
            found.wait = max(found.wait, verdict.wait)
        elif verdict.over is Over.PARK:
            found.events.append(self._parked(run, index[verdict.passed :]))
        else:
            over = set(index[verdict.passed :])
            for refused, group in groupby(range(len(run)), over.__contains__):
                some = list(group)
                piece = _piece(run, some[0], some[-1] + 1)
                if not refused:
                    found.events.append(piece)
                elif verdict.over is Over.CUT:
                    self._stats.refused["cut_off"] += len(piece)
                    found.cut = f"{verdict.why} is reached, and the unit is cut off"
                    return
                else:
                    self._refuse(found, piece, verdict)

    def _refuse(self, found: Limited, run: Run[Channel], verdict: Verdict) -> None:
        if not run.qos:
            self._stats.refused[reason_name(Reason.QUOTA_EXCEEDED)] += len(run)
            return
        text = f"{verdict.why} is reached: send again in {verdict.wait:.1f} s"
        found.events += [
            Refused(
                run.qos, raw, Reason.QUOTA_EXCEEDED, text, target.topic, payload, len(payload),
                temporary=True,
            )
            for raw, target, payload in zip(run.packet_ids, run.targets, run.payloads, strict=True)
        ]  # fmt: skip

    def _parked(self, run: Run[Channel], over: Sequence[int]) -> Run[Channel]:
        attributes = run.attributes or [None] * len(run)
        made: dict[Attributes | None, Attributes] = {}
        for i in over:
            own = attributes[i]
            if own not in made:
                made[own] = self.allowance.parked(own or self.attributes)
            attributes[i] = made[own]
        run.attributes = attributes
        return run


def _piece(run: Run[Channel], start: int, stop: int) -> Run[Channel]:
    part = slice(start, stop)
    return Run(
        run.qos,
        run.targets[part],
        run.payloads[part],
        run.packet_ids[part],
        None if run.event is None else run.event[part],
        None if run.ids is None else run.ids[part],
        None if run.attributes is None else run.attributes[part],
        retained=run.retained,
    )
