"""One connection to a broker, from CONNECT to its end; `client.py` makes one after another."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import structlog

from lakebed.sources.mqtt.codec.answers import PINGREQ
from lakebed.sources.mqtt.codec.decoder import AT_CLIENT, Control, Decoder, message_properties
from lakebed.sources.mqtt.codec.handshake import ConnAck, Connect, Disconnect
from lakebed.sources.mqtt.codec.reasons import (
    ProtocolError,
    Reason,
    Refuse,
    malformed,
    reason_name,
    violation,
)
from lakebed.sources.mqtt.codec.subscriptions import SubAck, Subscribe, Wish
from lakebed.sources.mqtt.codec.wire import PACKET_ROOM, UINT32_MAXIMUM, V5, VARINT_MAXIMUM
from lakebed.sources.mqtt.ending import Ending
from lakebed.sources.mqtt.inbound import InboundPublishes, Unreleased
from lakebed.sources.mqtt.read_pause import Hold, Holding
from lakebed.sources.mqtt.settings import MqttSource
from lakebed.sources.mqtt.stats import Stats
from lakebed.vocabulary import times
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.times import SECOND, Micros

if TYPE_CHECKING:
    from lakebed.ingest.intake import Intake

log = structlog.get_logger(__name__)

_UNANSWERED = 2**14  # messages; one read more of the smallest are still less than Receive Maximum
_LOOK = 0.005  # seconds between two looks at what is unanswered
_SUBSCRIBE_ID = 1
_IF_NEW = 1  # retain handling: retained messages only with a new subscription (section 3.8.3.1)


@dataclass(slots=True)
class ClientSession:
    """What outlives one link: who we are at the broker and what we have not released.

    Attributes:
        subscribed: the broker has our subscriptions, as far as its session remembers.
        refused: filters that the broker did not grant, with the reason.
    """

    source: MqttSource
    username: str | None
    password: str | None
    payload_maximum: int
    unreleased: Unreleased
    subscribed: bool
    refused: dict[str, str]
    stats: Stats

    @property
    def version(self) -> int:
        return 5 if self.source.version == "5" else 4

    @property
    def packet_maximum(self) -> int:
        """In 3.1.1 we cannot tell the broker ours: it has to be read whole to be let go."""
        return self.payload_maximum + PACKET_ROOM if self.version == V5 else VARINT_MAXIMUM

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
            source.client_id or f"lakebed-{source.name}",
            self.version,
            clean_start=False,
            keep_alive=source.keep_alive,
            username=self.username,
            password=self.password.encode() if self.password is not None else None,
            properties=properties,
        )


class BrokerConnection(asyncio.Protocol):
    """`ready` is done when subscribed, `lost` when the connection has ended, with the reason."""

    def __init__(
        self,
        intake: "Intake",
        session: ClientSession,
        release: Callable[[], Awaitable[None]],
    ) -> None:
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = loop.create_future()
        self.lost: asyncio.Future[str] = loop.create_future()
        self._loop = loop
        self._intake = intake
        self._member = session
        self._release = release
        self._transport: asyncio.Transport | None = None
        self._holding: Holding | None = None
        self._ending: Ending | None = None
        self._reason = ""
        self._heard = loop.time()
        self._keep_alive = session.source.keep_alive
        self._timer: asyncio.TimerHandle | None = None
        self._subscribing: asyncio.Task[None] | None = None
        self._joined = False
        self._decoder: Decoder[Channel] = Decoder(
            session.version,
            AT_CLIENT,
            lambda topic: Channel(session.source.owner, topic),
            payload_maximum=session.payload_maximum,
            packet_maximum=session.packet_maximum,
            alias_maximum=65535 if session.version == V5 else 0,
            accept=self._accept,
        )
        self._inbound = InboundPublishes(
            intake,
            session.source.owner,
            session.version,
            session.unreleased,
            self._write,
            session.stats,
            forgiving=True,
            urgent=False,
        )

    @property
    def waiting(self) -> bool:
        """Whether it ends, and the journal has yet to answer."""
        return self._ending is not None and self._ending.waiting

    def stop_waiting(self) -> None:
        """Where it ends: acks still due are dropped."""
        if self._ending is not None:
            self._ending.stop_waiting()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._holding = Holding(self._transport)
        self._member.stats.connections += 1
        self._write(self._member.connect().encode())
        self._timer = self._loop.call_later(self._keep_alive / 2, self._ping)

    def data_received(self, data: bytes) -> None:
        self._heard = self._loop.time()
        error = None
        try:
            self._decoder.feed(data)
        except ProtocolError as broken:
            error = broken
        try:
            for packet in self._inbound.take(self._decoder.events(), times.now()):
                self._control(packet)
        except ProtocolError as broken:
            error = broken  # it stands earlier in the stream
        if error is not None:
            self._give_up(error.reason, error.text)
        elif self._floods():
            self.hold(Hold.UNANSWERED)
            self._loop.call_later(_LOOK, self._read_on)

    def _floods(self) -> bool:
        """Mosquitto 2.0 with `max_inflight_messages 0` sends what it has, past every maximum."""
        return self._inbound.in_flight > _UNANSWERED and self._inbound.pending > 0

    def _read_on(self) -> None:
        if self._floods() and self._transport is not None:
            self._loop.call_later(_LOOK, self._read_on)
        else:
            self.release(Hold.UNANSWERED)

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        self.hold(Hold.WRITING)

    def resume_writing(self) -> None:
        self.release(Hold.WRITING)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._inbound.close()
        self._say_nothing()
        reason = self._reason or (str(exc) if exc else "the broker closed the connection")
        self._member.stats.disconnects["ended" if self._reason else "closed"] += 1
        if not self.lost.done():
            self.lost.set_result(reason)

    def hold(self, why: Hold) -> None:
        if self._holding is not None:
            self._holding.hold(why)

    def release(self, why: Hold) -> None:
        if self._holding is not None:
            self._heard = self._loop.time()  # the broker's silence was our doing
            self._holding.release(why)

    def close(self, reason: str) -> None:
        """End it in good order; the broker keeps the session."""
        self._finish(reason, Disconnect().encode(self._member.version))

    def _finish(self, reason: str, last_words: bytes = b"", *, heard_all: bool = False) -> None:
        """Decode nothing more; what is durable is acknowledged, then it ends."""
        if self._transport is None or self._ending is not None:
            return
        self._reason = reason
        self._holding = None
        self._say_nothing()
        self._ending = Ending(
            self._transport, self._inbound, last_words, self.connection_lost, heard_all=heard_all
        )

    def _say_nothing(self) -> None:
        """Neither pings nor subscriptions."""
        if self._timer is not None:
            self._timer.cancel()
        if self._subscribing is not None:
            self._subscribing.cancel()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _give_up(self, reason: Reason, text: str) -> None:
        self._finish(text, Disconnect(reason).encode(V5) if self._member.version == V5 else b"")

    def _accept(self, payload: bytes, found: Mapping[str, Any]) -> tuple[Micros, str]:
        """Its sender hears nothing from us: take it without the property that is wrong."""
        try:
            return message_properties(payload, found)
        except Refuse as refuse:
            self._member.stats.refused[f"property_{reason_name(refuse.reason)}"] += 1
            return times.UNSET, ""

    def _control(self, packet: Control) -> None:
        if isinstance(packet, ConnAck):
            self._answered(packet)
        elif isinstance(packet, SubAck):
            self._subscribed(packet)
        elif isinstance(packet, Disconnect):
            self._finish(f"the broker ended it: {reason_name(packet.reason)}", heard_all=True)

    def _answered(self, packet: ConnAck) -> None:
        if self._joined:
            raise violation("a second CONNACK")
        if packet.reason:
            name = reason_name(packet.reason) if packet.reason >= 0x80 else str(packet.reason)
            text = packet.properties.get("reason_string", "")
            self._finish(f"the broker refused us: {name} {text}".rstrip())
            return
        self._joined = True
        self._keep_alive = packet.properties.get("server_keep_alive", self._keep_alive)
        if not packet.session_present:
            self._member.subscribed = False
        if self._member.subscribed:
            self._set_ready()
            return
        subscribe = self._subscribe(clean=not packet.session_present)
        self._subscribing = self._loop.create_task(subscribe, name="mqtt-subscribe")

    async def _subscribe(self, clean: bool) -> None:
        """A broker that knows no session may use any packet identifier anew: release ours first."""
        if clean:
            await self._release()
        source = self._member.source
        wishes = tuple(
            Wish(topic, source.qos, retain_handling=_IF_NEW if self._member.version == V5 else 0)
            for topic in source.topics
        )
        self._write(Subscribe(_SUBSCRIBE_ID, wishes).encode(self._member.version))

    def _subscribed(self, packet: SubAck) -> None:
        topics = self._member.source.topics
        if len(packet.reasons) != len(topics):
            raise malformed("a SUBACK that does not fit its SUBSCRIBE")
        self._member.refused = {
            topic: reason_name(reason)
            for topic, reason in zip(topics, packet.reasons, strict=True)
            if reason >= 0x80
        }
        if self._member.refused:
            log.error("subscriptions refused", source=self._member.source.name,
                      topics=self._member.refused)  # fmt: skip
        # What was refused is asked for again with the next connection.
        self._member.subscribed = not self._member.refused
        self._set_ready()

    def _set_ready(self) -> None:
        if not self.ready.done():
            self.ready.set_result(None)

    def _ping(self) -> None:
        """Twice per keep-alive; a broker silent for one and a half of them is gone."""
        if self._transport is None or not self._keep_alive:
            return
        ours = self._holding is not None and Hold.INTAKE | Hold.UNANSWERED in self._holding
        if not ours and self._loop.time() - self._heard > 1.5 * self._keep_alive:
            self._reason = f"nothing heard for {1.5 * self._keep_alive:g} s"
            self._transport.abort()
            return
        if self._joined:
            self._write(PINGREQ)
        self._timer = self._loop.call_later(self._keep_alive / 2, self._ping)

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)
