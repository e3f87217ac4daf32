"""Finds out whose a broker's messages are, by the unit that their topics name.

    topic ──resolve, once──> UnitTopic: channel of the unit's owner, attributes with its principal
    run of messages ──sort──> those of known units;  all others are counted, and not offered

A message costs one look-up in the decoder's dict, as without units. When units change, the topics
that name them are resolved again. Event loop only.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import structlog

from lakebed.access.principals import Kind
from lakebed.access.unit_directory import UnitDirectory
from lakebed.limits.allowance import Allowance
from lakebed.limits.book import LimitBook
from lakebed.ports.accounts.units import Unit
from lakebed.ports.metrics import CounterMetric, Sample
from lakebed.sources.mqtt.client.stored_topics import check_stored
from lakebed.sources.mqtt.codec.publish import Run
from lakebed.sources.mqtt.settings import MqttSource
from lakebed.sources.mqtt.topics import Topics
from lakebed.vocabulary.attributes import NO_ATTRIBUTES, Attributes
from lakebed.vocabulary.limits import Over
from lakebed.vocabulary.messages import Channel

NOT_STORED = CounterMetric(
    "lakebed_source_not_stored_total",
    "Messages of sources that were acknowledged and not stored: their unit is not known.",
    ("source", "reason"),
)

log = structlog.get_logger(__name__)

UNKNOWN, BLOCKED, NO_UNIT, OVER_LIMIT = "unknown", "blocked", "no_unit", "over_limit"
"""Why a message is not stored: there is no such unit; it or its owner is blocked; the topic is of
no pattern; it is over a limit that refuses."""

_TELL_EVERY = 1.0  # seconds
_EXAMPLES = 20
"""Topics of strangers that are kept as examples, the latest."""


@dataclass(slots=True, eq=False)
class UnitTopic:
    """What a topic was resolved to.

    Attributes:
        channel: in the name space of the unit's owner; None where messages are not stored.
        attributes: recorded with each message.
        unit: its uuid; "" where there is none.
        sender: owner and uuid, as its load is counted; None where messages are not stored.
        reason: why messages are not stored.
        allowance: what the unit may send.
    """

    channel: Channel | None
    attributes: Attributes = NO_ATTRIBUTES
    unit: str = ""
    sender: tuple[str, str] | None = None
    reason: str = ""
    allowance: Allowance | None = None


class UnitSenders:
    """Of one source, over all of its connections.

    Args:
        seen: told about once a second which units have sent something, by uuid.

    Attributes:
        name: of the source.
        topics: what is resolved so far; a decoder's cache.
        left_out: messages that were acknowledged and not stored, by reason.
        examples: the latest topics of such messages, with the reason, the oldest first.
    """

    def __init__(
        self,
        source: MqttSource,
        units: UnitDirectory,
        limits: LimitBook | None = None,
        seen: Callable[[Collection[str]], None] = lambda units: None,
    ) -> None:
        self.name = source.name
        self._source = source
        self._units = units
        self._seen = seen
        self._limits = limits or LimitBook()
        self._patterns = source.unit_patterns()
        self.topics: Topics[UnitTopic] = Topics()
        self.left_out: Counter[str] = Counter()
        self.examples: dict[str, str] = {}
        self._strangers = False  # whether some resolved topic has no channel
        self._forget: Callable[[], None] | None = None
        self._sent: Counter[UnitTopic] = Counter()  # messages since load was last told of them,
        self._sent_bytes = 0  # and their bytes

    async def start(self) -> None:
        """Return when the units are known: before, each message would be a stranger's."""
        self._units.follow()
        self._forget = self._units.watch(self._changed)
        await self._units.loaded()

    def stop(self) -> None:
        self._tell_sent()
        if self._forget is not None:
            self._forget()
            self._forget = None

    # --- topics -----------------------------------------------------------------------------------

    def resolve(self, topic: str) -> UnitTopic:
        """Whose messages to this topic are.

        Raises:
            Refuse: it is no topic to store anything under.
        """
        check_stored(topic, self._limits)
        for pattern in self._patterns:
            key = pattern.find(topic)
            if key is not None:
                return self._of_unit(topic, self._units.find(key, self._source.owner))
        return self._stranger(topic, NO_UNIT)

    def _of_unit(self, topic: str, unit: Unit | None) -> UnitTopic:
        if unit is None:
            return self._stranger(topic, UNKNOWN)
        if self._units.is_blocked(unit):
            return self._stranger(topic, BLOCKED, unit.uuid)
        if self._limits.check_topic(unit.owner, topic) is not None:
            return self._stranger(topic, OVER_LIMIT, unit.uuid)
        attributes = Attributes(principal=f"{Kind.UNIT}:{unit.uuid}")
        allowance = self._limits.of_unit(unit.owner, unit.uuid, unit.name)
        return UnitTopic(
            Channel(unit.owner, topic),
            attributes,
            unit.uuid,
            (unit.owner, unit.uuid),
            allowance=allowance,
        )

    def _stranger(self, topic: str, reason: str, unit: str = "") -> UnitTopic:
        self._strangers = True
        if topic not in self.examples and len(self.examples) < _EXAMPLES:
            log.warning("messages are not stored", source=self._source.name, topic=topic,
                        reason=reason)  # fmt: skip
        self.examples.pop(topic, None)
        self.examples[topic] = reason
        while len(self.examples) > _EXAMPLES:
            del self.examples[next(iter(self.examples))]
        return UnitTopic(None, unit=unit, reason=reason)

    def _changed(self, uuids: Collection[str] | None) -> None:
        """Forget what was resolved for these units, and for strangers, who may be new units."""
        known = self.topics.known
        if uuids is None:
            known.clear()
        else:
            for name in [n for n, t in known.items() if t.channel is None or t.unit in uuids]:
                del known[name]
        self._strangers = False

    # --- messages ---------------------------------------------------------------------------------

    def sort(self, run: Run[Any]) -> Run[Channel]:
        """The messages of known units, with their attributes; the others are counted."""
        targets: list[UnitTopic] = run.targets
        parked: dict[int, Allowance] = {}
        if self._limits.limiting:
            parked, dropped = self._limit(run)
            if dropped:
                kept = [i for i in range(len(run)) if i not in dropped]
                parked = {place: parked[i] for place, i in enumerate(kept) if i in parked}
                run = run.only(kept)
                targets = run.targets
        self._note_sent(run)
        if self._strangers:
            kept = [i for i, target in enumerate(targets) if target.channel is not None]
            if len(kept) < len(targets):
                self.left_out.update(t.reason for t in targets if t.channel is None)
                parked = {place: parked[i] for place, i in enumerate(kept) if i in parked}
                run = run.only(kept)
                targets = run.targets
        attributes: list[Attributes | None] = [target.attributes for target in targets]
        if run.attributes is not None:
            with_own = zip(attributes, run.attributes, strict=True)
            attributes = [_joined(mine, own) for mine, own in with_own]
        for i, allowance in parked.items():
            attributes[i] = allowance.parked(attributes[i])
        channels: list[Any] = [target.channel for target in targets]
        return Run(
            run.qos, channels, run.payloads, run.packet_ids, run.event, run.ids, attributes,
            retained=run.retained,
        )  # fmt: skip

    def _limit(self, run: Run[Any]) -> tuple[dict[int, Allowance], set[int]]:
        """The messages to be parked, and those to be left out, which are counted.

        The connection is that of all units, so it is not slowed down for one: that is parked.
        """
        found: dict[Allowance, list[int]] = {}
        for i, target in enumerate(run.targets):
            if target.allowance is not None and target.allowance.limited:
                found.setdefault(target.allowance, []).append(i)
        parked: dict[int, Allowance] = {}
        dropped: set[int] = set()
        for allowance, index in found.items():
            verdict = allowance.decide([len(run.payloads[i]) for i in index], shared=True)
            if verdict is None:
                continue
            over = index[verdict.passed :]
            if verdict.over is Over.PARK:
                parked.update(dict.fromkeys(over, allowance))
            else:
                dropped.update(over)
        if dropped:
            self.left_out[OVER_LIMIT] += len(dropped)
        return parked, dropped

    def _note_sent(self, run: Run[Any]) -> None:
        """Count what units sent; told to their load once a second, which costs less."""
        if not self._sent:
            asyncio.get_running_loop().call_later(_TELL_EVERY, self._tell_sent)
        self._sent.update(run.targets)
        self._sent_bytes += sum(map(len, run.payloads))

    def _tell_sent(self) -> None:
        """Count the load of units; their bytes are those of an average message of the second.

        Of ten thousand units most send each second, so no object of theirs is asked.
        """
        sent, self._sent = self._sent, Counter()
        size = self._sent_bytes / max(1, sent.total())
        self._sent_bytes = 0
        units = [target.sender for target in sent if target.sender is not None]
        if not units:
            return
        counts = [count for target, count in sent.items() if target.sender is not None]
        self._limits.load.count_units(units, counts, [count * size for count in counts])
        self._seen([uuid for _, uuid in units])

    def report(self) -> dict[str, Any]:
        """What was not stored since the start, for admins: with topics."""
        examples = [{"topic": topic, "reason": why} for topic, why in self.examples.items()]
        return {"not_stored": dict(sorted(self.left_out.items())), "examples": examples[::-1]}


def metrics(senders: Iterable[UnitSenders]) -> Iterator[Sample]:
    """What sources have not stored."""
    for one in senders:
        for reason in (UNKNOWN, BLOCKED, NO_UNIT, OVER_LIMIT):
            yield NOT_STORED(one.left_out[reason], one.name, reason)


def _joined(mine: Attributes | None, own: Attributes | None) -> Attributes | None:
    """What a message said of itself, by the principal that it is of."""
    if own is None or mine is None:
        return mine
    return own._replace(principal=mine.principal, decisions=(*mine.decisions, *own.decisions))
