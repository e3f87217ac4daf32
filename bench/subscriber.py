"""The cheapest receiver there can be: our codec, acknowledgements at once, nothing kept.

What it gets from a broker is what that broker can deliver on this machine.
"""

import asyncio
import time
from multiprocessing.queues import Queue
from typing import Any, cast

from lakebed.sources.mqtt.codec.answers import PUBACK, answers
from lakebed.sources.mqtt.codec.decoder import AT_CLIENT, Decoder
from lakebed.sources.mqtt.codec.handshake import ConnAck, Connect
from lakebed.sources.mqtt.codec.publish import Run
from lakebed.sources.mqtt.codec.subscriptions import SubAck, Subscribe, SubscriptionRequest
from lakebed.sources.mqtt.codec.wire import V5

_LARGEST = 2**20  # bytes of a packet


class _Subscriber(asyncio.Protocol):
    def __init__(self, filter: str, messages: int) -> None:
        loop = asyncio.get_running_loop()
        self.subscribed: asyncio.Future[None] = loop.create_future()
        self.complete: asyncio.Future[None] = loop.create_future()
        self._filter, self._left = filter, messages
        self._decoder: Decoder[str] = Decoder(
            V5, AT_CLIENT, str, payload_maximum=_LARGEST, packet_maximum=_LARGEST
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(
            Connect("bench-plain", V5, properties={"receive_maximum": 65535}).encode()
        )

    def data_received(self, data: bytes) -> None:
        self._decoder.feed(data)
        for event in self._decoder.events():
            if isinstance(event, Run):
                self._transport.write(answers(PUBACK, event.packet_ids))
                self._left -= len(event)
            elif isinstance(event, ConnAck):
                self._transport.write(
                    Subscribe(1, (SubscriptionRequest(self._filter, 1),)).encode(V5)
                )
            elif isinstance(event, SubAck):
                self.subscribed.set_result(None)
        if self._left <= 0 and not self.complete.done():
            self.complete.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        for future in (self.subscribed, self.complete):
            if not future.done():
                future.set_exception(error or ConnectionError("the broker closed the connection"))


async def receive(port: int, filter: str, messages: int, told: "Queue[Any]") -> tuple[float, float]:
    """Subscribe, say so through `told`, and take `messages` messages.

    Returns:
        The moment of the last one (`time.monotonic()`), and CPU seconds.
    """
    loop = asyncio.get_running_loop()
    _, subscriber = await loop.create_connection(
        lambda: _Subscriber(filter, messages), "127.0.0.1", port
    )
    await subscriber.subscribed
    cpu = time.process_time()
    told.put("subscribed")
    await subscriber.complete
    return time.monotonic(), time.process_time() - cpu
