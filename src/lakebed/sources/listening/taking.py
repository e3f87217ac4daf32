"""Makes one offer to the intake of all frames of one read.

frames ──Format.read──> messages ──limits──> Columns ──> Intake
   └── refused: Intake.refusals, with the frame as a dead letter: its sender hears of nothing
"""

from collections.abc import Sequence
from functools import partial
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING

from lakebed.ingest.offers import Columns
from lakebed.limits.allowance import Verdict
from lakebed.ports.catalog.refusals import Refusal
from lakebed.sources.listening.format import Cut, Format, Frame, Message
from lakebed.sources.listening.stats import CUT_OFF, STOPPED, Stats
from lakebed.vocabulary.attributes import Attributes, Coded
from lakebed.vocabulary.errors import Denied, Unavailable
from lakebed.vocabulary.limits import Over
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.sparse import NOTHING, Sparse
from lakebed.vocabulary.times import UNSET, Micros
from lakebed.vocabulary.topics import check_topic

if TYPE_CHECKING:
    from lakebed.ingest.intake import Intake

_REMEMBERED = 10_000  # channels, and addresses

_LETTER = 64 * 2**10  # bytes of a refused frame that a dead letter holds


class Taker:
    """Takes the messages of one listener. Event loop only.

    Args:
        owner: whose they are.
        networks: addresses and networks that may send.
        longest: bytes of a payload.
    """

    def __init__(
        self,
        format: Format,
        intake: "Intake",
        owner: str,
        networks: Sequence[str],
        longest: int,
        stats: Stats,
    ) -> None:
        self.format = format
        self.longest = longest
        self.stats = stats
        self.intake = intake
        self.allowance = intake.limits.of_owner(owner)
        self._owner = owner
        self._networks = [ip_network(one, strict=False) for one in networks]
        self._channels: dict[str, Channel] = {}
        self._admitted: dict[str, bool] = {}
        self._recorded = -1
        self._attributes: Attributes | None = None

    def admits(self, address: str) -> bool:
        """Whether this address may send."""
        found = self._admitted.get(address)
        if found is None:
            if len(self._admitted) >= _REMEMBERED:
                self._admitted.clear()
            found = self._admitted[address] = self._is_within(address)
        return found

    def _is_within(self, address: str) -> bool:
        parsed = ip_address(address.partition("%")[0])
        if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        return any(parsed in network for network in self._networks)

    def turn_away(self, address: str, count: int = 1) -> None:
        """Tell of a connection, or of datagrams, of a foreign network."""
        text = f"{address} is in none of {self.format.name}.networks"
        self._note("", address, "", "not_authorized", text, count=count)

    def take(self, frames: Sequence[tuple[Frame, str]], transport: str, received: Micros) -> float:
        """Offer the messages of frames, each with its sender's address.

        Returns:
            seconds for which nothing more should be read.
        """
        messages: list[tuple[Channel, Message, str]] = []
        for frame, address in frames:
            if isinstance(frame, Cut):
                if frame.reason == CUT_OFF:
                    self.stats.lost[CUT_OFF] += 1
                self._refuse(frame.beginning, address, "", frame.reason, frame.text, frame.size)
                continue
            try:
                message = self.format.read(frame, address, received)
            except ValueError as error:
                self._refuse(frame, address, "", "bad_request", str(error))
                continue
            if (channel := self._channel(message, address)) is not None:
                messages.append((channel, message, address))
        if not messages:
            return 0.0
        parked, wait = len(messages), 0.0
        if self.allowance.limited:
            parked, wait = self._limit(messages, transport)
        self._offer(messages, parked, transport, received)
        return wait

    def _channel(self, message: Message, address: str) -> Channel | None:
        topic, payload = message.topic, message.payload
        channel = self._channels.get(topic)
        if channel is None:
            try:
                check_topic(topic)
                if (over := self.intake.limits.check_topic(self._owner, topic)) is not None:
                    raise Denied(over)
            except ValueError as error:
                self._refuse(payload, address, topic, "topic_name_invalid", str(error))
                return None
            except Denied as error:
                self._refuse(payload, address, topic, "not_authorized", str(error))
                return None
            if len(self._channels) >= _REMEMBERED:
                self._channels.clear()
            channel = self._channels[topic] = Channel(self._owner, topic)
        if len(payload) > self.longest:
            text = f"the payload has {len(payload)} bytes, and may have {self.longest}"
            self._refuse(payload, address, topic, "too_large", text)
            return None
        return channel

    def _limit(
        self, messages: list[tuple[Channel, Message, str]], transport: str
    ) -> tuple[int, float]:
        """Drop what is over a limit; return from where on the rest is parked, and the wait."""
        sizes = [len(message.payload) for _, message, _ in messages]
        verdict = self.allowance.decide(sizes, shared=transport == "udp")
        if verdict is None:
            return len(messages), 0.0
        if verdict.over is Over.PARK:
            return verdict.passed, 0.0
        if verdict.over is Over.SLOW:
            return len(messages), verdict.wait
        self._refuse_over(messages[verdict.passed :], verdict)
        del messages[verdict.passed :]
        return len(messages), 0.0

    def _refuse_over(self, over: Sequence[tuple[Channel, Message, str]], verdict: Verdict) -> None:
        for channel, _, address in over:
            text = f"{verdict.why} is reached"
            self._note(self._owner, address, channel.topic, "quota_exceeded", text)

    def _offer(
        self,
        messages: Sequence[tuple[Channel, Message, str]],
        parked: int,
        transport: str,
        received: Micros,
    ) -> None:
        if not messages:
            return
        count = len(messages)
        recorder = self.intake.recorder
        if self._recorded != recorder.version:
            self._recorded = recorder.version
            self._attributes = recorder.of(self._owner).record(f"source:{self.format.name}")
        channels = [channel for channel, _, _ in messages]
        payloads = [message.payload for _, message, _ in messages]
        events = [message.event for _, message, _ in messages]
        sparse = NOTHING
        if events.count(UNSET) < count:
            sparse = Sparse(event=events)
        if parked < count:
            over = self.allowance.parked(self._attributes)
            each = [self._attributes or Attributes()] * parked + [over] * (count - parked)
            sparse = sparse._replace(attributes=Coded.of(each))
        elif self._attributes is not None:
            sparse = sparse._replace(attributes=Coded.constant(self._attributes, count))
        self.stats.messages[transport] += count
        columns = Columns(channels, payloads, received, sparse)
        self.intake.offer(columns, _nothing, partial(self._lost, count), urgent=False)

    def _lost(self, count: int, reason: Unavailable) -> None:
        self.stats.lost[STOPPED] += count

    def _refuse(
        self, raw: bytes, address: str, topic: str, reason: str, text: str, size: int = 0
    ) -> None:
        self._note(self._owner, address, topic, reason, text, raw[:_LETTER], size or len(raw))

    def _note(
        self, owner: str, address: str, topic: str, reason: str, text: str,
        raw: bytes | None = None, size: int = 0, count: int = 1,
    ) -> None:  # fmt: skip
        self.stats.refused[reason] += count
        refusal = Refusal(owner, self.format.name, "", address, topic, reason, text, count)
        self.intake.refusals.note(refusal, raw, size)


def _nothing() -> None:
    """Nobody is told that a message is durable: the protocol has no acknowledgements."""
