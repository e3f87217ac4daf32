"""One device's connection to the endpoint.

first bytes ──> CONNECT ──> authenticate ──> session ──> CONNACK
later bytes ──> Decoder ──> InboundPublishes ──> Intake          (the hot path: two calls per read)
                    └────> the other packets, one by one
"""

import asyncio
import secrets
import socket
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import structlog

from lakebed.access.actions import Action
from lakebed.access.principals import NOBODY, Principal
from lakebed.ingest.recording import Recording
from lakebed.limits.allowance import Allowance
from lakebed.ports.accounts.audit import AuditEntry
from lakebed.ports.accounts.credentials import CommonName, Credential
from lakebed.ports.catalog.refusals import Refusal
from lakebed.sources.mqtt.attributes import describer
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
from lakebed.sources.mqtt.codec.publish import Refused
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
from lakebed.sources.mqtt.connection import MqttConnection
from lakebed.sources.mqtt.inbound import InboundPublishes
from lakebed.sources.mqtt.limiting import Limiter
from lakebed.sources.mqtt.read_pause import PauseReason
from lakebed.sources.mqtt.server.admission import (
    authenticate,
    check_will,
    connack,
    identify,
    may_go_without_will,
    publishable,
    session_expiry,
    session_key,
    sparkplug_of,
)
from lakebed.sources.mqtt.server.certificates import ClientCertificate, certificate_of
from lakebed.sources.mqtt.server.sessions import Session
from lakebed.sources.mqtt.server.shared import Shared
from lakebed.sources.mqtt.server.subscriptions import Subscriptions
from lakebed.vocabulary import times
from lakebed.vocabulary.errors import Unavailable
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.owner_topics import OF_OTHERS
from lakebed.vocabulary.times import SECOND

log = structlog.get_logger(__name__)

WRITE_BUFFER = 2**18
"""Unsent bytes at which a peer counts as a slow reader."""

RECHECK = 25.0
"""Seconds between two checks of a connection's token: a revoked one ends its connections within
30 s, the age of what is known of the grants included."""

RETRY = 5.0
"""Seconds until the check is made again where the catalog did not answer."""

_DENIED = (Reason.BAD_USER_NAME_OR_PASSWORD, Reason.NOT_AUTHORIZED)


class Connection(MqttConnection):
    """Speaks MQTT with one client from connect to close."""

    def __init__(self, shared: Shared) -> None:
        super().__init__()
        self._shared = shared
        self._connect_buffer = bytearray()
        self._connect: Connect | None = None
        self._decoder: Decoder[Channel] | None = None
        self._single: Callable[[bytes], int]  # with the decoder
        self._inbound: InboundPublishes | None = None
        self._allowance: Allowance | None = None  # with the decoder
        self._principal: Principal | None = None
        self._session: Session | None = None
        self._subscriptions: Subscriptions | None = None
        self._will: Will | None = None
        self._present = ""  # the uuid of the unit that is noted as connected
        self._recorded = -1  # the version of the recorder that the decoder goes by
        self._ended = False
        self._shown: Credential = ""
        self._certificate: ClientCertificate | None = None
        self._recheck_at = float("inf")
        self._read_timeout = shared.settings.mqtt.connect_timeout / SECOND
        self.heard = shared.clock

    # --- the transport calls --------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        shared = self._shared
        self._attach(transport).set_write_buffer_limits(high=WRITE_BUFFER)
        if not shared.open or not shared.admit_one_more():
            self._abort_counted("too_many_connections" if shared.open else "stopping")
            return
        self._certificate = certificate_of(transport)
        raw = transport.get_extra_info("socket")
        if raw is not None and shared.descriptors.refuses(raw.fileno(), "mqtt"):
            self._abort_counted("too_many_files")
            return
        shared.stats.connections += 1
        shared.connections[self] = None
        if raw is not None:
            # detects lost peers where no MQTT keep-alive was agreed
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self.heard = shared.clock
        if not shared.intake.is_open:
            # uvloop starts to read after this call, so a pause made here would be lost
            asyncio.get_running_loop().call_soon(self._hold_if_shut)

    def _hold_if_shut(self) -> None:
        if not self._shared.intake.is_open:
            self.pause_reading(PauseReason.INTAKE)

    def data_received(self, data: bytes) -> None:
        self.heard = self._shared.clock
        decoder, inbound, allowance = self._decoder, self._inbound, self._allowance
        if decoder is None or inbound is None or allowance is None:
            self._read_connect(data)
            return
        error: ProtocolError | None
        try:
            if not (decoder.have or allowance.limited) and (count := self._single(data)):
                inbound.take_single(count, times.now())
                return
        except ProtocolError as broken:
            error = self._take_decoded(decoder, inbound) or broken
        else:
            error = self._decode(decoder, inbound, data)
        if error is not None:
            self.end(error.reason, error.text)

    def eof_received(self) -> bool:
        """Keep the transport for acks that are due: the client may still read, except with TLS."""
        if not self.pending or self._transport is None or not self._transport.can_write_eof():
            return False
        self._finish("closed", peer_finished=True)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._inbound is not None:
            self._inbound.close()
        self._detach()
        if not self._ended:
            self._count("closed")
        self._shared.remove(self)

    # --- reading is paused and resumed -----------------------------------------------------------

    def resume_reading(self, reason: PauseReason) -> None:
        paused = self._read_pause is not None and reason in self._read_pause
        if paused and reason is not PauseReason.WRITING:
            self.heard = self._shared.clock  # we did not read, so its silence does not count
        super().resume_reading(reason)

    def check_alive(self, clock: float) -> None:
        """End a connection after 1.5 times its keep-alive without a packet (section 3.1.2.10)."""
        if clock >= self._recheck_at and not self._ended:
            self._recheck_at = clock + RECHECK
            self._shared.spawn(self._recheck())
        recorder = self._shared.intake.recorder
        if self._recorded != recorder.version and self._principal is not None and self._inbound:
            self._recorded = recorder.version
            self._record(recorder.of_sender(self._principal))
        silent = clock - self.heard
        if not self._read_timeout or silent <= self._read_timeout:
            return
        ours = PauseReason.INTAKE | PauseReason.LIMIT
        if self._read_pause is not None and ours in self._read_pause:
            return
        if self._ended:
            return
        if self._decoder is None:
            self._abort_counted("connect_timeout")
        else:
            self.end(Reason.KEEP_ALIVE_TIMEOUT, f"nothing heard for {silent:.1f} s")

    async def _recheck(self) -> None:
        """End the connection if its token was revoked or its grants changed."""
        try:
            principal = await identify(self._shared.identification, self._shown)
        except Unavailable:  # a catalog that is away ends no connection
            self._recheck_at = min(self._recheck_at, self._shared.clock + RETRY)
            return
        certificate = self._certificate
        expired = (
            isinstance(self._shown, CommonName)
            and certificate is not None
            and certificate.expires <= times.now()
        )
        if (expired or not _may_the_same(principal, self._principal)) and not self._ended:
            self._will = None
            what = "certificate has expired" if expired else "token was revoked or changed"
            self.end(Reason.NOT_AUTHORIZED, f"the {what}")
        elif principal is not None and not self._ended:
            self._adopt(principal)

    def _adopt(self, principal: Principal) -> None:
        """Go on with what others share with the client now."""
        self._principal = principal
        if self._allowance is not None:
            self._allowance.adopt(principal)
        if self._subscriptions is not None:
            self._subscriptions.adopt(principal)

    # --- CONNECT ---------------------------------------------------------------------------------

    def _read_connect(self, data: bytes) -> None:
        self._connect_buffer += data
        if self._connect is not None or self._ended:
            return
        try:
            taken = take_connect(bytes(self._connect_buffer))
        except ProtocolError as error:
            self._refuse_connect(error)
            return
        if taken is None:
            return
        self._connect, length = taken
        del self._connect_buffer[:length]
        self.pause_reading(PauseReason.CONNECTING)
        self._shared.spawn(self._admit(self._connect))

    def _refuse_connect(self, error: ProtocolError) -> None:
        """Close after a broken CONNECT.

        A version that nobody knows gets the CONNACK of 3.1.1, which all clients can read: they fall
        back to another.
        """
        answer = b""
        if isinstance(error, UnknownVersion):
            answer = ConnAck(reason=error.reason).encode(V3)
        log.debug("mqtt connect refused", error=error.text)
        self._finish(reason_name(error.reason), answer)

    async def _admit(self, connect: Connect) -> None:
        shared = self._shared
        try:
            self._principal, self._shown = await authenticate(
                shared.identification, shared.settings, connect, self._certificate
            )
            assigned = "" if connect.client_id else f"lakebed-{secrets.token_hex(8)}"
            self._will = self._admit_will(self._principal, connect)
            key = session_key(self._principal, connect.client_id or assigned)
            async with shared.sessions.lock(key):
                await self._open_session(connect, key, assigned)
        except Refuse as refuse:
            properties = {"reason_string": refuse.text} if connect.version == V5 else {}
            answer = ConnAck(False, refuse.reason, properties).encode(connect.version)
            shared.stats.refused[f"connect_{reason_name(refuse.reason)}"] += 1
            self._tell(refuse)
            if refuse.reason in _DENIED:
                self._audit_refusal()
            self._finish(reason_name(refuse.reason), answer)
        except Exception:
            log.exception("mqtt connect failed", client=connect.client_id)
            if not self._ended:
                self._abort_counted("error")

    def _admit_will(self, principal: Principal, connect: Connect) -> Will | None:
        """The will that will be published, if need be.

        Raises:
            Refuse: it may not be, and the client hears so.
        """
        if connect.will is None:
            return None
        try:
            check_will(principal, self._shared.settings, self._shared.intake.limits, connect.will)
        except Refuse as refuse:
            if not may_go_without_will(self._shared.settings, connect):
                raise
            self._shared.stats.refused[f"will_{reason_name(refuse.reason)}"] += 1
            self._tell(refuse, connect.will.topic)
            return None
        return connect.will

    @property
    def _address(self) -> str:
        peer = self._transport and self._transport.get_extra_info("peername")
        return str(peer[0]) if isinstance(peer, tuple) else ""

    def _tell(self, refuse: Refuse, topic: str = "") -> None:
        """Tell of a CONNECT, or of its will, that was refused."""
        owner = "" if self._principal is None else self._principal.owner
        self._shared.intake.refusals.note(
            Refusal(owner, "mqtt", self.client_id, self._address, topic,
                    reason_name(refuse.reason), refuse.text)
        )  # fmt: skip

    def _tell_refused(self, refused: Refused) -> None:
        """Tell of a message that was refused, and keep it where its sender hears nothing of it."""
        assert self._principal is not None
        assert self._connect is not None
        lost = self._connect.version != V5 and self._shared.settings.mqtt.on_refused == "ack"
        self._shared.intake.refusals.note(
            Refusal(self._principal.owner, "mqtt", self.client_id, self._address, refused.topic,
                    reason_name(refused.reason), refused.text),
            refused.payload if lost and not refused.temporary else None, refused.size,
        )  # fmt: skip

    def _audit_refusal(self) -> None:
        nobody, action = NOBODY.label, Action.CONNECTION_OPEN
        self._shared.audit(
            AuditEntry(times.now(), "", nobody, action, "mqtt", self._address, "denied")
        )

    async def _open_session(self, connect: Connect, key: tuple[str, str], assigned: str) -> None:
        assert self._principal is not None
        shared, mqtt = self._shared, self._shared.settings.mqtt
        session, present = await shared.sessions.begin(key, connect.clean_start)
        session.expiry = session_expiry(shared.settings, connect)
        if self._transport is None or self._ended:
            shared.sessions.leave(session, None)
            return
        self._session = session
        session.connection = self
        self._present = self._principal.unit
        if self._present:
            shared.presence.connected(self._present)
        self._read_timeout = 1.5 * connect.keep_alive
        self._recheck_at = shared.clock + RECHECK
        five = connect.version == V5
        session.principal = self._principal.label
        recording = shared.intake.recorder.of_sender(self._principal)
        self._allowance = allowance = shared.intake.limits.of(self._principal)
        session.limiter = Limiter(allowance, shared.stats, None)
        session.sparkplug = sparkplug_of(
            self._principal, shared.settings, shared.intake.limits, shared.sparkplug
        )
        self._inbound = InboundPublishes(
            shared.intake,
            key[0],
            connect.version,
            session.unreleased,
            self.write,
            shared.stats,
            in_flight_maximum=mqtt.receive_maximum,
            explain=bool(connect.properties.get("request_problem_information", 1)),
            limiter=session.limiter,
            senders=session.sparkplug,
            of_many=False,
            hold=partial(self.hold_back, allowance),
            recent=session.recent if session.expiry else None,
            told=self._tell_refused,
            acknowledge_refused=not five and mqtt.on_refused == "ack",
        )
        self._decoder = Decoder(
            connect.version,
            AT_SERVER,
            partial(publishable, self._principal, shared.intake.limits),
            payload_maximum=shared.settings.limits.payload,
            packet_maximum=shared.settings.limits.payload + PACKET_ROOM,
            alias_maximum=mqtt.topic_alias_maximum if five else 0,
            topics=shared.topics_of(self._principal),
            tolerant=mqtt.on_refused == "ack",
        )
        self._record(recording)
        granted = connack(shared.settings, connect, present, assigned, session.expiry)
        self.write(granted.encode(connect.version))
        self._open_subscriptions(connect)
        behind_connect, self._connect_buffer = bytes(self._connect_buffer), bytearray()
        if behind_connect:
            self.data_received(behind_connect)
        if wait := allowance.wait():
            self.hold_back(allowance, wait)
        self.resume_reading(PauseReason.CONNECTING)

    def _record(self, recording: Recording) -> None:
        """Record this with messages from the next read on."""
        session, decoder, inbound = self._session, self._decoder, self._inbound
        assert session is not None
        assert decoder is not None
        assert inbound is not None
        client = self.client_id
        attributes = recording.record(session.principal, client=client)
        inbound.record(attributes, recording)
        decoder.record(
            describer(recording, session.principal, client=client), recording.reads_retain
        )
        singles = self._shared.intake.singles
        self._single = _not_single
        simple = attributes is None and not recording.reads_flags
        if simple and session.sparkplug is None:
            self._single = decoder.single(singles.channels, singles.payloads, singles.marks)

    def _open_subscriptions(self, connect: Connect) -> None:
        """Connect to the live feed, with the subscriptions of a kept session."""
        assert self._principal is not None
        assert self._session is not None
        assert self._transport is not None
        self._subscriptions = Subscriptions(
            self._shared.feed,
            self._principal,
            self._session.subscriptions,
            self._transport,
            self._shared.stats,
            connect.version,
            connect.properties.get("maximum_packet_size", UINT32_MAXIMUM),
            self._shared.sent,
        )

    # --- packets after CONNECT -------------------------------------------------------------------

    def _control(self, packet: Control) -> None:
        subscriptions = self._subscriptions
        if self._ended or subscriptions is None:
            return
        if isinstance(packet, Ping):
            self.write(PINGRESP)
        elif isinstance(packet, Subscribe):
            if any(request.filter.startswith(OF_OTHERS) for request in packet.requests):
                self._shared.spawn(self._subscribe_to_others(packet))
            else:
                self._subscribe(packet)
        elif isinstance(packet, Unsubscribe):
            reasons = subscriptions.unsubscribe(packet.filters)
            self.write(UnsubAck(packet.packet_id, reasons).encode(subscriptions.version))
        elif isinstance(packet, Disconnect):
            self._handle_disconnect(packet)
        else:
            raise violation("extended authentication was not agreed")

    def _subscribe(self, packet: Subscribe) -> None:
        if self._subscriptions is not None:
            reasons = self._subscriptions.subscribe(packet)
            self.write(SubAck(packet.packet_id, reasons).encode(self._subscriptions.version))

    async def _subscribe_to_others(self, packet: Subscribe) -> None:
        """Subscribe by what others share now, not when the client connected."""
        await self._recheck()
        if not self._ended:
            self._subscribe(packet)

    def _handle_disconnect(self, packet: Disconnect) -> None:
        """End the connection; only reason 0 discards the will (section 3.14)."""
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
        self._finish(
            "normal" if not packet.reason else reason_name(packet.reason), peer_finished=True
        )

    # --- the end ---------------------------------------------------------------------------------

    def end(self, reason: Reason, text: str) -> None:
        """Send the acks that are due and, in MQTT 5, DISCONNECT with the reason; then close."""
        if self._ended:
            return
        log.debug("mqtt connection ended", reason=reason.name, text=text, client=self.client_id)
        packet = b""
        if self._decoder is not None and self._connect is not None and self._connect.version == V5:
            packet = Disconnect(reason, self._explained(text)).encode(V5)
        self._finish(reason_name(reason), packet)

    def take_over(self, clean: bool) -> None:
        """End because another connection has this client identifier now (section 3.1.4)."""
        session, self._session = self._session, None  # it belongs to the other connection
        will, self._will = self._will, None
        if will is not None and (clean or not will.properties.get("will_delay_interval")):
            assert session is not None
            self._shared.sessions.publish(session, will)
        self.end(Reason.SESSION_TAKEN_OVER, "another connection uses this client identifier")

    @property
    def client_id(self) -> str:
        return self._connect.client_id if self._connect is not None else ""

    @property
    def pending(self) -> int:
        """Offers that are not durable yet."""
        return self._inbound.pending if self._inbound is not None else 0

    def _explained(self, text: str) -> dict[str, Any]:
        assert self._connect is not None
        wanted = self._connect.properties.get("request_problem_information", 1)
        return {"reason_string": text[:512]} if wanted else {}

    def _finish(
        self, counted: str, last_packet: bytes = b"", *, peer_finished: bool = False
    ) -> None:
        """Decode nothing more, close gracefully, and free the session for the next connection."""
        if self._ended or self._transport is None:
            return
        self._count(counted)
        self._shared.closing[self] = None
        self._close_gracefully(self._inbound, last_packet, peer_finished=peer_finished)
        self._detach()

    def _abort_counted(self, counted: str) -> None:
        """Close at once: there is nothing to acknowledge."""
        self._count(counted)
        self.abort()

    def _count(self, reason: str) -> None:
        self._ended = True
        self._shared.stats.disconnects[reason] += 1

    def _detach(self) -> None:
        """Leave session and feed."""
        if self._subscriptions is not None:
            self._subscriptions.close()
            self._subscriptions = None
        if self._present:
            self._shared.presence.disconnected(self._present)
            self._present = ""
        if self._session is not None:
            session, self._session = self._session, None
            will, self._will = self._will, None
            self._shared.sessions.leave(session, will)


def _may_the_same(now: Principal | None, before: Principal | None) -> bool:
    """Whether two principals may publish and follow the same, but for what others let them read.

    One that expires is asked about again: a token that was replaced works for its grace.
    """
    if now is None or before is None:
        return now is before
    return now == before or (
        replace(now, shared=before.shared, expires=before.expires) == before
        and now.shared.writable() == before.shared.writable()
    )


def _not_single(_: bytes) -> int:
    """Leave each read to the decoder: single messages cannot have attributes."""
    return 0
