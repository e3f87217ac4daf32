"""A small MQTT 5 publisher over our own codec.

publish() ──PUBLISH──> [in flight, bounded] <──PUBACK | PUBREC, PUBCOMP── endpoint
"""

import asyncio
import time
from typing import Any, cast

from lakebed.sources.mqtt.codec.answers import PINGREQ, PUBACK, PUBCOMP, PUBREC, PUBREL, Answer
from lakebed.sources.mqtt.codec.decoder import AT_CLIENT, Decoder
from lakebed.sources.mqtt.codec.handshake import ConnAck, Connect, Disconnect
from lakebed.sources.mqtt.codec.publish import publish
from lakebed.sources.mqtt.codec.reasons import ProtocolError, reason_name
from lakebed.sources.mqtt.codec.wire import V5
from lakebed.vocabulary.errors import Denied, Unavailable

_IDS = 65535  # packet identifiers there are (section 2.2.1)
_TIMEOUT = 10.0  # seconds for connecting, and for the last acknowledgements


class Publisher(asyncio.Protocol):
    """One connection that publishes. Event loop thread only.

    Attributes:
        sent, acknowledged: messages; QoS 0 has no acknowledgements.
        refused: messages the server answered with an error.
        waits: seconds from sending to the answer, of the latest thousand or so.
    """

    def __init__(self, client_id: str, token: str | None, keep_alive: int = 30) -> None:
        password = token.encode() if token else None
        self._connect = Connect(
            client_id, V5, True, keep_alive, client_id if token else None, password
        )
        self._keep_alive = keep_alive
        self._decoder: Decoder[str] = Decoder(
            V5, AT_CLIENT, str, payload_maximum=2**20, packet_maximum=2**20
        )
        loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = loop.create_future()
        self._changed = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._transport: asyncio.Transport | None = None
        self._pings: asyncio.TimerHandle | None = None
        self._window = 1
        self._next_id = 0
        self._in_flight: dict[int, float] = {}
        self._lost: Exception | None = None
        self.sent = self.acknowledged = self.refused = 0
        self.waits: list[float] = []

    # --- for the caller ---

    async def open(self, host: str, port: int) -> None:
        """Connect and wait for CONNACK.

        Raises:
            Unavailable: no server answers there, or not in time.
            Denied: the server refuses the connection.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_TIMEOUT):
                await loop.create_connection(lambda: self, host, port)
                await self._opened
        except TimeoutError:
            raise Unavailable(f"{host}:{port} does not answer as an MQTT server") from None
        except OSError as error:
            raise Unavailable(f"no MQTT server at {host}:{port}: {error.strerror}") from None

    async def publish(self, topic: str, payload: bytes, qos: int) -> None:
        """Send; wait while the server reads too slowly or too many messages are unanswered.

        Raises:
            Unavailable: the connection is lost.
        """
        while self._lost is None and (
            not self._writable.is_set() or (qos and len(self._in_flight) >= self._window)
        ):
            self._changed.clear()
            await self._changed.wait()
        if self._lost is not None or self._transport is None:
            raise self._lost or Unavailable("the connection is closed")
        number = 0
        if qos:
            number = self._free_id()
            self._in_flight[number] = time.monotonic()
        self._transport.write(publish(topic, payload, qos, number))
        self.sent += 1

    async def close(self) -> None:
        """Wait up to `_TIMEOUT` for the acknowledgements still due, then disconnect."""
        try:
            async with asyncio.timeout(_TIMEOUT):
                while self._in_flight and self._lost is None:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            pass  # the rest counts as not acknowledged
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(Disconnect().encode(V5))
            self._transport.close()

    def _free_id(self) -> int:
        while True:
            self._next_id = self._next_id % _IDS + 1
            if self._next_id not in self._in_flight:
                return self._next_id

    # --- for the loop ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # a cast, because uvloop's transports are no subclass
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._connect.encode())
        self._ping()

    def data_received(self, data: bytes) -> None:
        try:
            self._decoder.feed(data)
        except ProtocolError as error:
            self._end(Unavailable(f"the server does not speak MQTT: {error}"))
        for event in self._decoder.events():
            self._handle(event)
        self._changed.set()

    def connection_lost(self, error: Exception | None) -> None:
        if self._pings is not None:
            self._pings.cancel()
        self._end(Unavailable(f"the server closed the connection{f': {error}' if error else ''}"))

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()
        self._changed.set()

    def _ping(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if self._opened.done():
            self._transport.write(PINGREQ)
        wait = self._keep_alive / 2
        self._pings = asyncio.get_running_loop().call_later(wait, self._ping)

    def _handle(self, event: Any) -> None:
        if isinstance(event, Answer):
            self._handle_ack(event)
        elif isinstance(event, ConnAck):
            self._handle_connack(event)
        elif isinstance(event, Disconnect):
            self._end(Unavailable(f"the server ended the session: {reason_name(event.reason)}"))

    def _handle_connack(self, answer: ConnAck) -> None:
        if self._opened.done():
            return
        if answer.reason:
            self._end(Denied(f"the server refused: {reason_name(answer.reason)}"))
            return
        self._window = min(int(answer.properties.get("receive_maximum", _IDS)), 1000)
        self._opened.set_result(None)

    def _handle_ack(self, answer: Answer) -> None:
        if answer.kind == PUBREC and answer.reason < 0x80:
            assert self._transport is not None
            self._transport.write(Answer(PUBREL, answer.packet_id).encode(V5))
            return
        if answer.kind not in (PUBACK, PUBREC, PUBCOMP):
            return
        since = self._in_flight.pop(answer.packet_id, None)
        if since is None:
            return
        if answer.reason >= 0x80:
            self.refused += 1
            return
        self.acknowledged += 1
        self.waits.append(time.monotonic() - since)
        if len(self.waits) > 2000:
            del self.waits[:1000]

    def _end(self, error: Exception) -> None:
        if self._lost is None:
            self._lost = error
            self._changed.set()
        if not self._opened.done():
            self._opened.set_exception(error)
        if self._transport is not None:
            self._transport.close()
