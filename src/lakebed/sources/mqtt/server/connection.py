"""One device's connection to the endpoint.

first bytes ──> CONNECT ──> identify ──> session ──> CONNACK
later bytes ──> Decoder ──> InboundPublishes ──> Intake          (the hot path: two calls per read)
                    └────> the other packets, one by one
"""

import asyncio
import secrets
import socket
from collections.abc import Callable
from typing import Any, cast

import structlog

from lakebed.access.actions import Action
from lakebed.access.decision import Resource, allow
from lakebed.access.principals import Principal
from lakebed.sources.mqtt.codec.answers import PINGRESP, Ping
from lakebed.sources.mqtt.codec.decoder import AT_SERVER, Control, Decoder
from lakebed.sources.mqtt.codec.handshake import (
    ConnAck,
    Connect,
    Disconnect,
    UnknownVersion,
    Will,
    take_connect,
)
from lakebed.sources.mqtt.codec.reasons import (
    ProtocolError,
    Reason,
    Refuse,
    malformed,
    reason_name,
    violation,
)
from lakebed.sources.mqtt.codec.subscriptions import SubAck, Subscribe, UnsubAck, Unsubscribe
from lakebed.sources.mqtt.codec.wire import PACKET_ROOM, UINT32_MAXIMUM, V3, V5
from lakebed.sources.mqtt.ending import Ending
from lakebed.sources.mqtt.inbound import InboundPublishes
from lakebed.sources.mqtt.read_pause import Hold, Holding
from lakebed.sources.mqtt.server.admission import admitted, connack, session_expiry
from lakebed.sources.mqtt.server.listening import Listening
from lakebed.sources.mqtt.server.sessions import Session
from lakebed.sources.mqtt.server.shared import Shared
from lakebed.vocabulary import times
from lakebed.vocabulary.errors import Unavailable
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.times import SECOND
from lakebed.vocabulary.topics import check_topic

log = structlog.get_logger(__name__)

WRITE_BUFFER = 2**18
"""Bytes waiting to be sent at which a peer counts as a slow reader."""

RECHECK = 30.0
"""Seconds after which a token is looked up again, so that a revoked one ends its connections."""


class Connection(asyncio.Protocol):
    """Speaks MQTT with one client from connect to close."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._transport: asyncio.Transport | None = None
        self._greeting = bytearray()
        self._connect: Connect | None = None
        self._decoder: Decoder[Channel] | None = None
        self._single: Callable[[bytes], int]  # with the decoder
        self._inbound: InboundPublishes | None = None
        self._principal: Principal | None = None
        self._session: Session | None = None
        self._listening: Listening | None = None
        self._will: Will | None = None
        self._holding: Holding | None = None
        self._ending: Ending | None = None
        self._ended = False
        self._token = ""
        self._recheck_at = float("inf")
        self._patience = shared.settings.mqtt.connect_timeout / SECOND
        self.heard = shared.clock

    # --- the transport calls --------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        shared = self._shared
        self._transport = cast(asyncio.Transport, transport)
        self._holding = Holding(self._transport)
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER)
        if not shared.open or not shared.make_room():
            self._cut("too_many_connections" if shared.open else "stopping")
            return
        shared.stats.connections += 1
        shared.connections[self] = None
        if (raw := transport.get_extra_info("socket")) is not None:
            # finds peers that are gone where no MQTT keep-alive was agreed
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self.heard = shared.clock
        if not shared.intake.is_open:
            # uvloop starts to read after this call, whatever it asks for
            asyncio.get_running_loop().call_soon(self._hold_if_shut)

    def _hold_if_shut(self) -> None:
        if not self._shared.intake.is_open:
            self.hold(Hold.INTAKE)

    def data_received(self, data: bytes) -> None:
        self.heard = self._shared.clock
        decoder, reception = self._decoder, self._inbound
        if decoder is None or reception is None:
            self._greet(data)
            return
        error = None
        try:
            if not decoder.have and (count := self._single(data)):
                reception.took_one(count, times.now())
                return
            decoder.feed(data)
        except ProtocolError as broken:
            error = broken
        try:
            for packet in reception.take(decoder.events(), times.now()):
                self._control(packet)
        except ProtocolError as broken:
            error = broken  # it stands earlier in the stream
        if error is not None:
            self.end(error.reason, error.text)

    def eof_received(self) -> bool:
        """A client that says no more may still read; with TLS there is no half-close."""
        if not self.pending or self._transport is None or not self._transport.can_write_eof():
            return False
        self._finish("closed", heard_all=True)
        return True

    def pause_writing(self) -> None:
        self.hold(Hold.WRITING)

    def resume_writing(self) -> None:
        self.release(Hold.WRITING)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._inbound is not None:
            self._inbound.close()
        self._detach()
        if not self._ended:
            self._count("closed")
        self._shared.forget(self)

    # --- reading is held and released ------------------------------------------------------------

    def hold(self, why: Hold) -> None:
        if self._holding is not None:
            self._holding.hold(why)

    def release(self, why: Hold) -> None:
        if self._holding is None:
            return
        if why in self._holding and why is not Hold.WRITING:
            self.heard = self._shared.clock  # its silence was our doing
        self._holding.release(why)

    def check_alive(self, clock: float) -> None:
        """Section 3.1.2.10: one and a half times the keep-alive without a packet is the end."""
        if clock >= self._recheck_at and not self._ended:
            self._recheck_at = clock + RECHECK
            self._shared.keep(self._recheck())
        silent = clock - self.heard
        if not self._patience or silent <= self._patience:
            return
        if self._holding is not None and Hold.INTAKE in self._holding:
            return
        if self._ended:
            return
        if self._decoder is None:
            self._cut("connect_timeout")
        else:
            self.end(Reason.KEEP_ALIVE_TIMEOUT, f"nothing heard for {silent:.1f} s")

    async def _recheck(self) -> None:
        """A token that was revoked, or now allows other things, does not go on as it was."""
        try:
            principal = await self._shared.identification.identify(self._token)
        except Unavailable:
            return  # nobody is sent away because the catalog rests
        if principal != self._principal and not self._ended:
            self._will = None
            self.end(Reason.NOT_AUTHORIZED, "the token was revoked or changed")

    # --- how it begins ---------------------------------------------------------------------------

    def _greet(self, data: bytes) -> None:
        self._greeting += data
        if self._connect is not None or self._ended:
            return
        try:
            taken = take_connect(bytes(self._greeting))
        except ProtocolError as error:
            self._refuse_broken(error)
            return
        if taken is None:
            return
        self._connect, length = taken
        del self._greeting[:length]
        self.hold(Hold.GREETING)
        self._shared.keep(self._let_in(self._connect))

    def _refuse_broken(self, error: ProtocolError) -> None:
        """Only a version that is not ours gets an answer that its sender understands."""
        answer = b""
        if isinstance(error, UnknownVersion):
            answer = ConnAck(reason=error.reason).encode(V3 if error.version < V5 else V5)
        log.debug("mqtt connect refused", error=error.text)
        self._finish(reason_name(error.reason), answer)

    async def _let_in(self, connect: Connect) -> None:
        shared = self._shared
        try:
            self._principal, self._token = await admitted(
                shared.identification, shared.settings, connect
            )
            assigned = "" if connect.client_id else f"lakebed-{secrets.token_hex(8)}"
            key = self._principal.owner, connect.client_id or assigned
            async with shared.sessions.lock(key):
                await self._join(connect, key, assigned)
        except Refuse as refuse:
            properties = {"reason_string": refuse.text} if connect.version == V5 else {}
            answer = ConnAck(False, refuse.reason, properties).encode(connect.version)
            shared.stats.refused[f"connect_{reason_name(refuse.reason)}"] += 1
            self._finish(reason_name(refuse.reason), answer)
        except Exception:
            log.exception("mqtt connect failed", client=connect.client_id)
            if not self._ended:
                self._cut("error")

    async def _join(self, connect: Connect, key: tuple[str, str], assigned: str) -> None:
        assert self._principal is not None
        shared, mqtt = self._shared, self._shared.settings.mqtt
        session, present = await shared.sessions.begin(key, connect.clean_start)
        session.expiry = session_expiry(shared.settings, connect)
        if self._transport is None or self._ended:
            shared.sessions.leave(session, None)
            return
        self._session = session
        session.connection = self
        self._will = connect.will
        self._patience = 1.5 * connect.keep_alive
        self._recheck_at = shared.clock + RECHECK
        five = connect.version == V5
        self._inbound = InboundPublishes(
            shared.intake,
            key[0],
            connect.version,
            session.unreleased,
            self.write,
            shared.stats,
            in_flight_maximum=mqtt.receive_maximum,
            explain=bool(connect.properties.get("request_problem_information", 1)),
        )
        self._decoder = Decoder(
            connect.version,
            AT_SERVER,
            self._resolve,
            payload_maximum=shared.settings.limits.payload,
            packet_maximum=shared.settings.limits.payload + PACKET_ROOM,
            alias_maximum=mqtt.topic_alias_maximum if five else 0,
            topics=shared.topics_of(self._principal),
        )
        singles = shared.intake.singles
        self._single = self._decoder.single(singles.channels, singles.payloads, singles.marks)
        granted = connack(shared.settings, connect, present, assigned, session.expiry)
        self.write(granted.encode(connect.version))
        self._listen(connect)
        greeting, self._greeting = bytes(self._greeting), bytearray()
        if greeting:
            self.data_received(greeting)
        self.release(Hold.GREETING)

    def _listen(self, connect: Connect) -> None:
        """The live feed, with what a kept session had subscribed to."""
        assert self._principal is not None
        assert self._session is not None
        assert self._transport is not None
        self._listening = Listening(
            self._shared.feed,
            self._principal,
            self._session.grants,
            self._transport,
            self._shared.stats,
            connect.version,
            connect.properties.get("maximum_packet_size", UINT32_MAXIMUM),
        )

    # --- what it says ----------------------------------------------------------------------------

    def _resolve(self, topic: str) -> Channel:
        """Decide once for each distinct topic of this principal."""
        assert self._principal is not None
        try:
            check_topic(topic)
        except ValueError as error:
            raise Refuse(Reason.TOPIC_NAME_INVALID, str(error)) from None
        owner = self._principal.owner
        if not allow(self._principal, Action.MESSAGES_PUBLISH, Resource(owner, (topic,))):
            raise Refuse(Reason.NOT_AUTHORIZED, f"you may not publish to {topic[:200]!r}")
        return Channel(owner, topic)

    def _control(self, packet: Control) -> None:
        listening = self._listening
        if self._ended or listening is None:
            return
        if isinstance(packet, Ping):
            self.write(PINGRESP)
        elif isinstance(packet, Subscribe):
            reasons = listening.subscribe(packet)
            self.write(SubAck(packet.packet_id, reasons).encode(listening.version))
        elif isinstance(packet, Unsubscribe):
            reasons = listening.unsubscribe(packet.filters)
            self.write(UnsubAck(packet.packet_id, reasons).encode(listening.version))
        elif isinstance(packet, Disconnect):
            self._goodbye(packet)
        else:
            raise violation("extended authentication was not agreed")

    def _goodbye(self, packet: Disconnect) -> None:
        """Section 3.14: the client ends it; only a normal end takes the will back."""
        assert self._session is not None
        if packet.reason not in (0, Reason.DISCONNECT_WITH_WILL) and packet.reason < 0x80:
            raise malformed(f"DISCONNECT with reason {packet.reason:#04x}")
        if not packet.reason:
            self._will = None
        asked = packet.properties.get("session_expiry_interval")
        if asked is not None:
            if asked and not self._session.expiry:
                raise violation("a session that should end now cannot be kept after all")
            longest = self._shared.settings.mqtt.session_expiry / SECOND
            self._session.expiry = min(asked, longest)
        self._finish("normal" if not packet.reason else reason_name(packet.reason), heard_all=True)

    # --- how it ends -----------------------------------------------------------------------------

    def end(self, reason: Reason, text: str) -> None:
        """End it from our side: acks that are due, DISCONNECT with the reason in MQTT 5."""
        if self._ended:
            return
        log.debug("mqtt connection ended", reason=reason.name, text=text, client=self.client_id)
        goodbye = b""
        if self._decoder is not None and self._connect is not None and self._connect.version == V5:
            goodbye = Disconnect(reason, self._explained(text)).encode(V5)
        self._finish(reason_name(reason), goodbye)

    def take_over(self, clean: bool) -> None:
        """Section 3.1.4: another connection has this client identifier now."""
        self._session = None  # it belongs to the other one
        will = self._will
        if will is not None and (clean or not will.properties.get("will_delay_interval")):
            assert self._principal is not None
            self._shared.sessions.publish(self._principal.owner, will)
        self._will = None
        self.end(Reason.SESSION_TAKEN_OVER, "another connection uses this client identifier")

    @property
    def client_id(self) -> str:
        return self._connect.client_id if self._connect is not None else ""

    @property
    def pending(self) -> int:
        """Offers of which the intake has not yet said that they are durable."""
        return self._inbound.pending if self._inbound is not None else 0

    @property
    def waiting(self) -> bool:
        """Whether it ends, and the journal has yet to answer."""
        return self._ending is not None and self._ending.waiting

    def stop_waiting(self) -> None:
        """Where it ends: acks still due are dropped."""
        if self._ending is not None:
            self._ending.stop_waiting()

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _explained(self, text: str) -> dict[str, Any]:
        assert self._connect is not None
        wanted = self._connect.properties.get("request_problem_information", 1)
        return {"reason_string": text[:512]} if wanted else {}

    def _finish(self, counted: str, last_words: bytes = b"", *, heard_all: bool = False) -> None:
        """Decode nothing more; the session is free for the client's next connection."""
        if self._ended or self._transport is None:
            return
        self._count(counted)
        self._shared.ending[self] = None
        self._holding = None
        self._ending = Ending(
            self._transport, self._inbound, last_words, self.connection_lost, heard_all=heard_all
        )
        self._detach()

    def _cut(self, counted: str) -> None:
        """End it at once: nothing was said that could be answered."""
        self._count(counted)
        self.abort()

    def _count(self, reason: str) -> None:
        self._ended = True
        self._shared.stats.disconnects[reason] += 1

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _detach(self) -> None:
        """Let go of session and feed."""
        if self._listening is not None:
            self._listening.close()
            self._listening = None
        if self._session is not None:
            session, self._session = self._session, None
            will, self._will = self._will, None
            self._shared.sessions.leave(session, will)
