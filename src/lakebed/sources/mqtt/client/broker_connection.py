"""One connection to a broker, from CONNECT to its end. `client.py` makes the connections."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import structlog

from lakebed.ports.catalog.refusals import Refusal
from lakebed.sources.mqtt.attributes import describer
from lakebed.sources.mqtt.client.retained import RetainedMessages, retain_handling
from lakebed.sources.mqtt.client.stored_topics import check_stored
from lakebed.sources.mqtt.client.unit_senders import UnitSenders
from lakebed.sources.mqtt.codec.answers import PINGREQ
from lakebed.sources.mqtt.codec.decoder import AT_CLIENT, Control, Decoder
from lakebed.sources.mqtt.codec.handshake import ConnAck, Connect, Disconnect
from lakebed.sources.mqtt.codec.publish import Refused
from lakebed.sources.mqtt.codec.reasons import (
    Reason,
    Refuse,
    malformed,
    reason_name,
    violation,
)
from lakebed.sources.mqtt.codec.stamps import STAMPS, message_properties
from lakebed.sources.mqtt.codec.subscriptions import SubAck, Subscribe, SubscriptionRequest
from lakebed.sources.mqtt.codec.wire import PACKET_ROOM, UINT32_MAXIMUM, V5
from lakebed.sources.mqtt.connection import MqttConnection
from lakebed.sources.mqtt.inbound import InboundPublishes
from lakebed.sources.mqtt.limiting import Limiter
from lakebed.sources.mqtt.read_pause import PauseReason
from lakebed.sources.mqtt.recent import RecentPublishes
from lakebed.sources.mqtt.settings import MqttSource
from lakebed.sources.mqtt.stats import Stats
from lakebed.sources.mqtt.unreleased import Unreleased
from lakebed.vocabulary import times
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.times import SECOND, Micros

if TYPE_CHECKING:
    from lakebed.ingest.intake import Intake
    from lakebed.sources.mqtt.sparkplug.messages import SparkplugMessages

log = structlog.get_logger(__name__)

_UNANSWERED = 2**14  # messages; with one more read of the smallest, still below Receive Maximum
_POLL = 0.005  # seconds between two checks of what is unanswered
_SUBSCRIBE_ID = 1


@dataclass(slots=True)
class ClientSession:
    """Our session at the broker; it outlives a connection.

    Attributes:
        refused: filters that the broker did not grant, with the reason.
        recent: its QoS 1 messages that came in last.
        senders: whose messages come in; None where all belong to the source's owner.
        retained: which retained messages are taken; None where all are.
        sparkplug: reads Sparkplug's messages; None where they are stored as they come.
    """

    source: MqttSource
    client_id: str
    username: str | None
    password: str | None
    payload_maximum: int
    unreleased: Unreleased
    refused: dict[str, str]
    stats: Stats
    senders: UnitSenders | None = None
    retained: RetainedMessages | None = None
    sparkplug: "SparkplugMessages | None" = None
    recent: RecentPublishes = field(default_factory=RecentPublishes)

    @property
    def version(self) -> int:
        return 5 if self.source.version == "5" else 4

    @property
    def packet_maximum(self) -> int:
        """MQTT 5 agrees on it; before, a packet that is too large is skipped."""
        return self.payload_maximum + PACKET_ROOM

    def connect(self) -> Connect:
        source = self.source
        properties: dict[str, Any] = {}
        if self.version == V5:
            properties = {
                "session_expiry_interval": min(source.session_expiry // SECOND, UINT32_MAXIMUM),
                "receive_maximum": source.receive_maximum,
                "maximum_packet_size": self.packet_maximum,
                "topic_alias_maximum": 65535,
            }
        return Connect(
            self.client_id,
            self.version,
            clean_start=False,
            keep_alive=source.keep_alive,
            username=self.username,
            password=self.password.encode() if self.password is not None else None,
            properties=properties,
        )


class BrokerConnection(MqttConnection):
    """Receives messages from a broker.

    Attributes:
        ready: done when subscribed.
        lost: done when the connection has ended, with the reason.
        accepted: when the broker accepted us, on the loop's clock; None before.
        taken_over: the broker ended it because another client has the same identifier.
        closed: the broker closed it without a reason.
    """

    def __init__(
        self,
        intake: "Intake",
        session: ClientSession,
        release: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__()
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = loop.create_future()
        self.lost: asyncio.Future[str] = loop.create_future()
        self._loop = loop
        self._intake = intake
        self._session = session
        self._release = release
        self._reason = ""
        self._heard = loop.time()
        self._keep_alive = session.source.keep_alive
        self._timer: asyncio.TimerHandle | None = None
        self._subscribing: asyncio.Task[None] | None = None
        self.accepted: float | None = None
        self.taken_over = self.closed = False
        senders = session.senders
        stamps = self._stamps = frozenset(session.source.stamps)
        self._decoder: Decoder[Any] = Decoder(
            session.version,
            AT_CLIENT,
            self._channel if senders is None else senders.resolve,
            topics=None if senders is None else senders.topics,
            payload_maximum=session.payload_maximum,
            packet_maximum=session.packet_maximum,
            alias_maximum=65535 if session.version == V5 else 0,
            accept=self._accept,
            stamped=len(stamps) == len(STAMPS),
            tolerant=True,
        )
        allowance = intake.limits.of_owner(session.source.owner)
        self._inbound = InboundPublishes(
            intake,
            session.source.owner,
            session.version,
            session.unreleased,
            self.write,
            session.stats,
            acknowledge_refused=True,
            acknowledge_limited=True,
            recent=session.recent,
            told=self._tell_refused,
            urgent=False,
            senders=session.retained or senders or session.sparkplug,
            limiter=Limiter(allowance, session.stats, None) if senders is None else None,
            hold=partial(self.hold_back, allowance),
        )
        self._recorded = -1
        self._record_anew()

    def _record_anew(self) -> None:
        """Record what policies ask for by now, from the next read on."""
        recorder, session = self._intake.recorder, self._session
        self._recorded = recorder.version
        # the units of a broker belong to many owners
        several = session.senders is not None
        recording = recorder.of_all() if several else recorder.of(session.source.owner)
        name = f"source:{session.source.name}"
        self._inbound.record(recording.record(name), recording)
        self._decoder.record(
            describer(recording, name, self._stamps),
            recording.reads_retain or session.retained is not None,
        )

    def _channel(self, topic: str) -> Channel:
        check_stored(topic, self._intake.limits)
        return Channel(self._session.source.owner, topic)

    def _tell_refused(self, refused: Refused) -> None:
        source = self._session.source
        owner = source.owner if self._session.senders is None else ""
        broker = f"{source.name} ({urlsplit(source.url).hostname})"
        self._intake.refusals.note(
            Refusal(owner, f"source {source.name}", "", broker, refused.topic,
                    reason_name(refused.reason), refused.text),
            refused.payload, refused.size,
        )  # fmt: skip

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._attach(transport)
        self._session.stats.connections += 1
        self.write(self._session.connect().encode())
        self._timer = self._loop.call_later(self._keep_alive / 2, self._ping)

    def data_received(self, data: bytes) -> None:
        self._heard = self._loop.time()
        if self._recorded != self._intake.recorder.version:
            self._record_anew()
        error = self._decode(self._decoder, self._inbound, data)
        if error is not None:
            self._give_up(error.reason, error.text)
        elif self._exceeds_flow_control():
            self.pause_reading(PauseReason.UNANSWERED)
            self._loop.call_later(_POLL, self._read_on)

    def _exceeds_flow_control(self) -> bool:
        """Whether the broker ignores Receive Maximum.

        Mosquitto 2.0 with `max_inflight_messages 0` does.
        """
        return self._inbound.in_flight > _UNANSWERED and self._inbound.pending > 0

    def _read_on(self) -> None:
        if self._exceeds_flow_control() and self._transport is not None:
            self._loop.call_later(_POLL, self._read_on)
        else:
            self.resume_reading(PauseReason.UNANSWERED)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._inbound.close()
        self._stop_sending()
        reason = self._reason or (str(exc) if exc else "the broker closed the connection")
        self.closed = not self._reason
        self._session.stats.disconnects["ended" if self._reason else "closed"] += 1
        if not self.lost.done():
            self.lost.set_result(reason)

    def resume_reading(self, reason: PauseReason) -> None:
        if self._read_pause is not None:
            self._heard = self._loop.time()  # we did not read, so its silence does not count
        super().resume_reading(reason)

    def close(self, reason: str) -> None:
        """Disconnect after the acks that are due; the broker keeps the session."""
        self._finish(reason, Disconnect().encode(self._session.version))

    def _finish(
        self, reason: str, last_packet: bytes = b"", *, peer_finished: bool = False
    ) -> None:
        """Decode nothing more, acknowledge what is durable, then close."""
        if self._transport is None or self._graceful_close is not None:
            return
        self._reason = reason
        self._stop_sending()
        self._close_gracefully(self._inbound, last_packet, peer_finished=peer_finished)

    def _stop_sending(self) -> None:
        """Stop pings and the subscribing task."""
        if self._timer is not None:
            self._timer.cancel()
        if self._subscribing is not None:
            self._subscribing.cancel()

    def _give_up(self, reason: Reason, text: str) -> None:
        self._finish(text, Disconnect(reason).encode(V5) if self._session.version == V5 else b"")

    def _accept(self, payload: bytes, found: Mapping[str, Any]) -> tuple[Micros, str]:
        """Read a message's properties, and ignore invalid ones: the sender cannot be told."""
        try:
            return message_properties(payload, found, self._stamps)
        except Refuse as refuse:
            self._session.stats.refused[f"property_{reason_name(refuse.reason)}"] += 1
            return times.UNSET, ""

    def _control(self, packet: Control) -> None:
        if isinstance(packet, ConnAck):
            self._handle_connack(packet)
        elif isinstance(packet, SubAck):
            self._handle_suback(packet)
        elif isinstance(packet, Disconnect):
            self.taken_over = packet.reason == Reason.SESSION_TAKEN_OVER
            self._finish(f"the broker ended it: {reason_name(packet.reason)}", peer_finished=True)

    def _handle_connack(self, packet: ConnAck) -> None:
        if self.accepted is not None:
            raise violation("a second CONNACK")
        if packet.reason:
            name = reason_name(packet.reason) if packet.reason >= 0x80 else str(packet.reason)
            text = packet.properties.get("reason_string", "")
            self._finish(f"the broker refused us: {name} {text}".rstrip())
            return
        self.accepted = self._loop.time()
        self._keep_alive = packet.properties.get("server_keep_alive", self._keep_alive)
        subscribe = self._subscribe_again(clean=not packet.session_present)
        self._subscribing = self._loop.create_task(subscribe, name="mqtt-subscribe")

    async def _subscribe_again(self, clean: bool) -> None:
        """Subscribe, even if the broker has our session.

        A broker without the session may reuse packet ids, so ours are released first. One that has
        it may lack parts of it: a restarted Mosquitto has no shared subscriptions any more.
        """
        if clean:
            self._session.recent.clear()
            await self._release()
        self.subscribe()

    def subscribe(self) -> None:
        """Send the subscriptions, whether the broker has them or not."""
        source = self._session.source
        handling = retain_handling(source) if self._session.version == V5 else 0
        requests = tuple(
            SubscriptionRequest(topic, source.qos, retain_handling=handling)
            for topic in source.topics
        )
        self.write(Subscribe(_SUBSCRIBE_ID, requests).encode(self._session.version))

    def _handle_suback(self, packet: SubAck) -> None:
        topics = self._session.source.topics
        if len(packet.reasons) != len(topics):
            raise malformed("a SUBACK that does not fit its SUBSCRIBE")
        self._session.refused = {
            topic: reason_name(reason)
            for topic, reason in zip(topics, packet.reasons, strict=True)
            if reason >= 0x80
        }
        if self._session.refused:
            log.error("subscriptions refused", source=self._session.source.name,
                      topics=self._session.refused)  # fmt: skip
        self._set_ready()

    def _set_ready(self) -> None:
        if not self.ready.done():
            self.ready.set_result(None)

    def _ping(self) -> None:
        """Ping twice per keep-alive; abort when the broker is silent for 1.5 of them."""
        if self._transport is None or not self._keep_alive:
            return
        ours = (
            self._read_pause is not None
            and PauseReason.INTAKE | PauseReason.UNANSWERED | PauseReason.LIMIT in self._read_pause
        )
        if not ours and self._loop.time() - self._heard > 1.5 * self._keep_alive:
            self._reason = f"nothing heard for {1.5 * self._keep_alive:g} s"
            self._transport.abort()
            return
        if self.accepted is not None:
            self.write(PINGREQ)
        self._timer = self._loop.call_later(self._keep_alive / 2, self._ping)
