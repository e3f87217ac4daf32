"""Makes one offer of the messages of one read, and waits until it is durable.

read ──> Pulled ──topic, size, limits──> Columns ──> Intake ──> durable: the position may move on
    └──> Unreadable ──> Intake.refusals, a dead letter: the queue would deliver it again for ever
"""

import asyncio
from collections.abc import Sequence
from math import inf
from typing import TYPE_CHECKING

from lakebed.ingest.keys import sent_key
from lakebed.ingest.offers import Columns
from lakebed.ports.catalog.refusals import Refusal
from lakebed.sources.pulling.messages import Pulled, Unreadable
from lakebed.sources.pulling.stats import Stats
from lakebed.vocabulary.attributes import Attributes, Coded
from lakebed.vocabulary.errors import Denied
from lakebed.vocabulary.limits import Over
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.sparse import Sparse
from lakebed.vocabulary.times import UNSET, now
from lakebed.vocabulary.topics import check_topic

if TYPE_CHECKING:
    from lakebed.ingest.intake import Intake

_REMEMBERED = 50_000  # channels
_LETTER = 64 * 2**10  # bytes of a refused message that a dead letter holds
_LONGEST_WAIT = 60.0  # seconds


class Taker:
    """Takes what one source reads. Event loop only.

    Args:
        name: of the source.
        longest: bytes of a payload.
    """

    def __init__(
        self, intake: "Intake", owner: str, name: str, address: str, longest: int, stats: Stats
    ) -> None:
        self.stats = stats
        self._intake = intake
        self._owner = owner
        self._name = name
        self._address = address
        self._longest = longest
        self._allowance = intake.limits.of_owner(owner)
        self._channels: dict[str, Channel] = {}

    async def take(self, read: Sequence[Pulled | Unreadable], content_type: str = "") -> None:
        """Return when every message is durable or put aside, and the owner's limits let it go on.

        Raises:
            Unavailable: the process stops; nothing may be acknowledged.
        """
        self.stats.received += len(read)
        messages: list[tuple[Channel, Pulled]] = []
        for one in read:
            if isinstance(one, Unreadable):
                self._refuse(one.raw, one.topic, "bad_request", one.text)
            elif (channel := self._channel(one)) is not None:
                messages.append((channel, one))
        if not messages:
            return
        parked, wait = len(messages), 0.0
        if self._allowance.limited:
            parked, wait = self._limit(messages)
        if messages:
            await self._intake.append(self._columns(messages, parked, content_type), inf)
            self.stats.appends += 1
            self.stats.taken += len(messages)
            self.stats.bytes += sum(len(one.payload) for _, one in messages)
        if wait:
            await asyncio.sleep(min(wait, _LONGEST_WAIT))

    def _channel(self, one: Pulled) -> Channel | None:
        topic, payload = one.topic, one.payload
        channel = self._channels.get(topic)
        if channel is None:
            try:
                check_topic(topic)
                if (over := self._intake.limits.check_topic(self._owner, topic)) is not None:
                    raise Denied(over)
            except ValueError as error:
                self._refuse(payload, topic, "topic_name_invalid", str(error))
                return None
            except Denied as error:
                self._refuse(payload, topic, "not_authorized", str(error))
                return None
            if len(self._channels) >= _REMEMBERED:
                self._channels.clear()
            channel = self._channels[topic] = Channel(self._owner, topic)
        if len(payload) > self._longest:
            text = f"the payload has {len(payload)} bytes, and may have {self._longest}"
            self._refuse(payload, topic, "too_large", text)
            return None
        return channel

    def _limit(self, messages: list[tuple[Channel, Pulled]]) -> tuple[int, float]:
        """Drop what is over a limit; return from where on the rest is parked, and the wait."""
        verdict = self._allowance.decide([len(one.payload) for _, one in messages])
        if verdict is None:
            return len(messages), 0.0
        if verdict.over is Over.PARK:
            return verdict.passed, 0.0
        if verdict.over is Over.SLOW:
            return len(messages), verdict.wait
        for channel, one in messages[verdict.passed :]:
            text = f"{verdict.why} is reached"
            self._refuse(one.payload, channel.topic, "quota_exceeded", text)
        del messages[verdict.passed :]
        return len(messages), verdict.wait

    def _columns(
        self, messages: Sequence[tuple[Channel, Pulled]], parked: int, content_type: str
    ) -> Columns:
        recording = self._intake.recorder.of(self._owner)
        label, count = f"source:{self._name}", len(messages)
        attributes = [
            recording.record(label, content_type, one.properties, key=one.key)
            for _, one in messages
        ]
        for i in range(parked, count):
            attributes[i] = self._allowance.parked(attributes[i])
        events = [one.event for _, one in messages]
        ids = [one.id for _, one in messages]
        given = any(ids)
        keys = [
            sent_key(channel, self._owner, one.id) if one.id else b"" for channel, one in messages
        ]
        sparse = Sparse(
            event=events if events.count(UNSET) < count else None,
            ids=ids if given else None,
            keys=keys if given else None,
            attributes=_coded(attributes),
        )
        channels = [channel for channel, _ in messages]
        return Columns(channels, [one.payload for _, one in messages], now(), sparse)

    def _refuse(self, raw: bytes, topic: str, reason: str, text: str) -> None:
        self.stats.refused[reason] += 1
        door = f"source {self._name}"
        refusal = Refusal(self._owner, door, self._name, self._address, topic, reason, text)
        self._intake.refusals.note(refusal, raw[:_LETTER], len(raw))


def _coded(attributes: Sequence[Attributes | None]) -> Coded[Attributes] | None:
    if not any(attributes):
        return None
    return Coded.of([one or Attributes() for one in attributes])
