"""Decides which messages that a broker has retained are taken: `retained` of a source.

    RETAIN ──> the broker held it when it got a subscription ──> taken │ left out, acknowledged
    others ──> just published, by whatever flag ──> taken, and remembered as the last of its topic

A broker sets RETAIN in what it sends because of a subscription, and clears it in what it passes on
(MQTT 3.1.1 and 5, section 3.3.1.3). MQTT 5 can ask it to send nothing with a subscription that it
has (retain handling, section 3.8.3.1); 3.1.1 gets everything with each.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from lakebed.ports.metrics import CounterMetric, Sample
from lakebed.sources.mqtt.client.last_messages import LastMessages, checksum
from lakebed.sources.mqtt.codec.publish import Run
from lakebed.sources.mqtt.inbound import Senders
from lakebed.sources.mqtt.settings import MqttSource
from lakebed.vocabulary.messages import Channel

LEFT_OUT = CounterMetric(
    "lakebed_source_retained_left_out_total",
    "Retained messages of brokers that were acknowledged and not taken.",
    ("source",),
)

_HANDLING = {"always": 0, "first": 1, "never": 2}


def retain_handling(source: MqttSource) -> int:
    """What a subscription of MQTT 5 asks for."""
    return _HANDLING[source.retained]


class RetainedMessages:
    """Leaves out retained messages that are not to be taken, before `senders` sort the others.

    Args:
        of: broker and owner.
        path: where the last message of each topic is remembered over a restart.

    Attributes:
        left_out: messages that were acknowledged and not taken.
        last: what came last; None where it is not needed.
    """

    def __init__(
        self, source: MqttSource, of: str, path: Path | None, senders: Senders | None = None
    ) -> None:
        self.left_out = 0
        self.last = LastMessages(of, path) if source.retained == "first" else None
        self._senders = senders
        # the messages of a shared subscription go to any of its members
        self._follows = any(not topic.startswith("$share/") for topic in source.topics)

    def sort(self, run: Run[Any]) -> Run[Channel]:
        """The messages to be stored."""
        if run.retained:
            run = self._without_known(run)
        if self._senders is not None:
            run = self._senders.sort(run)
        if self.last is not None and (self._follows or run.retained):
            self.last.note(run.targets, run.payloads, run.event)
        return run

    def _without_known(self, run: Run[Any]) -> Run[Any]:
        new: list[int] = []
        if self.last is not None:
            self.last.fold()
            here: dict[str, int] = {}  # overlapping filters bring a message more than once
            for place, (target, payload) in enumerate(zip(run.targets, run.payloads, strict=True)):
                topic = _topic(target)
                content = payload if run.event is None else (payload, run.event[place])
                found = checksum(content)
                if topic is None or here.get(topic, self.last.of(topic)) != found:
                    new.append(place)
                if topic is not None:
                    here[topic] = found
        self.left_out += len(run) - len(new)
        return run if len(new) == len(run) else run.only(new)


def metrics(found: "Iterable[tuple[str, RetainedMessages]]") -> Iterator[Sample]:
    """What sources, by name, have left out."""
    for name, one in found:
        yield LEFT_OUT(one.left_out, name)


def _topic(target: Any) -> str | None:
    """The topic of a channel, or of what `UnitSenders` resolved; None: its sender is not known."""
    channel = target if isinstance(target, Channel) else target.channel
    return None if channel is None else channel.topic
