"""The parts of an MQTT connection that are the same at the server and at the client.

read ──> Decoder ──> InboundPublishes ──> Intake
            └────> control packets, one by one
"""

import asyncio
from typing import cast

from lakebed.limits.allowance import Allowance
from lakebed.sources.mqtt.codec.decoder import Control, Decoder
from lakebed.sources.mqtt.codec.reasons import ProtocolError
from lakebed.sources.mqtt.graceful_close import GracefulClose
from lakebed.sources.mqtt.inbound import InboundPublishes
from lakebed.sources.mqtt.read_pause import PauseReason, ReadPause
from lakebed.vocabulary import times
from lakebed.vocabulary.messages import Channel


class MqttConnection(asyncio.Protocol):
    """Reads, writes, pauses and closes one transport. A subclass handles control packets."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._read_pause: ReadPause | None = None
        self._graceful_close: GracefulClose | None = None

    @property
    def waiting(self) -> bool:
        """Whether the connection is closing and acks are still due."""
        return self._graceful_close is not None and self._graceful_close.waiting

    def stop_waiting(self) -> None:
        """If the connection is closing: drop the acks still due."""
        if self._graceful_close is not None:
            self._graceful_close.stop_waiting()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def pause_writing(self) -> None:
        self.pause_reading(PauseReason.WRITING)

    def resume_writing(self) -> None:
        self.resume_reading(PauseReason.WRITING)

    def pause_reading(self, reason: PauseReason) -> None:
        if self._read_pause is not None:
            self._read_pause.pause(reason)

    def resume_reading(self, reason: PauseReason) -> None:
        if self._read_pause is not None:
            self._read_pause.resume(reason)

    def hold_back(self, allowance: Allowance, seconds: float) -> None:
        """Read nothing for so long, and then until the sender is within its limits again."""
        self.pause_reading(PauseReason.LIMIT)
        asyncio.get_running_loop().call_later(seconds, self._read_within_limits, allowance)

    def _read_within_limits(self, allowance: Allowance) -> None:
        if self._transport is None:
            return
        wait = allowance.wait()
        if wait > 0:
            self.hold_back(allowance, wait)
        else:
            self.resume_reading(PauseReason.LIMIT)

    def _attach(self, transport: asyncio.BaseTransport) -> asyncio.Transport:
        self._transport = cast(asyncio.Transport, transport)
        self._read_pause = ReadPause(self._transport)
        return self._transport

    def _decode(
        self, decoder: Decoder[Channel], inbound: InboundPublishes, data: bytes
    ) -> ProtocolError | None:
        """Decode a read, offer its messages and handle its control packets.

        Returns:
            the first error in the stream; everything before it was handled.
        """
        error = None
        try:
            decoder.feed(data)
        except ProtocolError as broken:
            error = broken
        return self._take_decoded(decoder, inbound) or error

    def _take_decoded(
        self, decoder: Decoder[Channel], inbound: InboundPublishes
    ) -> ProtocolError | None:
        try:
            for packet in inbound.take(decoder.events(), times.now()):
                self._control(packet)
        except ProtocolError as broken:
            return broken
        return None

    def _control(self, packet: Control) -> None:
        """Handle a packet that is no PUBLISH, nor an acknowledgement of one."""
        raise NotImplementedError

    def _close_gracefully(
        self, inbound: InboundPublishes | None, last_packet: bytes, *, peer_finished: bool
    ) -> None:
        """Decode nothing more; close after the acks that are due and the last packet."""
        assert self._transport is not None
        self._read_pause = None
        self._graceful_close = GracefulClose(
            self._transport,
            inbound,
            last_packet,
            self.connection_lost,
            peer_finished=peer_finished,
        )
