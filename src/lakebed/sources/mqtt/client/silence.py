"""Detects that a source receives nothing while its broker accepts messages.

    nothing received ──> ask the broker's counter ── a while later, still nothing ──> ask reset
                                                          grown: it is reported

The counter is read by a short connection of its own: a broker may end the connection of a client
that subscribes to a topic it may not read, and must not end that of the source.
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
"""The topic of the number of messages that the broker accepted; Mosquitto retains it."""
_TIMEOUT = 10.0  # seconds for the whole question
_ROOM = 65536  # bytes of a packet


class Silence:
    """Compares the source's messages with the broker's counter.

    Args:
        after: the time without a message that is a silence; also the interval of checks.
        count: reads the broker's counter; None if it cannot be read.
    """

    def __init__(self, after: Micros, count: Callable[[], Awaitable[int | None]]) -> None:
        self._after, self._count = after, count
        self._received = -1  # messages of the source when the counter was read
        self._before: int | None = None  # the counter then
        self.missed = 0

    async def look(self, received: int) -> bool:
        """Check whether a silence has begun, if nothing has come since the last check.

        Args:
            received: messages of the source so far.
        """
        if received != self._received:
            self._received, self.missed = received, 0
            self._before = await self._count()
            return False
        now = await self._count()
        if now is None or self._before is None or now < self._before:  # the counter was reset
            self._before = now
            return False
        begins = not self.missed and now > self._before
        self.missed = now - self._before
        return begins

    def reset(self) -> None:
        """Discard the findings, because they are about the former connection."""
        self._received, self.missed = -1, 0

    def text(self, received: int) -> str:
        """The problem; empty if a message has come."""
        if not self.missed or received != self._received:
            return ""
        return (
            f"connected, but nothing has come for {format_duration(self._after)} or longer, while"
            f" the broker took in {self.missed} messages: compare `topics` with what is sent, and"
            " the rights of the broker's user"
        )


class CounterReader(asyncio.Protocol):
    """Connects, subscribes to the counter, reads the retained message, and disconnects."""

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
    """Read the number of messages that a broker accepted; None without an answer in time."""
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
