"""Notices that a source receives nothing while its broker goes on taking messages in.

    nothing received ──> ask the broker's counter ── a while later, still nothing ──> ask again
                                                          grown: it is told

The counter is read by a connection of its own, for a moment: a broker that ends the connection of a
client that asks for what it may not read must not end that of the source.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, cast

from lakebed.sources.mqtt.codec.decoder import AT_CLIENT, Decoder
from lakebed.sources.mqtt.codec.handshake import ConnAck, Connect, Disconnect
from lakebed.sources.mqtt.codec.publish import Run
from lakebed.sources.mqtt.codec.reasons import ProtocolError
from lakebed.sources.mqtt.codec.subscriptions import Subscribe, SubscriptionRequest
from lakebed.vocabulary.times import Micros, format_duration

COUNTER = "$SYS/broker/publish/messages/received"
"""Messages that the broker took in, retained by Mosquitto."""
_TIMEOUT = 10.0  # seconds for the whole question
_ROOM = 65536  # bytes of a packet


class Silence:
    """Args:
    after: how long nothing must have come. Asked about as often.
    count: asks the broker; None where its counter cannot be read.
    """

    def __init__(self, after: Micros, count: Callable[[], Awaitable[int | None]]) -> None:
        self._after, self._count = after, count
        self._received = -1  # by the source, when the broker was asked
        self._before: int | None = None  # what the broker said then
        self.missed = 0

    async def look(self, received: int) -> bool:
        """Ask, where nothing has come since the last time; whether a silence has begun.

        Args:
            received: messages of the source so far.
        """
        if received != self._received:
            self._received, self.missed = received, 0
            self._before = await self._count()
            return False
        now = await self._count()
        if now is None or self._before is None or now < self._before:  # it began to count anew
            self._before = now
            return False
        begins = not self.missed and now > self._before
        self.missed = now - self._before
        return begins

    def again(self) -> None:
        """The connection is another one: what was found is of the last."""
        self._received, self.missed = -1, 0

    def text(self, received: int) -> str:
        """What is the matter; empty where something came."""
        if not self.missed or received != self._received:
            return ""
        return (
            f"connected, but nothing has come for {format_duration(self._after)} or longer, while"
            f" the broker took in {self.missed} messages: compare `topics` with what is sent, and"
            " the rights of the broker's user"
        )


class CounterReader(asyncio.Protocol):
    """Connects, subscribes to the counter, takes the retained message, and goes."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._decoder: Decoder[str] = Decoder(
            connect.version, AT_CLIENT, str, payload_maximum=_ROOM, packet_maximum=_ROOM
        )
        self._transport: asyncio.Transport | None = None
        self.found: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._connect.encode())

    def data_received(self, data: bytes) -> None:
        try:
            self._decoder.feed(data)
            for event in self._decoder.events():
                self._take(event)
        except (ProtocolError, ValueError):
            self._end(None)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._end(None)

    def _take(self, event: Any) -> None:
        version = self._connect.version
        if isinstance(event, ConnAck):
            if event.reason:
                self._end(None)
            elif self._transport is not None:
                request = SubscriptionRequest(COUNTER)
                self._transport.write(Subscribe(1, (request,)).encode(version))
        elif isinstance(event, Run):
            self._end(int(event.payloads[-1]))
        elif isinstance(event, Disconnect):
            self._end(None)

    def _end(self, found: int | None) -> None:
        if not self.found.done():
            self.found.set_result(found)
        if self._transport is not None:
            self._transport.write(Disconnect().encode(self._connect.version))
            self._transport.close()
            self._transport = None


async def read_counter(
    host: str, port: int, context: ssl.SSLContext | None, connect: Connect
) -> int | None:
    """How many messages a broker took in; None where it does not tell, or not in time."""
    reader = CounterReader(connect)
    try:
        async with asyncio.timeout(_TIMEOUT):
            await asyncio.get_running_loop().create_connection(
                lambda: reader, host, port, ssl=context
            )
            return await reader.found
    except (TimeoutError, OSError):
        return None
    finally:
        reader.connection_lost(None)
